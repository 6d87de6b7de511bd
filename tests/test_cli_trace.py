"""`mahler trace`: the list of runs, and the tree of what happened in one."""

import io
import os
import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from cli_scans import HARMLESS, hostile_script, json_of, run_scan
from rich.console import Console

from mahler_agents.cli import main
from mahler_agents.cli.scan_text import print_report
from mahler_agents.record.queries import Reader
from mahler_agents.scan import ScanResult
from mahler_agents.telling.risk_lines import delta_lines
from mahler_agents.testing.scripted import ScriptedModel

TREE = "│├└─ "


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ScanResult, ScanResult]:
    """Return a record of two runs, the second with a hostile model, and both results."""
    database = tmp_path_factory.mktemp("trace") / "mahler-sample-paper.db"
    return database, run_scan(database, "none"), run_scan(database, ScriptedModel(hostile_script))


@pytest.fixture
def record(runs: tuple[Path, ScanResult, ScanResult], monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the record, in its own folder."""
    database, _, _ = runs
    monkeypatch.chdir(database.parent)
    for name in [name for name in os.environ if name.startswith("MAHLER_")]:
        monkeypatch.delenv(name)
    return database


def printed(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    assert main(["trace", *arguments]) == code
    streams = capsys.readouterr()
    return streams.err if code else streams.out


@pytest.mark.usefixtures("record")
def test_the_list_is_newest_first_and_names_the_record(
    runs: tuple[Path, ScanResult, ScanResult], capsys: pytest.CaptureFixture[str]
) -> None:
    _, first, second = runs
    record, heading, newest, oldest, note = printed(capsys, "list").splitlines()
    assert record == "record: mahler-sample-paper.db"
    assert heading.split()[0] == "run"
    assert newest.startswith(second.run_id)
    assert oldest.startswith(first.run_id)
    assert "sample*" in newest
    assert "synthetic" in note


@pytest.mark.usefixtures("record")
def test_the_list_counts_what_a_run_cost_and_what_failed(
    runs: tuple[Path, ScanResult, ScanResult], capsys: pytest.CaptureFixture[str]
) -> None:
    _, _, result = runs
    newest, rules_only = json_of(printed(capsys, "list", "--json"))
    reviewed = len(result.reviews)
    # greeks and volatility once, technical twice (a repair), sentiment once: 401 is not retried; the fund manager once
    assert newest["candidates"] == reviewed
    assert newest["llm_calls"] == 6 * reviewed
    assert newest["failures"] == 2 * reviewed
    assert newest["prompt_tokens"] == 5 * 100 * reviewed
    assert newest["traded"] == sum(review.decision.decision == "traded" for review in result.reviews)
    assert (rules_only["llm_calls"], rules_only["failures"], rules_only["model"]) == (0, 0, "none")


@pytest.mark.usefixtures("record")
def test_the_limit_keeps_the_newest(
    runs: tuple[Path, ScanResult, ScanResult], capsys: pytest.CaptureFixture[str]
) -> None:
    (only,) = json_of(printed(capsys, "list", "--limit", "1", "--json"))
    assert only["id"] == runs[2].run_id


@pytest.mark.usefixtures("record")
@pytest.mark.parametrize("named", ["whole", "prefix", "latest"])
def test_a_run_is_found_by_its_id_the_beginning_of_it_or_as_the_latest(
    named: str, runs: tuple[Path, ScanResult, ScanResult], capsys: pytest.CaptureFixture[str]
) -> None:
    run_id = runs[2].run_id
    text = {"whole": run_id, "prefix": run_id[:-3], "latest": "latest"}[named]
    assert json_of(printed(capsys, "show", text, "--json"))["run"]["id"] == run_id


@pytest.mark.usefixtures("record")
def test_an_ambiguous_or_unknown_id_is_refused(
    runs: tuple[Path, ScanResult, ScanResult], capsys: pytest.CaptureFixture[str]
) -> None:
    ambiguous = printed(capsys, "show", runs[1].run_id[:8], code=2)
    assert "fits 2 runs" in ambiguous
    assert runs[1].run_id in ambiguous
    for unknown in ("99", "%", "_", runs[1].run_id + "x"):
        assert f"no run `{unknown}`" in printed(capsys, "show", unknown, code=2)


@pytest.mark.usefixtures("record")
def test_the_tree_shows_every_stage_of_every_reviewed_candidate(
    runs: tuple[Path, ScanResult, ScanResult], capsys: pytest.CaptureFixture[str]
) -> None:
    _, _, result = runs
    tree = printed(capsys, "show", "latest")
    assert "SYNTHETIC" in tree
    for review in result.reviews:
        assert f"{review.candidate.rank}  {review.candidate.spread.label}" in tree
        assert f"{review.decision.decision} ({review.decision.reason})" in tree
        assert review.sizing is not None
        assert f"bound by {review.sizing.binding}" in tree
    for node in ("brief", "greeks", "technical", "sentiment", "volatility", "fund_manager", "advisory", "size"):
        assert tree.count(f"── {node}  ") == len(result.reviews)
    assert re.search(r"1 attempt of \d+\.\d s, 100 \+ 40 tokens", tree)
    assert re.search(r"2 attempts of \d+\.\d s, 200 \+ 80 tokens, prompt \w{8}, failed: not_json", tree)
    assert "attempt 1: http_error, HTTP 401" in tree


@pytest.mark.usefixtures("record")
def test_the_tree_says_each_advice_and_each_failure_once(
    runs: tuple[Path, ScanResult, ScanResult], capsys: pytest.CaptureFixture[str]
) -> None:
    tree = printed(capsys, "show", "latest")
    advised = [review.advice.message for review in runs[2].reviews if review.advice]
    assert advised
    for message in advised:
        assert tree.count(message) == advised.count(message)
    assert "advisor_failed" not in tree


@pytest.mark.usefixtures("record")
def test_the_tree_holds_nothing_that_a_terminal_would_obey(capsys: pytest.CaptureFixture[str]) -> None:
    tree = printed(capsys, "show", "latest")
    assert f"confidence 80 %, p_profit 80 %: {HARMLESS}" in tree
    assert f"reply: {HARMLESS}" in tree
    assert not [char for char in tree if char != "\n" and not char.isprintable()]


@pytest.mark.usefixtures("record")
def test_json_holds_every_request_and_reply_to_the_letter(capsys: pytest.CaptureFixture[str]) -> None:
    trace = json_of(printed(capsys, "show", "latest", "--json"))
    calls = [call for one in trace["candidates"] for span in one["spans"] for call in span["calls"]]
    assert calls
    for call in calls:
        assert json_of(call["request"])["messages"]
        assert json_of(call["response"])


def test_a_node_that_never_ended_shows_its_calls_as_unfinished(
    runs: tuple[Path, ScanResult, ScanResult], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    database, _, result = runs
    copy = tmp_path / "crashed.db"
    with sqlite3.connect(database) as source, sqlite3.connect(copy) as target:
        source.backup(target)
        target.execute("DELETE FROM spans WHERE run_id = ? AND name = 'greeks'", (result.run_id,))
        target.execute(
            "UPDATE llm_calls SET ended_at = NULL, outcome = NULL, prompt_tokens = NULL WHERE role = 'greeks'"
        )
        target.execute("UPDATE runs SET status = 'running', ended_at = NULL WHERE id = ?", (result.run_id,))
    source.close()
    target.close()
    tree = printed(capsys, "show", "latest", "--db", str(copy))
    unfinished = re.findall(r"greeks  1 attempt, tokens unknown, prompt \w{8}, unfinished", tree)
    assert len(unfinished) == len(result.reviews)
    assert "attempt 1: no reply recorded" in tree


def test_a_record_without_runs_lists_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from mahler_agents.record import open_database

    open_database(tmp_path / "empty.db", create=True)
    assert printed(capsys, "list", "--db", str(tmp_path / "empty.db")).splitlines()[1:] == ["no runs yet"]
    assert "no run `latest`" in printed(capsys, "show", "latest", "--db", str(tmp_path / "empty.db"), code=2)


def test_the_record_is_the_option_s_else_the_variable_s_else_the_newest_here(
    record: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, seconds in (("mahler-csv-paper.db", 1_000_000), ("mahler-sample-paper.db", 2_000_000)):
        Path(name).write_bytes(record.read_bytes())
        os.utime(name, (seconds, seconds))
    assert printed(capsys, "list").startswith("record: mahler-sample-paper.db\n")
    monkeypatch.setenv("MAHLER_DB", str(record))
    assert printed(capsys, "list").startswith(f"record: {record}\n")
    assert printed(capsys, "list", "--db", "mahler-csv-paper.db").startswith("record: mahler-csv-paper.db\n")


def test_reading_an_unknown_run_by_its_id_is_refused(record: Path) -> None:
    from mahler_agents.errors import UnknownIdError

    with Reader(record) as reader, pytest.raises(UnknownIdError, match="no run `x`"):
        reader.trace("x")


def test_a_run_is_shown_without_the_imports_of_a_scan(record: Path) -> None:
    code = (
        "import sys; from mahler_agents.cli import main; main(['trace', 'show', 'latest']);"
        "print(sorted({'numpy', 'langgraph', 'openai', 'sqlite_utils'} & set(sys.modules)), file=sys.stderr)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=record.parent)
    assert ended.stderr == "[]\n"


@pytest.mark.usefixtures("record")
def test_a_trace_says_a_run_s_risk_in_the_words_of_its_scan(
    runs: tuple[Path, ScanResult, ScanResult],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    _, result, _ = runs
    told = io.StringIO()
    print_report(Console(file=told, width=400), result, hint=None, next_command="", replay_command="mahler replay x")
    scan = [" ".join(line.split()) for line in told.getvalue().splitlines()]
    tree = [line.lstrip(TREE) for line in printed(capsys, "show", result.run_id).splitlines()]
    for note in ("regime", "breaker", "Size multiplier:", "delta", "of which"):
        (line,) = [line for line in scan if line.startswith(note)]
        assert line.split() in [one.replace(f"{note}: ", f"{note} ", 1).split() for one in tree]
    assert "Size multiplier: 1.00 (risk: 1.00, regime: " in "\n".join(tree)
    assert not [line for line in tree if "size_multiplier:" in line]  # the event of the same words is not said again


@pytest.mark.usefixtures("record")
def test_a_run_of_a_version_that_kept_no_risk_is_shown_without_it(
    runs: tuple[Path, ScanResult, ScanResult], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    database, result, _ = runs
    older = tmp_path / "older.db"
    with sqlite3.connect(database) as connection, sqlite3.connect(older) as copy:
        connection.backup(copy)
        copy.execute("UPDATE runs SET regime = NULL, breaker = NULL, size_multiplier = NULL, portfolio_delta = NULL")
    connection.close()
    copy.close()
    shown = printed(capsys, "show", result.run_id, "--db", str(older))
    assert "breaker:" not in shown
    assert "size_multiplier: Size multiplier" in " ".join(shown.split())  # the event is all there is


UNKNOWN = {"dollars_per_pct": None, "share_of_equity": None, "by_underlying": [], "unknown": ["2 x SPY: no delta"]}
PARTIAL = {**UNKNOWN, "dollars_per_pct": -41.7, "share_of_equity": -0.000417} | {
    "by_underlying": [{"underlying": "QQQ", "dollars_per_pct": -41.7, "beta": {"value": 1.15, "days": None}}]
}


def test_a_delta_that_is_not_known_is_said_to_be_unknown_and_what_it_lacks_is_named() -> None:
    assert [line.text for line in delta_lines(UNKNOWN, None)] == [
        "before unknown, for each 1 % that SPY rises",
        "not counted: 2 x SPY: no delta",
    ]
    assert [line.text for line in delta_lines(UNKNOWN, PARTIAL)] == [
        "before unknown, after -$42 (-0.04 % of equity) of what is known, for each 1 % that SPY rises",
        "all in QQQ -$42 (beta 1.15, the house's)",
        "not counted: 2 x SPY: no delta",
    ]
