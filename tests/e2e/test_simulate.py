"""End to end: a month of the sample market through the real graphs, scans and monitor passes."""

import datetime as dt
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from conftest import SOAK
from desks import passes_every

from mahler_agents.clock import Ids, SimulatedClock
from mahler_agents.desk import Desk
from mahler_agents.errors import InputError
from mahler_agents.market.calendar import session_close
from mahler_agents.market.csv import CsvMarket
from mahler_agents.market.sample import SampleMarket
from mahler_agents.market.snapshot import Market
from mahler_agents.record.accounts import AccountReader
from mahler_agents.report import AccountReport, Span, read_report
from mahler_agents.simulate import SimulationResult, simulate, timetables
from mahler_agents.testing import virtual_time
from mahler_agents.types import Quote

FIRST, LAST = dt.date(2026, 1, 2), dt.date(2026, 1, 30)
LAST_OF_QUARTER = dt.date(2026, 3, 31)
CHAINS = Path(__file__).parents[3] / "shared" / "data" / "spy_eod_2021.csv"


def run(
    database: Path,
    market: Market,
    first: dt.date = FIRST,
    last: dt.date = LAST,
    *,
    every: int = 30,
    stop: Callable[[], bool] = lambda: False,
) -> SimulationResult:
    async def simulated() -> SimulationResult:
        clock = SimulatedClock(dt.datetime.combine(first, dt.time(), dt.UTC))
        async with Desk(market=market, model="none", database=database, clock=clock, ids=Ids(0), environ={}) as desk:
            return await simulate(desk, clock, first, last, stop=stop)

    with passes_every(every):
        return virtual_time.run(simulated())


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SimulationResult]:
    database = tmp_path_factory.mktemp("month") / "month.db"
    return database, run(database, SampleMarket(), every=5 if SOAK else 15)


def content(database: Path) -> dict[str, list[str]]:
    """Return every row of every table, in an order of their own: all but when the schema's migrations were applied."""
    connection = sqlite3.connect(database)
    tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    found = {name: sorted(map(repr, connection.execute(f"SELECT * FROM {name}"))) for name in tables}
    connection.close()
    del found["_sqlite_migrations"]
    return found


def query(database: Path, sql: str) -> list[dict[str, Any]]:
    connection = sqlite3.connect(database)
    connection.row_factory = sqlite3.Row
    found = [dict(row) for row in connection.execute(sql)]
    connection.close()
    return found


def test_a_session_is_looked_at_every_five_minutes_from_the_open_to_the_close() -> None:
    table = timetables(SampleMarket(), FIRST, FIRST)[FIRST]
    assert len(table.instants) == 79
    assert {after - before for before, after in pairwise(table.instants)} == {dt.timedelta(minutes=5)}
    assert table.instants[-1] == session_close(FIRST)


def test_trades_open_and_every_exit_rule_closes_some(month: tuple[Path, SimulationResult]) -> None:
    _, result = month
    assert result.synthetic
    assert result.opened >= 5
    assert set(result.closed) == {"profit_target", "stop_loss", "time_exit"}


def test_cash_is_the_start_plus_every_fill_less_every_fee_to_the_cent(month: tuple[Path, SimulationResult]) -> None:
    database, _ = month
    [account] = query(database, "SELECT cash_cents FROM paper_accounts")
    fills = query(database, "SELECT credit, contracts, fees FROM fills")
    received = sum(round(fill["credit"] * 100) * 100 * fill["contracts"] - round(fill["fees"] * 100) for fill in fills)
    assert account["cash_cents"] == 10_000_000 + received


def test_with_nothing_open_the_equity_is_the_start_plus_the_outcomes(month: tuple[Path, SimulationResult]) -> None:
    database, result = month
    outcomes = query(database, "SELECT pnl_dollars FROM outcomes")
    flat = [day for day in result.days if day.open_positions == 0 and day.date > FIRST]
    assert flat[-1].date == LAST
    assert flat[-1].equity == pytest.approx(100_000 + sum(one["pnl_dollars"] for one in outcomes), abs=0.005)


def test_every_mark_that_a_rule_asks_to_close_at_has_its_order_and_no_other(
    month: tuple[Path, SimulationResult],
) -> None:
    database, _ = month
    closed = query(
        database,
        "SELECT positions.entry_order_id, positions.entry_credit, positions.expiration, marks.at, marks.mid_cost,"
        " (SELECT COUNT(*) FROM orders WHERE closes = positions.entry_order_id AND decided_at = marks.at) AS asked"
        " FROM positions JOIN marks USING (entry_order_id)",
    )
    assert closed
    for row in closed:
        stop, target = 2.25 * row["entry_credit"], 0.35 * row["entry_credit"]
        dte = (dt.date.fromisoformat(row["expiration"]) - dt.date.fromisoformat(row["at"][:10])).days
        breached = row["mid_cost"] >= stop or row["mid_cost"] <= target or dte <= 21
        assert row["asked"] == breached


def test_every_reviewed_candidate_is_followed_traded_or_not(month: tuple[Path, SimulationResult]) -> None:
    database, _ = month
    shadows = query(database, "SELECT * FROM shadows JOIN candidates ON candidates.id = shadows.candidate_id")
    [reviewed] = query(database, "SELECT COUNT(*) AS count FROM candidates WHERE reviewed")
    assert len(shadows) == reviewed["count"]
    assert {one["decision"] for one in shadows} == {"traded", "skipped"}
    closes = {dt.datetime.fromisoformat(one["daily_exit_at"]) for one in shadows if one["daily_exit_at"]}
    assert closes
    assert closes <= {session_close(close.date()) for close in closes}


def test_a_traded_candidates_shadow_exits_when_its_position_does_unless_it_was_filled_elsewhere(
    month: tuple[Path, SimulationResult],
) -> None:
    database, _ = month
    pairs = query(
        database,
        "SELECT shadows.exit_rule, shadows.exit_at, outcomes.rule, MIN(exits.decided_at) AS asked_at FROM outcomes"
        " JOIN positions USING (entry_order_id)"
        " JOIN orders AS exits ON exits.closes = entry_order_id"
        " JOIN orders ON orders.client_order_id = positions.entry_order_id"
        " JOIN shadows ON shadows.candidate_id = orders.candidate_id"
        " WHERE shadows.entry_credit = positions.entry_credit GROUP BY outcomes.entry_order_id",
    )
    assert pairs
    for pair in pairs:
        assert (pair["exit_rule"], pair["exit_at"]) == (pair["rule"], pair["asked_at"])


def test_the_same_seed_leaves_the_same_record(tmp_path: Path) -> None:
    once, again = tmp_path / "once.db", tmp_path / "again.db"
    for database in (once, again):  # six sessions: trades open, and the last closes one; make soak has the quarter
        result = run(database, SampleMarket(), dt.date(2026, 1, 6), dt.date(2026, 1, 13))
    assert result.opened > 0
    assert result.closed
    assert content(once) == content(again)


def test_the_books_of_the_month_reconcile_to_the_cent(month: tuple[Path, SimulationResult]) -> None:
    database, result = month
    report = report_on(database)
    assert (report.opened, report.closed) == (result.opened, sum(result.closed.values()))
    assert {line.rule: line.exits for line in report.by_rule} == result.closed
    assert report.reconciliation is not None
    assert report.reconciliation.difference_dollars == 0
    assert report.drawdown_of_closes is not None
    assert report.drawdown_of_closes.share == pytest.approx(result.max_drawdown)


@pytest.mark.skipif(not SOAK, reason="a quarter takes minutes: make soak")
def test_a_quarter_hits_every_exit_rule_reconciles_every_day_and_is_the_same_twice(tmp_path: Path) -> None:
    once, again = tmp_path / "once.db", tmp_path / "again.db"
    result = run(once, SampleMarket(), FIRST, LAST_OF_QUARTER, every=5)
    assert result.closed.keys() >= {"profit_target", "stop_loss", "time_exit"}
    for day in result.days:
        report = report_on(once, Span(last=day.date))
        assert report.reconciliation is not None
        assert report.reconciliation.difference_dollars == 0, day.date
    run(again, SampleMarket(), FIRST, LAST_OF_QUARTER, every=5)
    assert content(once) == content(again)


def report_on(database: Path, span: Span | None = None) -> AccountReport:
    with AccountReader(database) as reader:
        return read_report(reader, "paper-sample-22", span or Span())[0]


def test_a_simulation_that_is_stopped_ends_between_two_passes_with_what_is_done(tmp_path: Path) -> None:
    passes = iter(range(100))
    result = run(tmp_path / "desk.db", SampleMarket(), stop=lambda: next(passes) == 20)
    assert [day.date for day in result.days] == [dt.date(2026, 1, 2), dt.date(2026, 1, 5)]
    assert result.interrupted_at == dt.datetime(2026, 1, 5, 17, 30, tzinfo=dt.UTC)
    [points] = query(tmp_path / "desk.db", "SELECT COUNT(*) AS count FROM equity")
    assert points["count"] == 20
    assert query(tmp_path / "desk.db", "SELECT DISTINCT status FROM runs") == [{"status": "done"}]


@pytest.mark.skipif(not CHAINS.is_file(), reason="shared/data/spy_eod_2021.csv is not beside the project")
def test_a_file_of_closes_is_scanned_and_monitored_once_a_day_and_its_gaps_are_named(tmp_path: Path) -> None:
    result = run(tmp_path / "desk.db", CsvMarket(CHAINS), dt.date(2020, 12, 30), dt.date(2021, 2, 12))
    assert not result.synthetic
    assert list(result.skipped.items()) == [(dt.date(2020, 12, day), "is not in the file") for day in (30, 31)]
    assert result.missing["vix"] == "not in the file"
    assert len(result.days) == 29
    assert result.opened > 0
    [counts] = query(
        tmp_path / "desk.db",
        "SELECT (SELECT COUNT(*) FROM runs) AS scans, (SELECT COUNT(DISTINCT at) FROM equity) AS passes",
    )
    assert counts == {"scans": 29, "passes": 29}


@pytest.mark.skipif(not CHAINS.is_file(), reason="shared/data/spy_eod_2021.csv is not beside the project")
def test_a_span_that_the_file_does_not_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match="no quotes of any session from 2022-01-03 to 2022-01-07: 2022-01-03 is not in"
    ):
        run(tmp_path / "desk.db", CsvMarket(CHAINS), dt.date(2022, 1, 3), dt.date(2022, 1, 7))


def test_a_position_without_a_quote_is_neither_stopped_nor_taken_but_told(tmp_path: Path) -> None:
    class Unquoted(SampleMarket):
        """Stops quoting anything after the first day."""

        async def quotes(self, symbols: Sequence[str], at: dt.datetime) -> Mapping[str, Quote]:
            return await super().quotes(symbols, at) if at.date() <= dt.date(2026, 1, 6) else {}

    database = tmp_path / "desk.db"
    result = run(database, Unquoted(), dt.date(2026, 1, 6), dt.date(2026, 1, 7))
    assert result.days[0].open_positions > 0
    assert result.days[1].unmarked == 14 * result.days[0].open_positions
    assert result.closed == {}
    told = query(database, "SELECT COUNT(*) AS count FROM events WHERE code = 'no_mark'")
    assert told == [{"count": result.days[1].unmarked}]
    [empty] = query(database, "SELECT COUNT(*) AS count FROM marks WHERE mid_cost IS NULL")
    assert empty["count"] == result.days[1].unmarked


def test_a_span_without_a_session_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no session of the New York exchange from 2026-01-10 to 2026-01-11"):
        run(tmp_path / "desk.db", SampleMarket(), dt.date(2026, 1, 10), dt.date(2026, 1, 11))
