"""End to end: what comes after a scan's instant may be any other world, and every brief so far stays the same."""

import datetime as dt
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from mahler_agents.clock import Ids, SimulatedClock
from mahler_agents.desk import Desk
from mahler_agents.market.sample import SampleMarket
from mahler_agents.market.snapshot import Dividend, Snapshot, Timetable
from mahler_agents.simulate import simulate
from mahler_agents.testing import virtual_time
from mahler_agents.testing.scripted import ScriptedModel
from mahler_agents.types import Quote

FIRST, FORK, LAST = dt.date(2026, 1, 5), dt.date(2026, 1, 6), dt.date(2026, 1, 8)
AT_FORK = SampleMarket().instant_of(FORK)


class ForkedMarket(SampleMarket):
    """The sample market until an instant, and another world after it: no quote, price or headline is the same."""

    def __init__(self, after: dt.datetime) -> None:
        super().__init__()
        self._after, self._other = after, SampleMarket(seed=self.seed + 1)

    def timetable(self, date: dt.date, every: dt.timedelta) -> Timetable:
        """Return three instants of a session, which are enough here: the scan's, one for its fills, and a later one."""
        half_hours = super().timetable(date, max(every, dt.timedelta(minutes=30))).instants
        return Timetable(instants=(half_hours[1], half_hours[2], half_hours[8]))

    async def snapshot(self, as_of: dt.datetime, underlyings: Sequence[str]) -> Snapshot:
        if as_of > self._after:
            return await self._other.snapshot(as_of, underlyings)
        return await super().snapshot(as_of, underlyings)

    async def quotes(self, symbols: Sequence[str], at: dt.datetime) -> Mapping[str, Quote]:
        return await self._other.quotes(symbols, at) if at > self._after else await super().quotes(symbols, at)

    async def dividends(self, underlyings: Sequence[str], at: dt.datetime) -> Mapping[str, tuple[Dividend, ...]]:
        if at > self._after:
            return await self._other.dividends(underlyings, at)
        return await super().dividends(underlyings, at)

    async def prices(self, underlyings: Sequence[str], at: dt.datetime) -> Mapping[str, float]:
        return await self._other.prices(underlyings, at) if at > self._after else await super().prices(underlyings, at)

    async def vix(self, at: dt.datetime) -> float | None:
        return await self._other.vix(at) if at > self._after else await super().vix(at)


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return the records of the same sessions: in one world, and where another begins after the scan of `FORK`."""
    folder = tmp_path_factory.mktemp("worlds")
    for name, after in (("one", dt.datetime.max.replace(tzinfo=dt.UTC)), ("forked", AT_FORK)):
        run(folder / f"{name}.db", after)
    return folder / "one.db", folder / "forked.db"


def run(database: Path, after: dt.datetime) -> None:
    async def simulated() -> None:
        clock = SimulatedClock(dt.datetime.combine(FIRST, dt.time(), dt.UTC))
        model = ScriptedModel.always(confidence=0.6, p_profit=0.7, approved=True, contracts=1).endpoint
        market = ForkedMarket(after)
        async with Desk(market=market, model=model, database=database, clock=clock, ids=Ids(0), environ={}) as desk:
            await simulate(desk, clock, FIRST, LAST)

    virtual_time.run(simulated())


def briefs(database: Path) -> dict[str, list[tuple[str, str]]]:
    """Return the briefs and the requests that were sent, by date of the scan."""
    with closing(sqlite3.connect(database)) as connection:
        rows = connection.execute(
            "SELECT substr(as_of, 1, 10), content, request FROM llm_calls JOIN briefs ON briefs.hash = brief_hash"
            " JOIN runs ON runs.id = run_id ORDER BY as_of, llm_calls.candidate_id, llm_calls.role, llm_calls.id"
        ).fetchall()
    found: dict[str, list[tuple[str, str]]] = {}
    for date, *texts in rows:
        found.setdefault(date, []).append((texts[0], texts[1]))
    return found


def test_no_brief_changes_when_everything_after_its_instant_does(worlds: tuple[Path, Path]) -> None:
    one, forked = map(briefs, worlds)
    until = [date for date in one if date <= FORK.isoformat()]
    assert FORK.isoformat() in until
    assert len(until) > 1
    assert [one[date] for date in until] == [forked[date] for date in until]


def test_the_other_world_is_another_one(worlds: tuple[Path, Path]) -> None:
    """Else the test above would say nothing: fills after the fork and the next day's briefs are not the same."""
    one, forked = map(briefs, worlds)
    assert one[LAST.isoformat()] != forked.get(LAST.isoformat())
    entries = []
    for path in worlds:
        with closing(sqlite3.connect(path)) as connection:
            entries.append(
                connection.execute(
                    "SELECT candidate_id, entry_credit FROM shadows WHERE entered_at > ? ORDER BY 1",
                    (f"{FORK}T00:00:00.000Z",),
                ).fetchall()
            )
    assert entries[0] != entries[1]
