"""Notify: changes of breaker and trading state, and missed slots, as the record has them, in; notices out; pure.

The number of a change's row is its key, and of missed slots when they were found: each is told once, whoever sees it.
"""

import datetime as dt

from mahler_agents.notify.notice import Kind, Notice, Severity, made_up
from mahler_agents.record.changes import BreakerChange, Changes, MissedSlots, TradingStateChange
from mahler_agents.text import cents, percent, words


def notices_of_changes(changes: Changes) -> tuple[Notice, ...]:
    """Return one notice for each change, the breaker's first."""
    breaker = (_breaker(change, synthetic=changes.synthetic) for change in changes.breaker)
    trading = (_trading(change, synthetic=changes.synthetic) for change in changes.trading)
    return (*breaker, *trading, *(_missed(missed, synthetic=changes.synthetic) for missed in changes.missed))


def _breaker(change: BreakerChange, *, synthetic: bool) -> Notice:
    halted, normal = change.code.endswith("_halt"), change.code.endswith("_normal")
    fields = {"rule": words(change.rule), "now": change.code, "seen": _observed(change)}
    fields["new trades' size"] = "0: halted, exits go on" if change.size == 0 else f"{change.size:g}"
    if change.close_share != "none":
        fields["asks to close"] = words(change.close_share)
    fields["equity"] = cents(change.equity)
    return Notice(
        kind=Kind.BREAKER,
        key=f"breaker-change-{change.id}",
        at=dt.datetime.fromisoformat(change.at),
        title=f"Circuit breaker: {words(change.code)}",
        fields=fields,
        severity=Severity.FAILURE if halted else Severity.SUCCESS if normal else Severity.WARNING,
        notes=made_up(synthetic=synthetic),
    )


def _observed(change: BreakerChange) -> str:
    if change.observed is None:
        return "not known"
    return f"{change.observed:.2f}" if change.rule == "vix" else percent(change.observed + 0.0, 2)


def _trading(change: TradingStateChange, *, synthetic: bool) -> Notice:
    active = change.state == "active"
    return Notice(
        kind=Kind.REFUSED,
        key=f"trading-state-{change.id}",
        at=dt.datetime.fromisoformat(change.at),
        title=f"Trading state: {change.state.upper()}",
        body="trades are opened again" if active else "nothing is opened, exits go on",
        fields={"by": change.by, "reason": change.reason or "none given"},
        severity=Severity.SUCCESS if active else Severity.WARNING,
        notes=made_up(synthetic=synthetic),
    )


def _missed(missed: MissedSlots, *, synthetic: bool) -> Notice:
    span = missed.first if missed.count == 1 else f"{missed.count:,}, from {missed.first} to {missed.last}"
    return Notice(
        kind=Kind.JOB_FAILED,
        key=f"{missed.status}-{missed.job}-{missed.found_at}",
        at=dt.datetime.fromisoformat(missed.found_at),
        title=f"{missed.job.capitalize()} {missed.status}: {span}",
        body=missed.why or "nobody ran it in time",
        severity=Severity.WARNING if missed.status == "missed" else Severity.FAILURE,
        notes=made_up(synthetic=synthetic),
    )
