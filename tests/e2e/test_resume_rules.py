"""End to end: when a scan is resumed, by whom, on what, and what is refused: yesterday's quotes are never traded."""

import asyncio
import datetime as dt
import shutil
import sqlite3
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from crashes import CountedModel, FrozenOut, desk_of, die, finished, killed, resumed, scanned

from mahler_agents.analysts import ANALYSTS
from mahler_agents.cli import main
from mahler_agents.clock import Ids, SimulatedClock
from mahler_agents.config import DeskConfig
from mahler_agents.errors import InputError, UnknownIdError
from mahler_agents.llm.budget import ScanBudget
from mahler_agents.market.sample import SampleMarket
from mahler_agents.market.snapshot import Snapshot
from mahler_agents.risk import BreakerBook, RiskLimits
from mahler_agents.scan import ScanResult
from mahler_agents.testing import virtual_time
from mahler_agents.types import Reason

MINUTE = dt.timedelta(minutes=1)
AS_OF = dt.datetime(2026, 3, 17, 14, 0, tzinfo=dt.UTC)
"""Of the snapshot that the sample market has unless it is asked for another."""
FEWEST = 4
"""Calls that are recorded as ended when the process dies, at least."""
LAST_REQUEST = 19
"""The request at which it dies, of the 29 that all the questions take: at least 10 are left."""


class Live(FrozenOut):
    """A market whose quotes of a later instant exist only once that has come."""

    live = True


class LiveNow(SampleMarket):
    """Such a market, of which there still is a snapshot."""

    live = True


class Present(LiveNow):
    """One that shows the present instant alone, as a broker's feed does."""

    def __init__(self, clock: SimulatedClock) -> None:
        super().__init__()
        self._clock = clock

    def default_as_of(self) -> dt.datetime:
        return self._clock.now()

    def check_now(self, at: dt.datetime) -> None:
        if abs(self._clock.now() - at) > 5 * MINUTE:
            raise InputError(f"the market has only now, {self._clock.now()}, and not {at}")

    async def snapshot(self, as_of: dt.datetime, underlyings: Sequence[str]) -> Snapshot:
        self.check_now(as_of)
        return await super().snapshot(as_of, underlyings)


@pytest.fixture(scope="module")
def died(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the record of a scan that died after it had heard something."""
    return _died(tmp_path_factory.mktemp("died") / "desk.db")


@pytest.fixture
def database(died: Path, tmp_path: Path) -> Path:
    """Return a copy of it."""
    return Path(shutil.copy(died, tmp_path / "desk.db"))


@pytest.fixture(scope="module")
def died_live(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the record of a scan that died so on a live market."""
    return _died(tmp_path_factory.mktemp("died") / "live.db", market=LiveNow())


@pytest.fixture
def live_database(died_live: Path, tmp_path: Path) -> Path:
    """Return a copy of it."""
    return Path(shutil.copy(died_live, tmp_path / "live.db"))


def _died(database: Path, **choices: Any) -> Path:
    """Kill a scan that has heard something and decided no order."""

    def die_once_recorded() -> None:
        for _ in range(10_000):  # the writer's thread goes on meanwhile, as fast as the machine lets it
            if finished(database).total() >= FEWEST:
                die()
        raise AssertionError("what was heard is not recorded")

    def work(path: Path, model: CountedModel) -> ScanResult:
        return scanned(path, model, **choices)

    assert killed(database, LAST_REQUEST, work, commits=False, then=die_once_recorded)
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert FEWEST <= finished(database).total() < LAST_REQUEST
    assert query(database, "SELECT COUNT(*) FROM orders") == [(0,)]
    return database


def query(database: Path, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute(sql).fetchall()


def model_of(database: Path) -> CountedModel:
    return CountedModel(finished(database))


# --- Time -------------------------------------------------------------------------------------------------------------


def test_ten_minutes_after_its_snapshot_a_run_still_trades(database: Path) -> None:
    result = resumed(database, model_of(database), at=AS_OF + 10 * MINUTE)
    assert result is not None
    assert result.resumed is not None
    assert result.resumed.stale is None
    assert sum(review.decision.decision == "traded" for review in result.reviews) >= 2


@pytest.mark.parametrize("after", [10 * MINUTE + dt.timedelta(seconds=1), dt.timedelta(hours=3), dt.timedelta(days=1)])
def test_later_it_completes_reviews_and_opens_nothing(database: Path, after: dt.timedelta) -> None:
    model = model_of(database)
    result = resumed(database, model, at=AS_OF + after)
    assert result is not None
    assert result.resumed is not None
    assert "2026-03-17 10:00" in (result.resumed.stale or "")
    assert {review.decision.reason for review in result.reviews} == {Reason.STALE_SNAPSHOT}
    assert all(review.advice is not None for review in result.reviews)
    assert model.asked
    assert query(database, "SELECT COUNT(*) FROM orders") == [(0,)]
    assert query(database, "SELECT DISTINCT decision, reason FROM candidates WHERE reviewed") == [
        ("skipped", "stale_snapshot")
    ]
    assert query(database, "SELECT status, abandoned_at FROM runs") == [("done", None)]


def test_after_the_close_it_opens_nothing_however_fresh_its_snapshot_is(tmp_path: Path) -> None:
    near_the_close = dt.datetime(2026, 3, 17, 19, 55, tzinfo=dt.UTC)
    database = _died(tmp_path / "desk.db", as_of=near_the_close)
    result = resumed(database, model_of(database), at=near_the_close + 5 * MINUTE)
    assert result is not None
    assert result.resumed is not None
    assert "outside the session" in (result.resumed.stale or "")
    assert query(database, "SELECT COUNT(*) FROM orders") == [(0,)]


def test_an_account_that_has_traded_since_opens_nothing_on_the_older_snapshot(database: Path) -> None:
    scanned(database, CountedModel({}), as_of=AS_OF + 5 * MINUTE, slot=None, ids=Ids(2))
    orders = query(database, "SELECT * FROM orders")
    result = resumed(database, model_of(database))
    assert result is not None
    assert result.resumed is not None
    assert "has traded" in (result.resumed.stale or "")
    assert query(database, "SELECT * FROM orders") == orders != []


def test_a_run_is_not_resumed_before_its_own_snapshot(database: Path) -> None:
    with pytest.raises(InputError, match="cannot be resumed before"):
        resumed(database, model_of(database), at=AS_OF - MINUTE)


@pytest.mark.parametrize(("after", "trades"), [(5 * MINUTE, True), (11 * MINUTE, False)])
def test_a_live_market_goes_by_the_clock_and_decides_orders_anew(
    live_database: Path, after: dt.timedelta, *, trades: bool
) -> None:
    database = live_database
    result = resumed(database, model_of(database), market=Live(), clock=SimulatedClock(AS_OF + after))
    assert result is not None
    decided = query(database, "SELECT DISTINCT decided_at FROM orders")
    shadows = query(database, "SELECT DISTINCT entered_at FROM shadows")
    assert decided == shadows == ([("2026-03-17T14:08:00.000Z",)] if trades else [])


def test_on_a_live_market_no_instant_that_is_given_makes_an_old_snapshot_fresh(live_database: Path) -> None:
    clock = SimulatedClock(AS_OF + dt.timedelta(hours=26))
    result = resumed(live_database, model_of(live_database), market=Live(), clock=clock, at=AS_OF + MINUTE)
    assert result is not None
    assert result.resumed is not None
    assert "2026-03-17 10:00" in (result.resumed.stale or "")
    assert {review.decision.reason for review in result.reviews} == {Reason.STALE_SNAPSHOT}
    assert query(live_database, "SELECT COUNT(*) FROM orders") == [(0,)]


def test_a_market_that_shows_the_present_alone_refuses_to_resume_at_another_instant(live_database: Path) -> None:
    clock, model = SimulatedClock(AS_OF + dt.timedelta(hours=26)), model_of(live_database)
    before = query(live_database, "SELECT * FROM runs")
    with pytest.raises(InputError, match="only now"):
        resumed(live_database, model, market=Present(clock), clock=clock, at=AS_OF + MINUTE)
    assert query(live_database, "SELECT * FROM runs") == before
    assert not model.asked


def test_a_breaker_that_halted_in_between_opens_nothing_on_the_older_snapshot(live_database: Path) -> None:
    [(account_id,)] = query(live_database, "SELECT account_id FROM runs")
    with BreakerBook(live_database, account_id) as book:
        halts = book.evaluate(equity=80_000.0, at=AS_OF + 5 * MINUTE, vix=15.0).state.halts
    clock = SimulatedClock(AS_OF + 8 * MINUTE)
    result = resumed(live_database, model_of(live_database), market=Live(), clock=clock)
    assert result is not None
    assert result.resumed is not None
    assert "circuit breaker has halted since" in (result.resumed.stale or "")
    assert halts
    assert all(halt.rule.value in (result.resumed.stale or "") for halt in halts)
    assert {review.decision.reason for review in result.reviews} == {Reason.STALE_SNAPSHOT}
    assert query(live_database, "SELECT COUNT(*) FROM orders") == [(0,)]


def test_a_scheduled_scan_is_of_the_instant_at_which_what_was_left_is_finished(live_database: Path) -> None:
    begun = AS_OF + 30 * MINUTE
    clock, heard = SimulatedClock(begun), finished(live_database)

    def slowly() -> None:
        if len(query(live_database, "SELECT id FROM runs")) == 1:
            clock.advance_to(clock.now() + MINUTE)

    model = CountedModel(heard, slowly)
    result = scanned(live_database, model, market=Present(clock), clock=clock, slot="next", ids=Ids(2))
    assert result.as_of >= begun + 6 * MINUTE, "more than the market calls now"
    assert result.resumed is None
    assert query(live_database, "SELECT DISTINCT status FROM runs") == [("done",)]


# --- By whom ----------------------------------------------------------------------------------------------------------


def test_the_next_scan_of_its_slot_is_the_end_of_the_run(database: Path) -> None:
    model = model_of(database)
    result = scanned(database, model, ids=Ids(2), market=FrozenOut())
    assert result.resumed is not None
    assert query(database, "SELECT id, status FROM runs") == [(result.run_id, "done")]


def test_the_next_scheduled_scan_completes_the_reviews_and_begins_its_own(database: Path) -> None:
    left = query(database, "SELECT id FROM runs")[0][0]
    result = scanned(database, model_of(database), as_of=AS_OF + dt.timedelta(days=1), slot="next", ids=Ids(2))
    assert result.resumed is None
    assert result.unfinished == ()
    assert dict(query(database, "SELECT id, status FROM runs")) == {left: "done", result.run_id: "done"}
    stale = query(database, f"SELECT DISTINCT reason FROM candidates WHERE run_id = '{left}' AND reviewed")
    assert stale == [("stale_snapshot",)]


def test_a_run_that_cannot_be_resumed_keeps_no_scheduled_scan_from_its_time(database: Path) -> None:
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE runs SET version = '0.0.1'")
    connection.close()
    for number in (2, 3):
        at = AS_OF + number * dt.timedelta(days=1)
        result = scanned(database, CountedModel({}), as_of=at, slot=f"{number}", ids=Ids(number))
        assert len(result.unfinished) == 1
    told = query(database, "SELECT message FROM events WHERE code = 'not_resumed'")
    assert [text.partition(" was begun by version 0.0.1")[1] != "" for (text,) in told] == [True]


def test_an_ad_hoc_scan_leaves_it_and_says_so(database: Path) -> None:
    left = query(database, "SELECT id FROM runs")[0][0]
    result = scanned(database, CountedModel({}), slot=None, ids=Ids(2))
    assert result.unfinished == (left,)
    assert query(database, f"SELECT status FROM runs WHERE id = '{left}'") == [("failed",)]


def test_of_two_that_resume_at_once_one_does(database: Path) -> None:
    models = [model_of(database), model_of(database)]

    async def both() -> list[Any]:
        async def one(model: CountedModel) -> Any:
            async with desk_of(database, model.endpoint, market=FrozenOut()) as desk:
                return await desk.resume()

        return await asyncio.gather(*map(one, models), return_exceptions=True)

    ended = asyncio.run(both())  # virtual time has one thread, and one of them waits in it for the other
    refused = [one for one in ended if isinstance(one, InputError)]
    assert len(refused) == 1
    assert "may be at work in another process" in str(refused[0])
    assert sorted(bool(model.asked) for model in models) == [False, True]
    assert query(database, "SELECT status FROM runs") == [("done",)]


def test_a_resumption_that_is_killed_is_resumed(database: Path) -> None:
    assert killed(database, 30, resumed)
    before, model = finished(database), model_of(database)
    result = resumed(database, model)
    assert result is not None
    assert query(database, "SELECT status FROM runs") == [("done",)]
    calls = Counter(span for (span,) in query(database, "SELECT span_id FROM llm_calls WHERE abandoned_at IS NULL"))
    assert calls == before + model.asked


# --- On what ----------------------------------------------------------------------------------------------------------


def test_what_was_spent_before_counts_in_the_budget(tmp_path: Path) -> None:
    budget = ScanBudget(max_calls=20)
    database = _died(tmp_path / "desk.db", budget=budget)
    before = query(database, "SELECT COUNT(*) FROM llm_calls")[0][0]
    model = model_of(database)
    result = resumed(database, model, budget=ScanBudget())
    assert result is not None
    assert result.resumed is not None
    assert result.resumed.kept == ("budget",)
    assert result.spent.calls == query(database, "SELECT COUNT(*) FROM llm_calls")[0][0] == 20
    assert model.asked.total() == 20 - before


def test_a_prompt_that_changed_in_between_is_not_used(database: Path, tmp_path: Path) -> None:
    own = tmp_path / "prompts"
    shutil.copytree(Path(__file__).parents[2] / "prompts", own)
    text = (own / "greeks.md").read_text(encoding="utf-8")
    (own / "greeks.md").write_text(text + "\nSay it in French.\n", encoding="utf-8")
    result = resumed(database, model_of(database), prompts=own, limits=RiskLimits(max_portfolio_heat_pct=0.01))
    assert result is not None
    assert result.resumed is not None
    assert [one.partition(" (")[0].split()[:2] for one in result.resumed.kept] == [["limits"], ["prompt", "greeks"]]
    assert "French" not in "".join(text for (text,) in query(database, "SELECT request FROM llm_calls"))
    assert query(database, "SELECT COUNT(DISTINCT prompt_hash) FROM llm_calls WHERE role = 'greeks'") == [(1,)]


@pytest.mark.parametrize(
    ("choices", "named"),
    [
        ({"config": DeskConfig(debate_rounds=1)}, "debate_rounds 0 (now 1)"),
        ({"config": DeskConfig(max_trades_per_scan=1)}, "max_trades_per_scan 3 (now 1)"),
        ({"analysts": ANALYSTS[:2]}, "not of this panel"),
        ({"model": "none"}, "models for fund_manager"),
    ],
)
def test_another_desk_is_refused_and_the_run_stays_as_it_was(
    database: Path, choices: dict[str, Any], named: str
) -> None:
    async def run() -> None:
        async with desk_of(database, choices.pop("model", model_of(database).endpoint), **choices) as desk:
            await desk.resume()

    before = query(database, "SELECT * FROM runs")
    with pytest.raises(InputError) as refused:
        virtual_time.run(run())
    assert named in str(refused.value)
    assert "\n" not in str(refused.value)
    assert query(database, "SELECT * FROM runs") == before


# --- Which run --------------------------------------------------------------------------------------------------------


def test_nothing_that_was_left_is_nothing_to_do(tmp_path: Path) -> None:
    database = tmp_path / "desk.db"
    scanned(database, CountedModel({}))
    assert resumed(database, CountedModel({})) is None
    with pytest.raises(InputError, match="is done: its process did not leave it"):
        resumed(database, CountedModel({}), "latest")
    with pytest.raises(UnknownIdError, match="no run `19990101`"):
        resumed(database, CountedModel({}), "19990101")


def test_the_command_says_what_it_finished_and_the_trace_how_to(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    options = ["--model", "none", "--db", "desk.db"]
    assert main(["scan", "--resume", *options]) == 0
    assert "nothing to resume" in capsys.readouterr().out
    assert main(["scan", *options]) == 0
    with sqlite3.connect("desk.db") as connection:
        connection.execute("UPDATE runs SET status = 'failed', abandoned_at = started_at")
        left = connection.execute("SELECT id FROM runs").fetchone()[0]
    connection.close()
    capsys.readouterr()
    assert main(["trace", "show", left, "--db", "desk.db"]) == 0
    assert f"mahler scan --resume {left}" in capsys.readouterr().out
    assert main(["scan", "--resume", "nonsense", *options]) == 2
    assert "no run `nonsense`" in capsys.readouterr().err
    assert main(["scan", "--resume", left[:10], *options]) == 0
    assert f"run {left}: 0 LLM calls served from the record" in capsys.readouterr().out
    assert main(["scan", "--resume", left, *options]) == 2
    assert "there is nothing to resume" in capsys.readouterr().err
