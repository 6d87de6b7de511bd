"""`mahler trace list` with filters: each keeps the runs that fit, and together those that fit all of them."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from cli_scans import json_of

from mahler_agents.cli import main
from mahler_agents.record import open_database

PROMPTS = {"a" * 64: "greeks", "ab" + "c" * 62: "technical"}

RUNS: dict[str, dict[str, Any]] = {
    # 03:59 and 04:00 UTC: eleven at night and midnight in New York, which has summer time by then
    "one": {"as_of": "2026-03-17T03:59:59.999Z", "underlying": "SPY", "cost": 0.5},
    "two": {"as_of": "2026-03-17T04:00:00.000Z", "underlying": "QQQ", "cost": None, "prompt": "ab" + "c" * 62},
    "three": {"as_of": "2026-03-18T03:59:59.999Z", "underlying": "SPY", "status": "failed", "cost": 1.25},
    "four": {"as_of": "2026-03-18T04:00:00.000Z", "underlying": "QQQ", "failure": True, "model": "big-2026"},
}


def add_run(connection: sqlite3.Connection, number: int, run_id: str, facts: dict[str, Any]) -> None:
    """Write a run with one reviewed candidate, one ranked out, and one call."""
    as_of = facts["as_of"]
    connection.execute(
        "INSERT INTO runs (id, kind, slot, status, as_of, decision_at, started_at, environment, market, source,"
        " synthetic, broker, account_id, model, toy_model, version, config) VALUES"
        " (?, 'scan', ?, ?, ?, ?, ?, 'paper', 'sample', 'test', 1, 'paper', 'paper-1', 'small', 0, '0', '{}')",
        (run_id, run_id, facts.get("status", "done"), as_of, as_of, f"2026-04-01T00:00:0{number}.000Z"),
    )
    for rank, (underlying, reviewed) in enumerate([(facts["underlying"], 1), ("GLD", 0)], start=1):
        connection.execute(
            "INSERT INTO candidates (id, run_id, rank, underlying, spread_type, expiration, short_strike, long_strike,"
            " dte, credit, score, reviewed, facts) VALUES (?, ?, ?, ?, 'bull_put', '2026-04-17', 100, 98, 31, 0.3, 0.5,"
            " ?, '{}')",
            (f"{run_id}.{rank}", run_id, rank, underlying, reviewed),
        )
    connection.execute(
        "INSERT INTO llm_calls (id, run_id, candidate_id, span_id, role, attempt, model, prompt_hash, request,"
        " started_at, ended_at, outcome, resolved_model, prompt_tokens, completion_tokens, cost_dollars)"
        " VALUES (?, ?, ?, ?, 'greeks', 1, ?, ?, '{}', ?, ?, 'replied', ?, 100, 40, ?)",
        (
            f"{run_id}.call",
            run_id,
            f"{run_id}.1",
            f"{run_id}.1.greeks",
            "small",
            facts.get("prompt", "a" * 64),
            as_of,
            as_of,
            facts.get("model", "small-1"),
            facts.get("cost", 0.0),
        ),
    )
    if facts.get("failure"):
        connection.execute(
            "INSERT INTO failures VALUES (?, 'greeks', 'auth', 'no', 0, NULL, NULL, NULL)", (f"{run_id}.1",)
        )


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = open_database(tmp_path_factory.mktemp("list") / "runs.db", create=True)
    with closing(sqlite3.connect(path)) as connection, connection:
        for version, name in PROMPTS.items():
            connection.execute("INSERT INTO prompts VALUES (?, ?, 'text')", (version, name))
        for number, (run_id, facts) in enumerate(RUNS.items()):
            add_run(connection, number, run_id, facts)
    return path


Listed = Callable[..., list[str]]


@pytest.fixture
def listed(record: Path, capsys: pytest.CaptureFixture[str]) -> Listed:
    """Return what lists the ids of the runs that fit, oldest first."""

    def ids(*arguments: str) -> list[str]:
        assert main(["trace", "list", "--db", str(record), "--json", *arguments]) == 0
        runs: Any = json_of(capsys.readouterr().out)
        return [run["id"] for run in reversed(runs)]

    return ids


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("", "one two three four"),
        ("--date 2026-03-16", "one"),
        ("--date 2026-03-17", "two three"),
        ("--since 2026-03-17", "two three four"),
        ("--until 2026-03-17", "one two three"),
        ("--since 2026-03-17 --until 2026-03-17", "two three"),
        ("--underlying spy", "one three"),
        ("--underlying GLD", ""),  # ranked out, never reviewed
        ("--status failed", "three"),
        ("--failed", "three four"),
        ("--model small", "one two three four"),
        ("--model big-2026", "four"),
        ("--model smal", ""),
        ("--prompt ab", "two"),
        ("--prompt aa", "one three four"),
        ("--min-cost 0.5", "one three"),
        ("--min-cost 0", "one three four"),  # nothing is known of the cost of the second
        ("--underlying SPY --failed", "three"),
        ("--limit 2", "three four"),
        ("--limit 1 --underlying SPY", "three"),
    ],
)
def test_a_filter_keeps_the_runs_that_fit(listed: Listed, arguments: str, expected: str) -> None:
    assert listed(*arguments.split()) == expected.split()


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ("--prompt a", "`a` fits 2 prompt versions (greeks aaaaaaa, technical abccccc); type more of it"),
        ("--prompt 99", "no prompt version `99` in "),
        ("--date 2026-03-16 --since 2026-03-16", "--date is one day: leave out --since and --until, or --date"),
        ("--since 2026-03-17 --until 2026-03-16", "--since 2026-03-17 is after --until 2026-03-16"),
        ("--min-cost nan", "--min-cost nan: name dollars, such as 0.5"),
    ],
)
def test_a_filter_that_means_nothing_is_refused_in_a_line(
    record: Path, capsys: pytest.CaptureFixture[str], arguments: str, line: str
) -> None:
    assert main(["trace", "list", "--db", str(record), *arguments.split()]) == 2
    said = capsys.readouterr().err
    assert line in said
    assert len(said.splitlines()) == 1


def test_a_cost_of_which_part_is_unknown_is_unknown(record: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", "list", "--db", str(record), "--json"]) == 0
    runs: Any = json_of(capsys.readouterr().out)
    assert {run["id"]: run["cost_dollars"] for run in runs} == {"one": 0.5, "two": None, "three": 1.25, "four": 0.0}


@pytest.mark.parametrize(
    ("width", "headings"),
    [
        (80, "run as of market status traded failures cost model"),
        (120, "run as of market model underlyings status reviewed traded calls failures cost"),
    ],
)
def test_the_columns_fit_the_terminal(
    record: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], width: int, headings: str
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    with closing(sqlite3.connect(record)) as connection:
        assert connection.execute("SELECT COUNT(*) FROM runs").fetchone() == (len(RUNS),)
    assert main(["trace", "list", "--db", str(record)]) == 0
    lines = capsys.readouterr().out.splitlines()[1:-1]
    assert max(map(len, lines)) <= width
    assert sorted(lines[0].split()) == sorted(headings.split())


def test_a_filter_that_no_run_fits_says_so(record: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", "list", "--db", str(record), "--underlying", "TLT"]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == ["no run fits"]


def test_lists_need_no_call_itself(record: Path) -> None:
    """All that a list sums up stands in an index: a call's row is long, and a million of them would be read."""
    from mahler_agents.record.queries import Reader, RunFilter

    with Reader(record) as reader:
        asked: list[str] = []
        reader._connection.set_trace_callback(asked.append)
        reader.runs(20, RunFilter(model="small", prompt="ab", min_cost=0.1))
        reader._connection.set_trace_callback(None)
        plan = [row["detail"] for row in reader._rows(f"EXPLAIN QUERY PLAN {asked[-1]}")]
    of_calls = [step for step in plan if "llm_calls" in step]
    assert of_calls
    assert not [step for step in of_calls if "COVERING INDEX llm_calls_of_run" not in step]
