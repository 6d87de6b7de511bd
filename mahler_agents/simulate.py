"""Simulate: drives a desk's scans and monitors over a span of sessions; the one driver of all simulations.

Every session: a monitor pass at each instant that the market has (every five minutes of the sample market, the close
in a file of end-of-day chains), and a scan at the market's time for that date, after the pass of that time: its fills
are of the minutes that follow. Nothing waits: the market computes or reads the prices of each instant.
"""

import datetime as dt
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import AwareDatetime

from mahler_agents.clock import SimulatedClock, utc_text
from mahler_agents.desk import Desk
from mahler_agents.errors import HaltedError, InputError
from mahler_agents.market import calendar
from mahler_agents.market.snapshot import Market, ReplayableMarket, Timetable
from mahler_agents.monitor import MonitorResult
from mahler_agents.record.accounts import AccountReader, RecordedEquity
from mahler_agents.report.equity import drawdown
from mahler_agents.scan import ScanResult
from mahler_agents.types import Frozen

MONITOR_EVERY = dt.timedelta(minutes=5)


class SimulatedDay(Frozen):
    """What one session brought."""

    date: dt.date
    synthetic: bool
    """True if its figures are made up."""
    passed: int
    """Pairs that passed the screen."""
    opened: int
    closed: Mapping[str, int]
    """Exit rule, step of the circuit breaker or kind of expiry -> closings by it, whole or in part."""
    unmarked: int
    """Monitor passes in which a position had no mark, counted for each position."""
    open_positions: int
    """At the end."""
    unsettled: tuple[str, ...]
    """Of them, those that have expired and could not be settled: which, why, and what to do about it."""
    equity: float
    """After the last pass, dollars."""
    refused: str | None = None
    """Why its scan was refused: the trading state was HALTED. The passes went on."""


class SimulationResult(Frozen):
    """What a span of sessions brought."""

    world: str
    """Whose prices they were, e.g. `sample-22`."""
    days: tuple[SimulatedDay, ...]
    skipped: Mapping[dt.date, str]
    """Sessions of which the market has no quotes -> why."""
    missing: Mapping[str, str]
    """Parts that the market does not have, as the last scan found, and why."""
    interrupted_at: AwareDatetime | None = None
    """The last instant before the simulation was stopped; None if it was not."""

    @property
    def synthetic(self) -> bool:
        """Whether any figure is made up."""
        return any(day.synthetic for day in self.days)

    @property
    def opened(self) -> int:
        """Trades opened."""
        return sum(day.opened for day in self.days)

    @property
    def refused(self) -> int:
        """Scans that were refused by a halt."""
        return sum(day.refused is not None for day in self.days)

    @property
    def closed(self) -> Mapping[str, int]:
        """Exit rule, step of the circuit breaker or kind of expiry -> closings by it, whole or in part."""
        total: Counter[str] = Counter()
        for day in self.days:
            total.update(day.closed)
        return dict(sorted(total.items()))

    @property
    def max_drawdown(self) -> float:
        """Largest fall of the days' last equity from its peak so far, as a fraction of the peak."""
        closes = [RecordedEquity(at=day.date.isoformat(), equity=day.equity) for day in self.days]
        fall = drawdown(closes, ())
        return fall.share if fall else 0.0


@dataclass(kw_only=True)
class _Session:
    """What has happened in a session so far."""

    date: dt.date
    scanned: ScanResult | None = None
    refused: str | None = None
    monitored: list[MonitorResult] = field(default_factory=list[MonitorResult])


async def simulate(
    desk: Desk,
    clock: SimulatedClock,
    first: dt.date,
    last: dt.date,
    *,
    watch: Callable[[SimulatedDay], None] | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> SimulationResult:
    """Run every session from `first` to `last`, both included, and tell `watch` each as it ends.

    `clock` is the one that the desk was given. `stop` is asked between passes: once it says so, the simulation ends
    with what is done. Raises `InputError` if the market cannot be replayed, has no session in the span, or if the
    record holds a scan of one of them already.
    """
    tables = timetables(desk.market, first, last)
    timed = {date: table.instants for date, table in tables.items() if table.instants}
    _refuse_a_second_time(desk.database, list(timed))
    days: list[SimulatedDay] = []
    missing: Mapping[str, str] = {}
    stopped_at: dt.datetime | None = None
    for date, instants in timed.items():
        session, stopped_at = await _run_session(desk, clock, date, instants, stop)
        if session.monitored:
            days.append(_day(desk.database, session))
            missing = session.scanned.missing if session.scanned else missing
            if watch is not None:
                watch(days[-1])
        if stopped_at is not None:
            break
    return SimulationResult(
        world=desk.market.world,
        days=tuple(days),
        skipped={date: table.absent for date, table in tables.items() if not table.instants},
        missing=missing,
        interrupted_at=stopped_at,
    )


def timetables(market: Market, first: dt.date, last: dt.date) -> Mapping[dt.date, Timetable]:
    """Return when a market can be asked in each session from `first` to `last`, both included.

    Raises `InputError` if it cannot be replayed, or has no session in the span.
    """
    if first > last:
        raise InputError(f"the first day, {first}, is after the last, {last}")
    if market.live or not isinstance(market, ReplayableMarket):
        raise InputError(f"the market {market.name} cannot be simulated: it has no past days to go through")
    tables = {date: market.timetable(date, MONITOR_EVERY) for date in calendar.sessions(first, last)}
    if not tables:
        raise InputError(f"there is no session of the New York exchange from {first} to {last}")
    if not any(table.instants for table in tables.values()):
        date, table = next(iter(tables.items()))
        raise InputError(f"the market has no quotes of any session from {first} to {last}: {date} {table.absent}")
    return tables


def _refuse_a_second_time(database: Path, sessions: Sequence[dt.date]) -> None:
    with AccountReader(database) as reader:
        held = reader.slots()
    again = [date for date in sessions if _slot(date) in held]
    if again:
        span = f"{again[0]} to {again[-1]}" if len(again) > 1 else f"{again[0]}"
        raise InputError(f"{database} already holds the scans of {span}: use another file with --db, or other days")


def _slot(date: dt.date) -> str:
    return f"scan-{date.isoformat()}"


async def _run_session(
    desk: Desk,
    clock: SimulatedClock,
    date: dt.date,
    instants: Sequence[dt.datetime],
    stop: Callable[[], bool],
) -> tuple[_Session, dt.datetime | None]:
    """Return the session, and the instant before which it was stopped."""
    scan_at = desk.market.instant_of(date)
    session = _Session(date=date)
    for instant in instants:
        if stop():
            return session, instant
        clock.advance_to(instant)
        session.monitored.append(await desk.monitor(at=instant))
        if instant == scan_at:
            try:
                session.scanned = await desk.scan(as_of=instant, slot=_slot(date))
            except HaltedError as error:  # somebody halted it on the way; exits go on
                session.refused = str(error)
    return session, None


def _day(database: Path, session: _Session) -> SimulatedDay:
    """Return what a session brought; what was closed and is open is the record's to say."""
    scanned, last = session.scanned, session.monitored[-1]
    begins = utc_text(session.monitored[0].at)
    with AccountReader(database) as reader:
        closed, held = reader.closings_since(last.account.account_id, begins), reader.open_positions()
    return SimulatedDay(
        date=session.date,
        synthetic=last.synthetic,
        passed=scanned.report.passed if scanned else 0,
        opened=sum(review.decision.decision == "traded" for review in scanned.reviews) if scanned else 0,
        closed=closed,
        unmarked=sum(len(result.unmarked) for result in session.monitored),
        open_positions=sum(one.account_id == last.account.account_id for one in held),
        unsettled=tuple(f"{alert.spread}: {alert.text}" for alert in last.unsettled),
        equity=last.account.equity,
        refused=session.refused,
    )
