"""Summary: `DaySummary` in, lines for people out: a note in the margin, and what it is a note of."""

import datetime as dt
from collections import Counter
from collections.abc import Iterator

from mahler_agents.clock import NEW_YORK
from mahler_agents.summary.day import (
    DayEquity,
    DaySummary,
    ExitMade,
    Heat,
    HeldPosition,
    JobSlots,
    Llm,
    OpenedTrade,
    ScanLine,
    Watch,
)
from mahler_agents.text import (
    cents,
    count,
    dollars,
    hung,
    instant,
    listed,
    per_share,
    percent,
    plain,
    small_dollars,
    words,
)
from mahler_agents.wording import SYNTHETIC_MARKET, TOY_MODEL

_MARGIN = 10
_NAMED_SLOTS = 3
_Notes = Iterator[tuple[str, str]]
"""A note for the margin, empty where it goes on with the one before it, and a line."""


def summary_lines(summary: DaySummary, width: int | None = None) -> tuple[str, ...]:
    """Return what a day brought as lines, wrapped to `width` columns if that is given."""
    date = f"{summary.date:%a %Y-%m-%d}"
    if summary.nothing is not None:
        return (f"{date}, {plain(summary.account_id)}: {summary.nothing}",)
    lines = [SYNTHETIC_MARKET] if summary.synthetic else []
    lines += _noted("day", f"{date}, {_account(summary)}", width)
    for note, text in _notes(summary):
        lines += _noted(note, text, width)
    return tuple(lines)


def _account(summary: DaySummary) -> str:
    traded = [
        summary.environment and f"{summary.environment.upper()} environment",
        summary.market and f"market {summary.market}",
        summary.broker and f"broker {summary.broker}",
    ]
    return plain(", ".join([f"account {summary.account_id}", *filter(None, traded)]))


def _notes(summary: DaySummary) -> _Notes:
    yield from _session(summary)
    yield from _equity(summary.equity)
    yield from _many("opened", [_opened(one) for one in summary.opened], "nothing was opened")
    yield from _many("closed", [_exit(one) for one in summary.exits], "nothing was closed")
    yield from _many("held", [_held(one) for one in summary.held], "nothing is open")
    if summary.heat is not None:
        yield "heat", _heat(summary.heat)
    yield from _many("scan", [_scan(one) for one in summary.scans], "NO SCAN" if summary.session else "none")
    yield from _reviews(summary)
    yield from _llm(summary)
    yield from _risk(summary)
    yield "watched", _watch(summary.watch, summary)
    yield from _slots(summary.slots)
    for note, told in (("alerts", summary.alerts), ("errors", summary.errors)):
        said = [f"{count(one.times, 'time')} {words(one.code)}: {plain(one.last)}" for one in told]
        yield from _many(note, said, "none")


def _many(note: str, lines: list[str], none: str) -> _Notes:
    for place, line in enumerate(lines or [none]):
        yield note if place == 0 else "", line


def _session(summary: DaySummary) -> _Notes:
    if summary.session is None:
        yield "session", "none: the exchange was closed"
    elif summary.session.half_day:
        yield "session", f"half-day: {_time(summary.session.opens)} to {_time(summary.session.closes)}"


def _equity(equity: DayEquity | None) -> _Notes:
    if equity is None:
        yield "equity", "none recorded"
        return
    since = f"{cents(equity.previous)} at {instant(equity.previous_at)}"
    before = f"{since}, the first on record" if equity.first_day else f"{since}, the previous close"
    yield "equity", f"{cents(equity.now)} at {_time(equity.now_at)}; {before}"
    share = "" if equity.pnl_share is None else f" ({percent(equity.pnl_share, 2)})"
    paid = f", deposits of {cents(equity.deposits_dollars)} left out" if equity.deposits_dollars else ""
    realised, change = cents(equity.realised_dollars), cents(equity.open_change_dollars)
    parts = f"{realised} realised after fees, {change} in open positions"
    yield "P&L", f"{_signed(equity.pnl_dollars)}{share}{paid}: {parts}"
    if equity.unexplained_dollars:
        whose = f"; {count(equity.unmarked, 'open position')} had no mark" if equity.unmarked else ""
        yield "", f"DIFFERENCE: {cents(equity.unexplained_dollars)} of it follows from no fill and no mark{whose}"


def _opened(one: OpenedTrade) -> str:
    sold = f"{count(one.contracts, 'contract')} at {per_share(one.credit)}"
    money = f"{cents(one.received_dollars)} received, {dollars(one.risk_dollars)} at risk, fees {cents(one.fees)}"
    return f"{_time(one.opened_at)} {plain(one.label)}: {sold}, {money}{_advised(one)}"


def _advised(one: OpenedTrade) -> str:
    if one.advice_level is None:
        return ""
    if one.confidence is None:
        return "; no verdict"
    veto = ", would veto" if one.would_veto else ""
    return f"; advice {words(one.advice_level)} ({percent(one.confidence)}{veto})"


def _exit(one: ExitMade) -> str:
    part = "" if one.contracts == one.of_contracts else f" of {one.of_contracts:,}"
    prices = f"sold at {per_share(one.entry_credit)}, bought back at {per_share(one.debit)}"
    closed = f"{one.contracts:,}{part} {'contract' if one.of_contracts == 1 else 'contracts'}"
    return (
        f"{_time(one.closed_at)} {plain(one.label)}: {words(one.rule)}, {closed}, {prices}, {_signed(one.pnl_dollars)}"
    )


def _held(one: HeldPosition) -> str:
    head = f"{plain(one.label)}: {count(one.contracts, 'contract')} at {per_share(one.entry_credit)}"
    if one.mid_cost is None or one.pnl_dollars is None or one.marked_at is None:
        return f"{head}, {one.dte} DTE, NO MARK: neither stopped nor taken"
    worth = f"cost {per_share(one.mid_cost)} at {_time(one.marked_at)}, {_signed(one.pnl_dollars)}"
    if one.target_cost is None or one.stop_cost is None or one.time_exit_from is None:
        return f"{head}, {worth}, {one.dte} DTE"
    target = f"target {per_share(one.target_cost)} ({_signed_share(one.to_target)} away)"
    stop = f"stop {per_share(one.stop_cost)} ({_signed_share(one.to_stop)} away)"
    return f"{head}, {worth}; {target}, {stop}; {one.dte} DTE, time exit {one.time_exit_from}"


def _heat(heat: Heat) -> str:
    share = "" if heat.share is None else f", {percent(heat.share, 1)} of equity"
    limit = "" if heat.limit_share is None else f"; the limit is {percent(heat.limit_share, 1)}"
    pending = f", {dollars(heat.pending_dollars)} of it pending entries" if heat.pending_dollars else ""
    return f"{dollars(heat.dollars)} at risk{pending}{share}{limit}"


def _scan(one: ScanLine) -> str:
    kind = "" if one.scheduled else " (ad hoc)"
    head = f"{_time(one.at)} {plain(one.run_id)}{kind}"
    if one.pairs is None or one.passed is None:
        return f"{head} {one.status.upper()}: {plain(one.error or 'it ended before its screen')}"
    found = f"{one.pairs:,} found, {one.passed:,} passed, {one.reviewed:,} reviewed, {one.traded:,} traded"
    status = "" if one.status == "done" else f"; {one.status.upper()}: {plain(one.error or 'not ended')}"
    return f"{head}: {found}{status}"


def _reviews(summary: DaySummary) -> _Notes:
    ranked = f"; {summary.ranked_out:,} ranked out, not reviewed" if summary.ranked_out else ""
    if summary.skipped:
        told = [f"{len(one.what):,} {plain(one.reason)} ({', '.join(one.what)})" for one in summary.skipped]
        yield "skipped", "; ".join(told) + ranked
    elif any(one.reviewed for one in summary.scans):
        yield "skipped", f"none{ranked}"
    advice = summary.advice
    if advice.would_approve or advice.would_veto or advice.none:
        also = f" (of them {advice.disapproved:,} not approved)" if advice.disapproved else ""
        told = f"would approve {advice.would_approve:,}{also}, would veto {advice.would_veto:,}, none {advice.none:,}"
        obeyed = "; in paper no advice is obeyed" if summary.environment == "paper" else ""
        yield "advice", f"{told}{obeyed}"


def _llm(summary: DaySummary) -> _Notes:
    models = listed([plain(model) for model in summary.models])
    toy = f" ({TOY_MODEL})" if summary.toy_model else ""
    llm = summary.llm
    if not llm.calls and not llm.failures:
        if summary.models:
            yield "model", f"{models}{toy}: no call"
        return
    unknown = f" and {count(llm.unknown_costs, 'call')} of unknown cost" if llm.unknown_costs else ""
    cost = "cost unknown" if llm.unknown_costs == llm.calls else f"{small_dollars(llm.cost_dollars)}{unknown}"
    yield "model", f"{models}{toy}: {count(llm.calls, 'call')}, {llm.tokens:,} tokens, {cost}"
    yield "", _answers(llm)


def _answers(llm: Llm) -> str:
    failed = sum(map(len, llm.failures.values()))
    if not failed:
        return f"{count(llm.answers, 'answer')}, no failure"
    kinds = [f"{len(roles)} {words(kind)} ({_roles(roles)})" for kind, roles in llm.failures.items()]
    return f"{count(llm.answers, 'answer')}, {count(failed, 'failure')}: {'; '.join(kinds)}"


def _roles(roles: tuple[str, ...]) -> str:
    return ", ".join(words(role) if times == 1 else f"{times} {words(role)}" for role, times in Counter(roles).items())


def _risk(summary: DaySummary) -> _Notes:
    risk = summary.risk
    if risk is None:
        return
    if summary.scans:
        yield "VIX", "not known: its rules were not evaluated" if risk.vix is None else f"{risk.vix:.2f}"
    if risk.regime is not None:
        yield "regime", plain(risk.regime)
    if risk.multiplier is not None:
        yield "", risk.multiplier
    yield "breaker", f"in force: {listed(map(plain, risk.breaker))}" if risk.breaker else "normal"
    for change in risk.breaker_changes:
        yield "", plain(change)
    yield "trading", plain(risk.trading)
    for change in risk.trading_changes[:-1]:
        yield "", plain(change)


def _watch(watch: Watch, summary: DaySummary) -> str:
    if watch.first_at is None or watch.last_at is None:
        return "NEVER: no monitor pass"
    span = f"{count(watch.looks, 'time')}, {_time(watch.first_at)} to {_time(watch.last_at)}"
    gap = ""
    if watch.longest_gap_minutes is not None and watch.longest_gap_from is not None:
        gap = f", longest gap {watch.longest_gap_minutes:.0f} minutes, from {_time(watch.longest_gap_from)}"
    if summary.session is not None and dt.datetime.fromisoformat(watch.last_at) < dt.datetime.fromisoformat(
        summary.session.closes
    ):
        gap += f"; NOT since {_time(watch.last_at)}, and the session closes at {_time(summary.session.closes)}"
    return f"{span}{gap}"


def _slots(slots: tuple[JobSlots, ...]) -> _Notes:
    for place, one in enumerate(slots):
        unended = f", {one.unended:,} not ended" if one.unended else ""
        told = f"{one.job}: {one.done:,} run, {one.missed:,} missed, {one.failed:,} failed{unended}"
        yield "slots" if place == 0 else "", told
        for bad in one.bad[:_NAMED_SLOTS]:
            yield "", plain(bad)
        if len(one.bad) > _NAMED_SLOTS:
            yield "", f"and {len(one.bad) - _NAMED_SLOTS:,} more"


def _time(at: str) -> str:
    return f"{dt.datetime.fromisoformat(at).astimezone(NEW_YORK):%H:%M}"


def _signed(amount: float) -> str:
    return f"{'+' if amount > 0 else ''}{cents(amount)}"


def _signed_share(amount: float | None) -> str:
    return "not known" if amount is None else per_share(amount)


def _noted(note: str, text: str, width: int | None) -> list[str]:
    """Return text beside a margin with its note."""
    return hung(text, width, head=note.ljust(_MARGIN), hanging=_MARGIN, least=3 * _MARGIN)
