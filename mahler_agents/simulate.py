"""Simulate: drives a desk's scans and monitors over a span of sessions; the one driver of all simulations.

Every session: a monitor pass every five minutes from the open to the close, and a scan at the market's time for that
date (the sample market's is 10:00 New York), before the pass of that time. Nothing waits: the market computes the
prices of each instant.
"""

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from mahler_agents.clock import SimulatedClock
from mahler_agents.desk import Desk
from mahler_agents.errors import InputError
from mahler_agents.market import calendar
from mahler_agents.monitor import MonitorResult
from mahler_agents.record.queries import Reader
from mahler_agents.scan import ScanResult
from mahler_agents.types import Frozen

MONITOR_EVERY = dt.timedelta(minutes=5)


class SimulatedDay(Frozen):
    """What one session brought."""

    date: dt.date
    passed: int
    """Pairs that passed the screen."""
    opened: int
    closed: Mapping[str, int]
    """Exit rule -> positions closed by it."""
    unmarked: int
    """Monitor passes in which a position had no mark, counted for each position."""
    open_positions: int
    """At the close."""
    equity: float
    """At the close, dollars."""


class SimulationResult(Frozen):
    """What a span of sessions brought."""

    source: str
    synthetic: bool
    days: tuple[SimulatedDay, ...]

    @property
    def opened(self) -> int:
        """Trades opened."""
        return sum(day.opened for day in self.days)

    @property
    def closed(self) -> Mapping[str, int]:
        """Exit rule -> positions closed by it."""
        total: Counter[str] = Counter()
        for day in self.days:
            total.update(day.closed)
        return dict(sorted(total.items()))

    @property
    def max_drawdown(self) -> float:
        """Largest fall of the closing equity from its peak so far, as a fraction of the peak."""
        peak, worst = 0.0, 0.0
        for day in self.days:
            peak = max(peak, day.equity)
            worst = max(worst, 1 - day.equity / peak)
        return worst


async def simulate(
    desk: Desk,
    clock: SimulatedClock,
    first: dt.date,
    last: dt.date,
    watch: Callable[[SimulatedDay], None] | None = None,
) -> SimulationResult:
    """Run every session from `first` to `last`, both included, and tell `watch` each as it ends.

    `clock` is the one that the desk was given. Raises `InputError` if there is no session in the span, or if the record
    holds a scan of one of them already.
    """
    sessions = calendar.sessions(first, last)
    if not sessions:
        raise InputError(f"there is no session of the New York exchange from {first} to {last}")
    _refuse_a_second_time(desk.database, sessions)
    days: list[SimulatedDay] = []
    source, synthetic = "", False
    for date in sessions:
        scanned, monitored = await _run_session(desk, clock, date)
        source, synthetic = (scanned.source, scanned.synthetic) if scanned else (source, synthetic)
        days.append(_day(date, scanned, monitored))
        if watch is not None:
            watch(days[-1])
    return SimulationResult(source=source, synthetic=synthetic, days=tuple(days))


def _refuse_a_second_time(database: Path, sessions: Sequence[dt.date]) -> None:
    with Reader(database) as reader:
        held = reader.slots()
    again = [date for date in sessions if _slot(date) in held]
    if again:
        span = f"{again[0]} to {again[-1]}" if len(again) > 1 else f"{again[0]}"
        raise InputError(f"{database} already holds the scans of {span}: use another file with --db, or other days")


def _slot(date: dt.date) -> str:
    return f"scan-{date.isoformat()}"


async def _run_session(
    desk: Desk, clock: SimulatedClock, date: dt.date
) -> tuple[ScanResult | None, list[MonitorResult]]:
    scan_at = desk.market.instant_of(date)
    scanned: ScanResult | None = None
    monitored: list[MonitorResult] = []
    for instant in _instants(date):
        clock.advance_to(instant)
        if instant == scan_at:
            scanned = await desk.scan(as_of=instant, slot=_slot(date))
        monitored.append(await desk.monitor(at=instant))
    return scanned, monitored


def _instants(date: dt.date) -> Iterator[dt.datetime]:
    session = calendar.session(date)
    instant = session.open
    while instant <= session.close:
        yield instant
        instant += MONITOR_EVERY


def _day(date: dt.date, scanned: ScanResult | None, monitored: list[MonitorResult]) -> SimulatedDay:
    closed = Counter(
        closing.decision.rule.value
        for result in monitored
        for closing in result.closings
        if closing.order and closing.order.fill
    )
    last = monitored[-1]
    return SimulatedDay(
        date=date,
        passed=scanned.report.passed if scanned else 0,
        opened=sum(review.decision.decision == "traded" for review in scanned.reviews) if scanned else 0,
        closed=dict(sorted(closed.items())),
        unmarked=sum(len(result.unmarked) for result in monitored),
        open_positions=last.positions - sum(1 for one in last.closings if one.order and one.order.fill),
        equity=last.account.equity,
    )
