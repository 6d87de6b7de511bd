"""`mahler report`: what it says of records that hold much, little, nothing or cannot be read."""

import json
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from desks import passes_every

from mahler_agents.cli import main
from mahler_agents.record import open_database


@pytest.fixture(scope="module")
def traded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A record of a few simulated days, in which three positions were opened and none closed."""
    database = tmp_path_factory.mktemp("report") / "days.db"
    with passes_every(30):
        assert main(["simulate", "--from", "2026-01-06", "--to", "2026-01-07", "--db", str(database)]) == 0
    return database


def said(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    capsys.readouterr()
    assert main(["report", *map(str, arguments)]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    return printed.out


def document(capsys: pytest.CaptureFixture[str], *arguments: object) -> Mapping[str, Any]:
    return json.loads(said(capsys, *arguments, "--json"))


def test_an_open_position_is_reported_without_a_win_rate_and_reconciles(
    traded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = said(capsys, "--db", traded)
    assert "SYNTHETIC MARKET" in shown
    assert "3 opened, 0 closed, 3 open at the end" in shown
    assert "none closed: no win rate, no profit factor" in shown
    assert "the recorded equity to the cent" in shown
    assert "DIFFERENCE" not in shown


def test_json_has_the_figures_and_says_that_they_are_synthetic(
    traded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "equity.svg"
    found = document(capsys, "--db", traded, "--plot", picture)
    assert found["synthetic"] is True
    assert (found["opened"], found["trades"]["win_rate"]) == (3, None)
    assert found["reconciliation"]["difference_dollars"] == 0
    assert found["plot"] == str(picture)
    assert "SYNTHETIC" in picture.read_text()


def test_an_equity_that_does_not_follow_is_shown_with_its_difference(
    traded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    database = tmp_path / "wrong.db"
    with sqlite3.connect(traded) as good, sqlite3.connect(database) as wrong:
        good.backup(wrong)
        wrong.execute("UPDATE equity SET equity = equity - 12.34 WHERE at = (SELECT MAX(at) FROM equity)")
    good.close()
    wrong.commit()
    wrong.close()
    assert "DIFFERENCE: the recorded equity is -$12.34 from that" in said(capsys, "--db", database)


def test_a_record_without_a_run_has_nothing_to_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    database = open_database(tmp_path / "empty.db", create=True)
    assert "nothing to report: no run yet" in said(capsys, "--db", database)
    assert said(capsys, "--db", database, "--json") == "null\n"
    assert not (tmp_path / "equity.svg").exists()


def test_days_without_a_point_have_no_equity_and_no_picture(
    traded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = said(capsys, "--db", traded, "--from", "2026-02-01", "--plot", tmp_path / "equity.svg")
    assert "none recorded in these days" in shown
    assert "0 opened, 0 closed, 3 open at the end" in shown
    assert "plot: none" in shown
    assert not (tmp_path / "equity.svg").exists()


@pytest.mark.parametrize("columns", [80, 120])
def test_no_line_is_wider_than_the_terminal(
    traded: Path, columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    _, *shown = said(capsys, "--db", traded).splitlines()  # but for the record's path
    assert max(map(len, shown)) <= columns


def test_of_two_accounts_one_must_be_chosen(traded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    database = tmp_path / "two.db"
    with sqlite3.connect(traded) as one, sqlite3.connect(database) as two:
        one.backup(two)
        two.execute("INSERT INTO equity (account_id, at, equity, cash) VALUES ('other', '2026-01-05', 1.0, 1.0)")
    one.close()
    two.commit()
    two.close()
    assert main(["report", "--db", str(database)]) == 2
    assert "choose one of other, paper-sample-22 with --account" in capsys.readouterr().err
    assert document(capsys, "--db", database, "--account", "other")["opened"] == 0
    assert main(["report", "--db", str(database), "--account", "third"]) == 2
    assert capsys.readouterr().err == f"mahler: no account `third` in {database}: it has other, paper-sample-22\n"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--db", "missing.db"], ["missing.db", "does not exist"]),
        (["--plot", "equity.gif"], ["equity.gif", ".svg, .png"]),
        (["--plot", "missing/equity.svg"], ["missing", "make it first"]),
        (["--from", "2026-01-05", "--to", "2026-01-02"], ["2026-01-05", "after"]),
        (["--from", "soon"], ["--from", "soon"]),
    ],
    ids=" ".join,
)
def test_bad_input_is_one_line(
    arguments: list[str],
    named: list[str],
    traded: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(traded.parent)
    monkeypatch.setenv("MAHLER_DB", str(traded))
    capsys.readouterr()
    assert main(["report", *arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("mahler: ")
    assert printed.err.count("\n") == 1
    assert all(word in printed.err for word in named)
