"""Command line, `mahler status`: a status in, lines for a terminal out, what matters most first."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rich.console import Console
from rich.text import Text

from mahler_agents.cli.console import noted_lines
from mahler_agents.cli.program import resume_command
from mahler_agents.cli.status.positions import LEGEND, position_lines
from mahler_agents.cli.status.times import ago, when
from mahler_agents.record.slots import SlotRow, SlotStatus
from mahler_agents.record.status_rows import AccountStatus, Change, HeatStatus, Pulse, ScanStatus, Status
from mahler_agents.record.trading_state import TradingState
from mahler_agents.telling import phrases
from mahler_agents.telling.risk_lines import breaker_lines, multiplier_line, regime_line
from mahler_agents.text import cents, count, counts, dollars, instant, listed, per_share, percent, plain, words
from mahler_agents.wording import SYNTHETIC_MARKET, identity_text, is_real_money

_MARGIN = 11
_NEAR_LIMIT = 0.9
_MOST_WARNINGS = 5
_STATES = {TradingState.ACTIVE: "green", TradingState.REDUCING: "yellow", TradingState.HALTED: "bold red"}
_PULSES = {Pulse.NEVER: "", Pulse.ALIVE: "green", Pulse.STALE: "bold red", Pulse.STOPPED: "yellow"}


class Said(NamedTuple):
    """One line: a note for the margin, empty where it goes on with the one before, the text and its style."""

    note: str
    text: str
    style: str = ""
    spare: int = 0
    """Where there is no room for all: 0 stays, 2 goes first."""


class Line(NamedTuple):
    """What is drawn on one row of the terminal, and whether it can be spared, as in `Said`."""

    text: Text
    spare: int = 0


def fitting(found: Sequence[Line], rows: int) -> list[Line]:
    """Return the lines that are kept where there are so many rows: of those that can be spared the last go first."""
    order = [at for spare in (2, 1) for at, line in reversed(list(enumerate(found))) if line.spare == spare]
    gone = set(order[: max(0, len(found) - rows)])
    return [line for at, line in enumerate(found) if at not in gone][:rows]


def lines(status: Status, console: Console) -> Iterator[Line]:
    """Yield the lines of a status, wrapped to the console's width."""

    def noted(said: Iterator[Said]) -> Iterator[Line]:
        for one in said:
            for text in noted_lines(console, one.note, Text(one.text, style=one.style), margin=_MARGIN):
                yield Line(text, one.spare)

    yield from noted(_head(status))
    if status.origin is None:
        yield from noted(_scheduler(status))
        yield from noted(_slots(status))
        yield from noted(_warnings(status))
        return
    yield from noted(_money(status))
    yield from noted(_scheduler(status))
    yield from noted(_work(status))
    yield Line(Text(), 2)
    if status.positions:
        yield from map(Line, position_lines(status.positions, status.present, console.width))
        yield Line(Text(LEGEND, style="dim"), 2)
    else:
        yield Line(Text("no open positions"))
    yield Line(Text(), 2)
    yield from noted(_warnings(status))
    yield from noted(_scan(status))
    yield from noted(_slots(status))


def _head(status: Status) -> Iterator[Said]:
    yield Said("record", plain(status.path), spare=0 if status.origin is None else 2)
    origin = status.origin
    if origin is None:
        yield Said("", "nothing is recorded yet: `mahler scan` makes the first run")
    else:
        if origin.synthetic:
            yield Said("", SYNTHETIC_MARKET, "yellow")
        host = origin.host or "not recorded"
        said = identity_text(
            environment=origin.environment, broker=origin.broker, account_id=origin.account_id, host=host
        )
        real = is_real_money(environment=origin.environment, host=host)
        yield Said("desk", plain(said), "bold red" if real else "")
        stands = "" if status.flows else f", where the market {plain(origin.market)} stands still"
        yield Said("as of", f"{instant(status.present)} New York{stands}")
    rest = "" if status.trading.active else "; nothing is opened, exits go on"
    yield Said("trading", plain(f"{status.trading.text}{rest}"), _STATES[status.trading.state])


def _money(status: Status) -> Iterator[Said]:
    if (figures := status.account) is None:
        yield Said("account", "no equity is recorded yet", "yellow")
    else:
        told = f"equity {cents(figures.equity)}, cash {cents(figures.cash)}"
        yield Said("account", f"{told} ({when(figures.at, status.present)})")
        yield from _changes(figures)
    yield _heat(status.heat)
    yield from _breaker(status)


def _changes(figures: AccountStatus) -> Iterator[Said]:
    def change(one: Change) -> str:
        return f"{cents(one.dollars)} ({percent(one.share + 0.0, 2)})"

    style = "red" if figures.day.dollars < 0 else ""
    yield Said("", f"day {change(figures.day)}, week {change(figures.week)}", style)
    peak = figures.peak
    if peak.since_at == figures.at:
        yield Said("", "at its peak", spare=1)
    else:
        yield Said("", f"{change(peak)} from its peak of {cents(peak.since_equity)} on {instant(peak.since_at)[:10]}")


def _heat(heat: HeatStatus) -> Said:
    share = "" if heat.share is None else f" ({percent(heat.share, 1)})"
    pending = f", {dollars(heat.pending_dollars)} of it pending" if heat.pending_dollars else ""
    if heat.limit_dollars is None or heat.limit_share is None:
        return Said("heat", f"{dollars(heat.dollars)}{share}{pending}; its limit is not known before the first scan")
    limit = f"{dollars(heat.limit_dollars)} ({percent(heat.limit_share, 1)})"
    left = dollars(max(0.0, heat.limit_dollars - heat.dollars))
    near = heat.dollars >= _NEAR_LIMIT * heat.limit_dollars
    return Said("heat", f"{dollars(heat.dollars)}{share} of {limit}{pending}, {left} left", "yellow" if near else "")


def _breaker(status: Status) -> Iterator[Said]:
    found = status.breaker
    if not found.steps:
        yield Said("breaker", "normal")
        return
    since = "" if found.since is None else f" since {when(found.since, status.present)}"
    asks = "" if found.close_share == "none" else f", asks to close: {words(found.close_share)}"
    if found.size == 0:
        halted = f"HALTED by {listed(map(plain, found.steps))}{since}: nothing is opened, exits go on{asks}"
        yield Said("breaker", halted, "bold red")
    else:
        said = f"{listed(map(plain, found.steps))}{since}: sizes times {found.size:.2f}{asks}"
        yield Said("breaker", said, "yellow" if found.size < 1 or asks else "")


def _work(status: Status) -> Iterator[Said]:
    """Yield what is under way, or should not be: orders, unfinished runs, what differs at the broker."""
    for one in status.pending:
        why = f" ({words(one.rule)})" if one.rule else ""
        asked = f"{one.filled} of {one.contracts} filled, limit {per_share(one.limit_credit)}"
        since = when(one.decided_at, status.present)
        yield Said("order", plain(f"{one.purpose}{why} {one.label}: {one.state}, {asked} ({since})"), "yellow")
    for run in status.unfinished:
        began = when(run.started_at, status.asked_at)
        if run.abandoned_at is None:
            yield Said("run", f"{plain(run.id)} is at work, or its process died (began {began})", "yellow")
        else:
            from pathlib import Path

            end = resume_command(run.id, Path(status.path))
            yield Said("run", f"{plain(run.id)} was left by its process (began {began}): {end}", "yellow")
    if status.broker_error is not None:
        yield Said("broker", plain(f"could not be read, so nothing is opened: {status.broker_error}"), "bold red")
    for one in status.differences:
        yield Said(one.kind, plain(f"{one.explanation} (since {instant(one.first_seen_at)})"), "red")
    if status.broker_checked_at is not None and status.broker_error is None:
        told = "what differs is above" if status.differences else "nothing differs"
        said = f"held against the ledger {when(status.broker_checked_at, status.present)}: {told}"
        yield Said("broker", said, spare=2)


def _scan(status: Status) -> Iterator[Said]:
    if (scan := status.last_scan) is None:
        yield Said("last scan", "none")
        return
    ended = scan.status if scan.error is None else f"{scan.status}: {scan.error}"
    style = "red" if scan.status == "failed" else ""
    made = f"{scan.traded:,} of {scan.reviewed:,} reviewed traded"
    yield Said("last scan", plain(f"{when(scan.as_of, status.present)}, {ended}; {made} (run {scan.id})"), style)
    if scan.screen is not None:
        names = {"contracts": "contracts", "eligible": "eligible_contracts", "pairs": "pairs", "passed": "passed"}
        found = phrases.screened(**{name: scan.screen[column] for name, column in names.items()})
        yield Said("", found, spare=1)
    if scan.skipped:
        yield Said("", f"skipped: {counts(scan.skipped)}", spare=1)
    if scan.failures:
        yield Said("", f"{count(scan.failures, 'failure')} of the analysts or the fund manager", "yellow")
    if scan.toy_model:
        yield Said("", phrases.TOY, "yellow", spare=1)
    yield from _scan_risk(scan)


def _scan_risk(scan: ScanStatus) -> Iterator[Said]:
    """Yield what the scan knew of its risk: what the breaker saw is the only place that says the VIX."""
    if scan.regime is not None:
        regime = regime_line(scan.regime)
        yield Said(regime.note, regime.text, spare=1)
    if scan.size_multiplier is not None:
        yield Said("", multiplier_line(scan.size_multiplier).text, spare=1)
    if scan.breaker is not None:
        seen = next(breaker_lines({**scan.breaker, "ask": None}))
        yield Said("", f"breaker then {seen.text}", spare=1)


def _scheduler(status: Status) -> Iterator[Said]:
    found, beat = status.scheduler, status.scheduler.heartbeat
    if beat is None:
        text = "no daemon has run on this record; `mahler schedule` says what is due"
    elif beat.stopped_at is not None:
        text = (
            f"stopped {when(beat.stopped_at, status.asked_at)} ({plain(beat.owner)}): nothing runs but what cron does"
        )
    elif found.pulse is Pulse.STALE:
        text = f"no sign of life of {plain(beat.owner)} since {when(beat.at, status.asked_at)}: is it dead?"
    else:
        doing = f", at work on {plain(beat.doing)}" if beat.doing else ""
        text = f"{plain(beat.owner)} is alive ({ago(beat.at, status.asked_at)}){doing}"
    yield Said("scheduler", text, _PULSES[found.pulse])
    if beat is not None and beat.next_job is not None and beat.next_at is not None and found.pulse is Pulse.ALIVE:
        yield Said("next", f"{plain(beat.next_job)} {when(beat.next_at, status.asked_at)}")
    if found.missed or found.failed:
        yield Said("", f"{count(found.missed, 'slot')} missed today, {found.failed:,} failed", "yellow")


def _slots(status: Status) -> Iterator[Said]:
    """Yield how the schedule's slots stand, by whomever they are run."""
    found = status.scheduler
    for slot in found.unended:
        yield Said("slot", _slot(slot, status), "yellow" if slot.status is SlotStatus.RETRYING else "")
    for slot in found.last:
        done = slot.status is SlotStatus.DONE
        yield Said("slot", _slot(slot, status), "" if done else "red", spare=1 if done else 0)


def _slot(slot: SlotRow, status: Status) -> str:
    at = slot.ended_at or slot.claimed_at or slot.due_at
    detail = f": {slot.detail}" if slot.detail else ""
    return plain(f"{slot.slot} {slot.status} ({when(at, status.asked_at)}){detail}")


def _warnings(status: Status) -> Iterator[Said]:
    if not status.warnings:
        yield Said("warnings", f"none on {status.day}", spare=1)
        return
    shown = status.warnings[:_MOST_WARNINGS]
    yield Said("warnings", f"{len(status.warnings):,} on {status.day}; all: `mahler trace tail --once`")
    for index, one in enumerate(shown):
        said = f"{instant(one.at)[11:]} {words(one.code)}: {plain(one.message)}"
        yield Said("", said, "red" if one.level == "error" else "yellow", spare=1 if index else 0)
