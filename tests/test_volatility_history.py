"""The history of implied volatility that a market of now has in our own record: kept, ranked, filled from the past."""

import asyncio
import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from desks import START
from hypothesis import given
from hypothesis import strategies as st

from mahler_agents.cli import main
from mahler_agents.desk import Desk
from mahler_agents.errors import InputError
from mahler_agents.market.alpaca.fetch import Fetch
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


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeAlpaca]:
    """A fake Alpaca that the environment names, and a folder of one's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MAHLER_DB", raising=False)
    with FakeAlpaca() as one:
        for name, value in one.environ.items():
            monkeypatch.setenv(name, value)
        yield one


TWO_DAYS = ("data", "backfill", "--from", "2026-03-12", "--to", "2026-03-13")


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


def test_the_record_of_the_account_at_alpaca_is_filled_and_no_other(fake: FakeAlpaca, tmp_path: Path):
    asyncio.run(_open_at_alpaca(fake))  # the record is that account's from here on
    assert main([*TWO_DAYS, "--market", "alpaca", "--broker", "alpaca"]) == 0
    (record,) = tmp_path.glob("mahler-*.db")
    assert record.name == "mahler-alpaca-alpaca.db"
    assert [len(volatilities_before(record, WORLD, name, DATE)) for name in UNIVERSE] == [2] * 5
    asyncio.run(_open_at_alpaca(fake))


async def _open_at_alpaca(fake: FakeAlpaca) -> None:
    async with Desk(market="alpaca", broker="alpaca", model="none", environ=fake.environ):
        pass


def test_what_alpaca_does_not_tell_of_one_underlying_costs_the_others_nothing_and_is_told(
    fake: FakeAlpaca, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    record, (first, *others) = tmp_path / "desk.db", UNIVERSE
    fake.fail("GET /v2/options/contracts", "422")
    assert main([*TWO_DAYS, "--db", str(record)]) == 1
    told = capsys.readouterr()
    assert not fake.scripted
    assert [len(volatilities_before(record, WORLD, name, DATE)) for name in UNIVERSE] == [0, 2, 2, 2, 2]
    assert f"{first}: 0 days solved of 2 that the record lacked\n" in told.out
    assert all(f"{name}: 2 days solved of 2" in told.out for name in others)
    assert told.err.startswith(f"mahler: {first}: Alpaca refused the past option contracts of {first}")
    assert told.err.count("\n") == 1


@pytest.mark.usefixtures("fake")
def test_a_listed_symbol_that_is_no_option_s_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    listed = Fetch.listed

    async def with_another(self: Fetch, underlying: str, **asked: Any) -> Sequence[str]:
        return ["None", *await listed(self, underlying, **asked), "SPYXXXXXXP"]

    monkeypatch.setattr(Fetch, "listed", with_another)
    assert main([*TWO_DAYS, "--db", str(tmp_path / "desk.db")]) == 0
    assert len(volatilities_before(tmp_path / "desk.db", WORLD, "SPY", DATE)) == 2


@pytest.mark.parametrize(("age", "replaced"), [(1200.0, True), (1201.0, False), (np.nan, False)])
def test_quotes_that_no_order_would_be_priced_by_never_replace_a_days_figure(
    record: Path, *, age: float, replaced: bool
):
    keep_volatilities(record, WORLD, [DayOfVolatility("SPY", START.date(), 0.3333, "2026-03-17T20:00:00.000Z")], "scan")
    snapshot = _without_history(_snapshot())
    held = snapshot.underlyings["SPY"]
    aged = replace(held, chain=replace(held.chain, quote_age_seconds=np.full(len(held.chain), age)))
    with_history(replace(snapshot, underlyings={"SPY": aged}), record, WORLD, max_quote_age_seconds=1200.0)
    ((_, figure),) = volatilities_before(record, WORLD, "SPY", dt.date.max)
    assert (figure != 0.3333) == replaced


def test_a_market_that_has_no_past_trades_is_refused(tmp_path: Path):
    async def fill() -> None:
        async with Desk(market="sample", model="none", database=tmp_path / "desk.db", environ={}) as desk:
            await desk.backfill()

    with pytest.raises(InputError, match="the market sample has no past trades of options"):
        asyncio.run(fill())
