"""`mahler evidence`: what it counts and leaves out, what it says, and that its page shows the numbers of its JSON."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from chromium import Page, open_page
from cli_scans import run_scan

from mahler_agents.cli import main
from mahler_agents.cli.evidence.page import FORMATS
from mahler_agents.testing.scripted import ScriptedModel
from mahler_agents.text import plain

HOSTILE = "</td><script>alert(1)</script><img src=x onerror=alert(2)>{{ 7 * 7 }}"


def change(database: Path, *statements: str) -> None:
    with closing(sqlite3.connect(database)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


ENDED = (
    "UPDATE shadows SET exit_at = '2026-03-27T15:00:00.000Z', exit_rule = 'profit_target', exit_debit = 0.1,"
    " exit_pnl_dollars = CASE WHEN underlying = 'TLT' THEN -60.5 ELSE 25.25 END"
)
PASSED = (
    "INSERT INTO equity (account_id, at, equity, cash) VALUES ('paper-sample-22', '2026-06-01T14:00:00.000Z', 1, 1)"
)


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("evidence") / "scanned.db"
    run_scan(path, ScriptedModel.always(confidence=0.6, p_profit=0.7, approved=True, contracts=1))
    return path


@pytest.fixture
def record(scanned: Path, tmp_path: Path) -> Path:
    """Return a record of one scan whose candidates have all ended, on a real market by name."""
    path = tmp_path / "record.db"
    with closing(sqlite3.connect(scanned)) as source, closing(sqlite3.connect(path)) as copy:
        source.backup(copy)
    change(path, ENDED, PASSED, "UPDATE runs SET synthetic = 0", "UPDATE verdicts SET model = 'house-7b'")
    change(path, "UPDATE advice SET recorded_at = '2026-03-17T14:01:00.000Z'")
    return path


def refused(database: Path, capsys: pytest.CaptureFixture[str], *more: str) -> str:
    assert main(["evidence", "--db", str(database), *more]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    return err


def document(database: Path, capsys: pytest.CaptureFixture[str], *more: str) -> dict:
    assert main(["evidence", "--db", str(database), "--json", *more]) == 0
    return json.loads(capsys.readouterr().out)


def test_an_empty_record_is_refused_with_what_to_do(
    record: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "run `mahler scan" in refused(tmp_path / "none.db", capsys)
    change(record, "UPDATE candidates SET reviewed = 0")
    assert "holds no reviewed candidate: run `mahler scan --model MODEL` first" in refused(record, capsys)


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("DELETE FROM equity", "left out as time exit date not passed; wait until"),
        ("UPDATE shadows SET exit_at = NULL, exit_pnl_dollars = NULL", "left out as no outcome; run `mahler monitor`"),
        ("DELETE FROM verdicts", "left out as no verdict; scan with a model"),
        ("UPDATE advice SET recorded_at = '2026-12-31T00:00:00.000Z'", "left out as advice after the decision;"),
        ("DELETE FROM shadows", "left out as not followed;"),
        ("UPDATE runs SET retrospective = 1", "holds no reviewed candidate"),
    ],
)
def test_a_record_without_a_case_says_why_and_what_to_do(
    record: Path, statement: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    change(record, statement)
    assert said in refused(record, capsys).replace("mahler: ", "", 1)


def test_traded_or_not_every_reviewed_candidate_is_a_case(record: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with closing(sqlite3.connect(record)) as connection:
        reviewed, pnl = connection.execute("SELECT COUNT(*), SUM(exit_pnl_dollars) FROM shadows").fetchone()
        traded = connection.execute("SELECT COUNT(*) FROM candidates WHERE decision = 'traded'").fetchone()[0]
    found = document(record, capsys)["pools"][0]
    assert found["name"] == "paper"
    assert found["evidence"]["cases"] == reviewed > traded
    assert found["evidence"]["everything"]["pnl_dollars"] == pytest.approx(pnl)
    assert found["evidence"]["desk"]["trades"] == traded
    assert found["unknown_cutoffs"] == ["house-7b", "scripted-1"]  # the analysts' model, too
    assert found["evidence"]["verdict"]["finding"] == "too_few_periods"


def test_pools_are_never_mixed(record: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for statement, name in (
        ("UPDATE runs SET synthetic = 1", "sample data"),
        ("UPDATE runs SET toy_model = 1", "sample data, toy model"),
        ("UPDATE runs SET synthetic = 0", "toy model"),
        ("UPDATE runs SET toy_model = 0, environment = 'live'", "live"),
        ("UPDATE runs SET environment = 'paper', market = 'csv-chains-0a1b2c'", "past market"),
        ("UPDATE runs SET market = 'alpaca', rerun_of = id", "market seen again"),
    ):
        change(record, statement)
        assert [pool["name"] for pool in document(record, capsys)["pools"]] == [name]
    assert "record.db has market seen again" in refused(record, capsys, "--pool", "paper")


def test_what_a_model_may_remember_is_set_apart(record: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(record, "UPDATE verdicts SET model = 'gpt-5.2-2025-12-11'")
    assert document(record, capsys)["pools"][0]["remembered"] is None
    change(record, "UPDATE runs SET as_of = '2025-08-29T14:00:00.000Z'")
    pool = document(record, capsys)["pools"][0]
    assert pool["evidence"] is None
    assert pool["remembered"]["cases"] > 0
    assert main(["evidence", "--db", str(record)]) == 0
    assert "it may remember how they ended, so this is no proof of skill" in capsys.readouterr().out
    # The fund manager may know no end, and yet have read an analyst that does.
    change(
        record,
        "UPDATE verdicts SET model = 'house-7b'",
        "UPDATE opinions SET model = 'gpt-5.2' WHERE analyst = 'volatility'",
    )
    assert document(record, capsys)["pools"][0]["remembered"]["cases"] == pool["remembered"]["cases"]
    # Nor need an analyst know it, if one that argued does.
    change(
        record,
        "UPDATE opinions SET model = 'house-7b'",
        "INSERT INTO arguments (candidate_id, side, round, strength, summary, brief_hash, prompt_hash, model)"
        " SELECT candidate_id, 'bull', 1, 'strong', 'it held', brief_hash, prompt_hash, 'gpt-5.2' FROM verdicts",
    )
    assert document(record, capsys)["pools"][0]["remembered"]["cases"] == pool["remembered"]["cases"]
    # What was made up nobody can remember.
    change(record, "UPDATE runs SET synthetic = 1")
    assert document(record, capsys)["pools"][0]["remembered"] is None


def test_a_date_that_has_not_passed_keeps_quick_wins_out(record: Path, capsys: pytest.CaptureFixture[str]) -> None:
    total = document(record, capsys)["pools"][0]["evidence"]["cases"]
    change(record, "UPDATE candidates SET expiration = '2026-05-01' WHERE rank = 1", "DELETE FROM equity")
    change(record, PASSED.replace("2026-06-01", "2026-04-09"))  # the 10th of April is 21 days before the 1st of May
    pool = document(record, capsys)["pools"][0]
    assert pool["evidence"]["cases"] == total - 1
    assert pool["left_out"] == {"time_exit_date_not_passed": 1}


def test_thresholds_of_ones_own_are_used(record: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = document(record, capsys, "--threshold", "0.55", "--threshold", "0.65")["pools"][0]["evidence"]
    assert [(line["threshold"], line["vetoed"] > 0) for line in found["vetoes"]] == [(0.55, False), (0.65, True)]


def test_a_picture_is_drawn_twice_the_same(record: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    drawn = []
    for name in ("one.svg", "two.svg"):
        assert main(["evidence", "--db", str(record), "--plot", str(tmp_path / name)]) == 0
        assert f"plot: {tmp_path / name}" in capsys.readouterr().out
        drawn.append((tmp_path / name).read_bytes())
    assert drawn[0] == drawn[1]
    assert drawn[0].startswith(b"<?xml")
    assert "must be one of .svg, .png" in refused(record, capsys, "--plot", "x.gif")
    assert "cannot be written" in refused(record, capsys, "--html", str(tmp_path / "no" / "x.html"))


@pytest.fixture
def shown(record: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[Page, dict]:
    change(record, f"UPDATE verdicts SET model = '{HOSTILE}'")
    found = document(record, capsys, "--html", str(tmp_path / "evidence.html"))
    return open_page(tmp_path / "evidence.html"), found


def at(found: object, place: str) -> object:
    for step in place.split("."):
        found = found[int(step)] if isinstance(found, list) else found[step]  # type: ignore[index]
    return found


def test_every_number_of_the_page_is_that_of_the_json(shown: tuple[Page, dict]) -> None:
    page, found = shown
    assert page.console == []
    numbers = page.all("data")
    assert len(numbers) > 60
    for one in numbers:
        number = at(found, one.attributes["id"])
        assert float(one.attributes["value"]) == number
        assert one.text == FORMATS[one.attributes["data-kind"]](number)
    shown_places = {one.attributes["id"] for one in numbers}
    assert {"pools.0.evidence.cases", "pools.0.evidence.vetoes.0.kept.pnl_dollars"} <= shown_places


def test_what_a_record_holds_is_shown_and_not_obeyed(shown: tuple[Page, dict]) -> None:
    page, _ = shown
    assert page.all("script") == []
    assert len(page.all("img")) == 1
    assert plain(HOSTILE) in "".join(one.text for one in page.all("td"))
