"""A record of every released schema becomes one of this version: all in it is there, and can be worked with."""

import datetime as dt
import lzma
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from desks import scan

from mahler_agents import record
from mahler_agents.cli import main
from mahler_agents.errors import RecordError
from mahler_agents.record import connect, database, open_database
from mahler_agents.record.checking import check
from mahler_agents.record.migrations import MIGRATIONS

NEWEST, STATEMENTS = MIGRATIONS[-1]
FIXTURES = Path(__file__).parent / "fixtures"
OLDER = sorted(FIXTURES.glob("record-*.db.xz"))


@pytest.fixture(params=OLDER, ids=lambda path: path.name.partition(".")[0])
def older(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A record as that version left it."""
    path = tmp_path / "older.db"
    path.write_bytes(lzma.decompress(request.param.read_bytes()))
    return path


def rows(path: Path, sql: str) -> list[Mapping[str, Any]]:
    with closing(connect(path, read_only=True)) as connection:
        return [dict(row) for row in connection.execute(sql)]


def applied(path: Path) -> list[str]:
    return [row["name"] for row in rows(path, "SELECT name FROM _sqlite_migrations ORDER BY rowid")]


def schema(path: Path) -> dict[str, set[str]]:
    """Return every table's and view's columns; their order is that of the migrations as they came."""
    names = [row["name"] for row in rows(path, "SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")]
    return {name: {row["name"] for row in rows(path, f"PRAGMA table_info({name})")} for name in names}


def test_there_is_a_fixture_of_every_released_schema() -> None:
    assert {path.name for path in OLDER} >= {"record-m003.db.xz", "record-m013.db.xz", "record-m021.db.xz"}


def test_a_fixture_is_of_the_schema_that_it_is_named_after(older: Path, request: pytest.FixtureRequest) -> None:
    newest = applied(older)[-1]
    assert f"record-{newest.partition('_')[0]}" in request.node.name
    assert [name for name, _ in MIGRATIONS][: len(applied(older))] == applied(older)


def test_it_becomes_the_schema_of_a_new_record(older: Path, tmp_path: Path) -> None:
    open_database(older)
    assert schema(older) == schema(open_database(tmp_path / "new.db", create=True))
    assert [finding for finding in check(older) if finding.problem] == []


KEPT = {
    "runs": "id, status, as_of, model, config, regime, breaker",
    "candidates": "id, run_id, rank, underlying, spread_type, expiration, short_strike, long_strike, dte, credit,"
    " score, iv_rank, reviewed, decision, reason, ai_summary, confidence, facts",
    "llm_calls": "id, request, response, outcome",
    "opinions": "candidate_id, analyst, summary",
    "failures": "*",
    "verdicts": "candidate_id, summary",
    "advice": "*",
    "sizings": "*",
    "orders": "client_order_id, state, contracts, limit_credit",
    "fills": "client_order_id, number, at, contracts, credit, fees",
    "positions": "entry_order_id, state, contracts, entry_credit, fees",
    "outcomes": "entry_order_id, exit_order_id, rule, closed_at, exit_debit, fees, pnl_dollars",
    "marks": "*",
    "shadows": "candidate_id, entry_credit, exit_rule, exit_pnl_dollars",
    "equity": "*",
    "paper_accounts": "*",
    "snapshots": "*",
}
"""Columns of the first released schema, by table."""
SINCE = dict.fromkeys(["order_attempts", "paper_orders", "quotes", "record_owners", "broker_checks"], "*")
"""The same of tables that later ones brought, up to m021."""


def test_all_that_was_in_it_is_in_it_still(older: Path) -> None:
    kept = KEPT | (SINCE if "m021_raw_answers" in applied(older) else {})
    before = {table: rows(older, f"SELECT {columns} FROM {table} ORDER BY 1, 2") for table, columns in kept.items()}
    open_database(older)
    for table, columns in kept.items():
        assert rows(older, f"SELECT {columns} FROM {table} ORDER BY 1, 2") == before[table]
        assert before[table], f"the fixture has no {table}"


def test_its_positions_outcomes_and_traces_are_read(older: Path, capsys: pytest.CaptureFixture[str]) -> None:
    desk = record.open(older)
    newest, oldest = (run for run in desk if run.kind == "scan")
    trace = desk.trace(oldest.id)
    assert {opinion.analyst for opinion in trace.candidates[0].opinions} == {"greeks", "technical", "volatility"}
    assert [failure.role for failure in trace.candidates[0].failures] == ["sentiment"]
    assert trace.candidates[0].orders[0].fills
    [outcome] = desk.frame(
        "SELECT outcomes.*, closed_contracts FROM outcomes JOIN positions USING (entry_order_id)"
    ).to_dict("records")
    assert (outcome["rule"], outcome["number"], outcome["closed_contracts"]) == (
        "profit_target",
        1,
        outcome["contracts"],
    )
    assert desk.open_positions() == ()
    for run in (newest.id, oldest.id):
        assert main(["trace", "show", run, "--db", str(older)]) == 0
    assert main(["positions", "--db", str(older)]) == 0
    assert "SPY 625/630 call spread" in capsys.readouterr().out


def test_its_replays_are_told_from_scans_in_every_view(older: Path) -> None:
    replays = rows(older, "SELECT * FROM _sqlite_migrations WHERE name = 'm013_replays'")
    open_database(older)
    for view in ("failed_calls", "cost_by_prompt", "groundedness"):
        told = {row["retrospective"] for row in rows(older, f"SELECT retrospective FROM {view}")}
        assert told - {0} == ({1} if replays and view != "failed_calls" else set()), view
    assert not rows(older, "SELECT * FROM decisions JOIN runs ON runs.id = run_id WHERE retrospective")


def test_a_desk_goes_on_with_it(older: Path) -> None:
    instant = max(row["at"] for row in rows(older, "SELECT at FROM equity"))
    before = len(record.open(older).runs())
    result = scan(older, "none", as_of=dt.datetime.fromisoformat(instant) + dt.timedelta(hours=1))
    assert len(record.open(older).runs()) == before + 1
    assert result.run_id == record.open(older).trace(result.run_id).run.id


def test_the_file_as_it_was_is_kept_beside_it(older: Path) -> None:
    tables = {name: rows(older, f"SELECT * FROM {name}") for name in schema(older)}
    first = next(name for name, _ in MIGRATIONS if name not in applied(older))
    open_database(older)
    copy = older.with_name(f"older.before-{first.partition('_')[0]}.db")
    assert {name: rows(copy, f"SELECT * FROM {name}") for name in schema(copy)} == tables


@pytest.mark.parametrize("statement", range(len(STATEMENTS)))
def test_a_migration_that_fails_anywhere_leaves_the_file_as_it_was(
    older: Path, statement: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = (*STATEMENTS[:statement], "INSERT INTO nowhere VALUES (1)")
    monkeypatch.setattr(database, "MIGRATIONS", (*MIGRATIONS[:-1], (NEWEST, broken)))
    before = {name: rows(older, f"SELECT * FROM {name}") for name in schema(older)}
    with pytest.raises(RecordError, match=r"older\.db: no such table: nowhere"):
        open_database(older)
    assert {name: rows(older, f"SELECT * FROM {name}") for name in schema(older)} == before
    assert not list(older.parent.glob("*.before-*"))
