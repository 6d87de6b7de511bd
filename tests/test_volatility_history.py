"""The history of implied volatility that a market of now has in our own record: kept, ranked, filled from the past."""

import asyncio
import datetime as dt
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from desks import START
from hypothesis import given
from hypothesis import strategies as st

from mahler_agents.cli import main
from mahler_agents.desk import Desk
from mahler_agents.errors import InputError
from mahler_agents.market.sample import DEFAULT_AS_OF, SampleMarket
from mahler_agents.market.snapshot import Snapshot
from mahler_agents.record import open_database
from mahler_agents.record.implied import DayOfVolatility, keep_volatilities, volatilities_before
from mahler_agents.screen import ScreenParams, screen
from mahler_agents.testing.fake_alpaca import FakeAlpaca
from mahler_agents.types import UNIVERSE
from mahler_agents.volatility import MIN_HISTORY_DAYS
from mahler_agents.volatility_history import with_history

WORLD = "alpaca-fake-22"
DATE = dt.date(2026, 3, 17)


@pytest.fixture
def record(tmp_path: Path) -> Path:
    return open_database(tmp_path / "desk.db", create=True)


def _days(count: int, *, before: dt.date = DATE) -> list[DayOfVolatility]:
    days = [before - dt.timedelta(days=number) for number in range(count, 0, -1)]
    return [DayOfVolatility("SPY", day, 0.1 + 0.001 * row, "2026-03-17T14:00:00.000Z") for row, day in enumerate(days)]


def _without_history(snapshot: Snapshot) -> Snapshot:
    bare = {name: replace(held, volatility_history=None) for name, held in snapshot.underlyings.items()}
    return replace(snapshot, underlyings=bare)


def _snapshot() -> Snapshot:
    return asyncio.run(SampleMarket().snapshot(START, UNIVERSE))


def test_each_scan_leaves_a_day_and_the_next_day_reads_it(record: Path):
    today = _without_history(_snapshot())
    with_history(today, record, WORLD)
    again = with_history(today, record, WORLD).underlyings["SPY"].volatility_history
    assert again is not None
    assert len(again.date) == 0  # the day itself is no history of itself
    date = START.date()
    (one,) = volatilities_before(record, WORLD, "SPY", date + dt.timedelta(days=1))
    theirs = _snapshot().underlyings["SPY"].volatility_history
    assert theirs is not None
    assert one == (date, pytest.approx(float(theirs.implied_volatility[-1]), abs=0.02))


def test_another_world_has_another_history(record: Path):
    keep_volatilities(record, "alpaca", _days(5), "scan")
    assert len(volatilities_before(record, "alpaca", "SPY", DATE)) == 5
    assert volatilities_before(record, WORLD, "SPY", DATE) == []


def test_a_market_with_a_history_of_its_own_keeps_it(record: Path):
    snapshot = _snapshot()
    same = with_history(snapshot, record, "sample-22")
    assert all(same.underlyings[name] == snapshot.underlyings[name] for name in UNIVERSE)
    assert same.missing == snapshot.missing


@pytest.mark.parametrize(("days", "ranked"), [(MIN_HISTORY_DAYS - 1, False), (MIN_HISTORY_DAYS, True)])
def test_until_there_are_sixty_days_the_score_goes_without_and_says_so(record: Path, *, days: int, ranked: bool):
    for name in UNIVERSE:
        keep_volatilities(
            record, WORLD, [one._replace(underlying=name) for one in _days(days, before=START.date())], "scan"
        )
    snapshot = with_history(_without_history(_snapshot()), record, WORLD)
    candidates, _ = screen(snapshot, ScreenParams())
    assert candidates
    for candidate in candidates:
        assert (candidate.iv_rank is not None) == ranked
        weighed = {"delta": 0.25, "credit": 0.25, "ev": 0.25, **({"iv": 0.25} if ranked else {})}
        parts = candidate.parts.model_dump()
        expected = sum(weight * parts[name] for name, weight in weighed.items()) / sum(weighed.values())
        assert candidate.score == pytest.approx(expected, abs=1e-6)
    said = {name for name in snapshot.missing if name.startswith("volatility_history.")}
    assert said == (set() if ranked else {f"volatility_history.{name}" for name in UNIVERSE})


@given(st.lists(st.tuples(st.sampled_from(["scan", "option_bars"]), st.floats(0.01, 2)), min_size=1, max_size=6))
def test_the_last_scan_of_a_day_counts_and_trades_never_stand_in_for_quotes(
    tmp_path_factory: pytest.TempPathFactory, written: list[tuple[str, float]]
):
    path = open_database(tmp_path_factory.mktemp("record") / "desk.db", create=True)
    for source, value in written:
        one = DayOfVolatility("SPY", DATE, value, "2026-03-17T14:00:00.000Z")
        keep_volatilities(path, WORLD, [one], "scan" if source == "scan" else "option_bars")
    scans = [value for source, value in written if source == "scan"]
    expected = scans[-1] if scans else written[-1][1]
    assert volatilities_before(path, WORLD, "SPY", dt.date.max) == [(DATE, expected)]


def test_the_past_is_solved_from_trades_and_asked_for_once(tmp_path: Path):
    path = tmp_path / "desk.db"

    async def fill() -> tuple[tuple[int, int], ...]:
        async with Desk(market="alpaca", model="none", database=path, environ=environ) as desk:
            done = await desk.backfill(dt.date(2026, 2, 23), dt.date(2026, 3, 6))
        return tuple((one.asked, one.solved) for one in done)

    with FakeAlpaca() as fake:
        environ = {**fake.environ, "MAHLER_ALPACA_REQUESTS_PER_MINUTE": "10000"}
        first, second = asyncio.run(fill()), asyncio.run(fill())
    assert [asked for asked, _ in first] == [10] * 5
    assert sum(solved for _, solved in first) >= 40
    assert second == tuple((asked - solved, 0) for asked, solved in first)
    told = asyncio.run(SampleMarket().snapshot(DEFAULT_AS_OF, UNIVERSE))
    for name in UNIVERSE:
        history = told.underlyings[name].volatility_history
        assert history is not None
        truth = dict(zip(history.date.tolist(), history.implied_volatility.tolist(), strict=True))
        errors = [found - truth[day] for day, found in volatilities_before(path, WORLD, name, DATE)]
        assert np.abs(errors).max() < 0.006  # of bids and asks in cents, and a term between two expirations


def test_backfill_tells_what_it_solved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    with FakeAlpaca() as fake:
        for name, value in fake.environ.items():
            monkeypatch.setenv(name, value)
        asked = ["data", "backfill", "--from", "2026-03-12", "--to", "2026-03-13", "--db", str(tmp_path / "desk.db")]
        assert main(asked) == 0
    out = capsys.readouterr().out
    assert "SYNTHETIC MARKET" in out
    assert "SPY: 2 days solved of 2 that the record lacked" in out


def test_a_market_that_has_no_past_trades_is_refused(tmp_path: Path):
    async def fill() -> None:
        async with Desk(market="sample", model="none", database=tmp_path / "desk.db", environ={}) as desk:
            await desk.backfill()

    with pytest.raises(InputError, match="the market sample has no past trades of options"):
        asyncio.run(fill())
