"""Command line: what is open, where it would be closed, and a pass that closes it."""

import json
from pathlib import Path

import pytest

from mahler_agents.cli import main


@pytest.fixture
def database(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A record with three positions of the sample market's default scan."""
    database = tmp_path / "desk.db"
    assert main(["scan", "--model", "none", "--db", str(database)]) == 0
    capsys.readouterr()
    return database


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main([*arguments]) == 0
    return capsys.readouterr().out


def test_a_position_that_was_never_marked_says_so(database: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = printed(capsys, "positions", "--db", str(database))
    assert "IWM 238/240 call spread, 2026-04-17" in shown
    assert "no mark" in shown
    assert "never" in shown


def test_positions_and_exits_show_the_last_mark_and_the_thresholds_in_dollars(
    database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    printed(capsys, "monitor", "--as-of", "2026-03-17T15:55", "--db", str(database))
    [held, *_] = json.loads(printed(capsys, "positions", "--db", str(database), "--json"))
    [thresholds, *_] = json.loads(printed(capsys, "exits", "--db", str(database), "--json"))
    received = held["entry_credit"] * 100 * held["contracts"]
    assert thresholds["received_dollars"] == pytest.approx(received)
    assert thresholds["target_cost_dollars"] == pytest.approx(0.35 * received)
    assert thresholds["stop_cost_dollars"] == pytest.approx(2.25 * received)
    assert thresholds["cost_now_dollars"] == pytest.approx(held["mid_cost"] * 100 * held["contracts"])
    assert thresholds["time_exit_from"] == "2026-03-27"
    shown = printed(capsys, "exits", "--db", str(database))
    assert "to target" in shown
    assert thresholds["to_target_dollars"] + thresholds["to_stop_dollars"] == pytest.approx(1.9 * received)


def test_a_pass_closes_what_a_rule_says_and_names_the_rule(database: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = printed(capsys, "monitor", "--as-of", "2026-03-30", "--db", str(database))
    assert "2 open positions as of 2026-03-30 10:00 New York" in shown
    assert "time exit: 18 days left, threshold 21" in shown
    assert printed(capsys, "positions", "--db", str(database)).endswith("no open positions\n")


def test_a_pass_says_what_was_opened_after_its_instant(database: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = printed(capsys, "monitor", "--as-of", "2026-03-17", "--db", str(database))  # 10:00, when the scan began
    assert "0 open positions as of 2026-03-17 10:00 New York" in shown
    assert "not looked at: 2 positions opened after it, until 2026-03-17 10:04" in shown
    assert "not looked at" not in printed(capsys, "monitor", "--as-of", "2026-03-17T10:10", "--db", str(database))


def test_a_pass_outside_the_session_is_one_line_and_exit_code_2(
    database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["monitor", "--as-of", "2026-03-29", "--db", str(database)]) == 2
    assert capsys.readouterr().err.startswith("mahler: 2026-03-29 is not a session")
