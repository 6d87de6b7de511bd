"""Notify: a finished monitor pass in, its notices out: exits, and what no rule acts on; pure."""

import hashlib
from collections.abc import Iterator

from mahler_agents.clock import NEW_YORK
from mahler_agents.monitor import Closing, MonitorResult, Settled
from mahler_agents.notify.notice import Kind, Notice, Severity, made_up
from mahler_agents.telling import exits, phrases
from mahler_agents.text import cents, count, per_share, words
from mahler_agents.units import CONTRACT_MULTIPLIER


def notices_of_pass(result: MonitorResult) -> tuple[Notice, ...]:
    """Return a notice for each exit, and one a day for each thing that the user must know and no rule acts on.

    A pass that did nothing has none. What an order tried in vain is told once a day too: the pass tries every time.
    """
    return (
        *(_closed(result, closing) for closing in result.closings),
        *(_settled(result, one) for one in result.settled),
        *_alerts(result),
        *_failures(result),
    )


def _closed(result: MonitorResult, closing: Closing) -> Notice:
    due, position = closing.due, closing.position
    traded = None if closing.order is None else closing.order.traded
    fields = {"rule": words(due.rule), "why": exits.why(due), "entry credit": per_share(position.entry_credit)}
    severity = Severity.WARNING
    if traded is None:
        key = f"exit-{position.entry_order_id}-{due.rule}-in-vain-{_day(result)}"
        fields["reason"] = "not sent" if closing.order is None else str(closing.order.reason or closing.order.state)
    else:
        key = f"exit-{position.entry_order_id}-{result.at.isoformat()}"
        profit = (position.entry_credit + traded.credit) * CONTRACT_MULTIPLIER * traded.contracts
        fields["closed"] = f"{traded.contracts} of {position.contracts} at {per_share(-traded.credit)}"
        fields["profit"] = f"{cents(profit)} before fees"
        severity = Severity.SUCCESS if profit > 0 else Severity.INFO
    return Notice(
        kind=Kind.EXIT,
        key=key,
        at=result.at,
        title=f"{'Exit not filled' if traded is None else 'Exit'}: {position.spread.label}",
        body="" if closing.closed >= due.contracts else "the rest is asked again at the next pass",
        fields={**fields, **_account(result)},
        severity=severity,
        notes=made_up(synthetic=result.synthetic),
    )


def _settled(result: MonitorResult, one: Settled) -> Notice:
    return Notice(
        kind=Kind.EXIT,
        key=f"settled-{one.position.entry_order_id}",
        at=result.at,
        title=f"{words(one.settlement.expiry).capitalize()}: {one.position.spread.label}",
        body=exits.settled(one),
        fields=_account(result),
        notes=made_up(synthetic=result.synthetic),
    )


def _account(result: MonitorResult) -> dict[str, str]:
    return {"account": phrases.account(result.account), "left open": f"{result.positions_after:,}"}


def _alerts(result: MonitorResult) -> Iterator[Notice]:
    for alert in result.alerts:
        yield Notice(
            kind=Kind.ALERT,
            key=f"{alert.code}-{alert.entry_order_id}-{_day(result)}",
            at=result.at,
            title=f"{words(alert.code).capitalize()}: {alert.spread}",
            body=alert.text,
            severity=Severity.WARNING,
            notes=made_up(synthetic=result.synthetic),
        )
    for one in result.broker_check.differences:
        yield Notice(
            kind=Kind.ALERT,
            key=f"{one.kind.value}-{one.item}-{_day(result)}",
            at=result.at,
            title=f"At the broker: {words(one.kind.value)}",
            body=one.text,
            severity=Severity.WARNING,
            notes=made_up(synthetic=result.synthetic),
        )


def _failures(result: MonitorResult) -> Iterator[Notice]:
    if not result.failed:
        return
    told = "\n".join(result.failed)
    yield Notice(
        kind=Kind.JOB_FAILED,
        key=f"pass-failed-{_day(result)}-{hashlib.sha256(told.encode()).hexdigest()[:16]}",
        at=result.at,
        title=f"Monitor pass failed: {count(len(result.failed), 'thing')} not done",
        body=told,
        severity=Severity.FAILURE,
        notes=made_up(synthetic=result.synthetic),
    )


def _day(result: MonitorResult) -> str:
    return result.at.astimezone(NEW_YORK).date().isoformat()
