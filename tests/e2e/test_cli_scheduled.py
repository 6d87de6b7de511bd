"""End to end: the schedule's one-shots from the command line, as cron runs them, at a fake Alpaca."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from scheduling import new_york, rows

from mahler_agents.cli import main
from mahler_agents.record.slots import SlotStatus
from mahler_agents.testing.fake_alpaca import FakeAlpaca

DATE = "2026-03-17"
SCAN, PASS = f"scan-{DATE}T10:00", f"monitor-{DATE}T10:00"
AT_ALPACA = ("--market", "alpaca", "--broker", "alpaca", "--db", "desk.db")
SCAN_AUTO = ("scan", "--slot", "auto", "--model", "none", *AT_ALPACA)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeAlpaca]:
    monkeypatch.chdir(tmp_path)
    with FakeAlpaca(start=new_york(DATE, "10:01")) as one:
        for name, value in one.environ.items():
            monkeypatch.setenv(name, value)
        yield one


def said(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().out


def orders() -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect("desk.db")) as connection:
        return connection.execute("SELECT * FROM orders").fetchall()


@pytest.mark.usefixtures("fake")
def test_run_twice_a_scan_and_a_pass_do_nothing_twice(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(list(SCAN_AUTO)) == 0
    first = orders()
    assert first
    assert SCAN not in said(capsys)
    assert main(list(SCAN_AUTO)) == 0
    assert said(capsys).splitlines()[-1].startswith(f"no scan is due at {DATE}")
    assert orders() == first
    assert main(["monitor", *AT_ALPACA]) == 0
    assert "open position" in said(capsys)
    assert main(["monitor", *AT_ALPACA]) == 0
    assert said(capsys).startswith("no monitor is due")
    assert main(["monitor", "--ad-hoc", *AT_ALPACA]) == 0
    assert "open position" in said(capsys)
    found = rows(Path("desk.db"))
    assert found[SCAN].status is SlotStatus.DONE
    assert [row.job for row in found.values() if row.status is SlotStatus.DONE].count("monitor") == 1


def test_a_job_that_fails_is_recorded_with_exit_code_1_and_the_next_slot_runs(
    fake: FakeAlpaca, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.fail("*", "500", times=500)
    assert main(list(SCAN_AUTO)) == 1
    failed = capsys.readouterr()
    assert failed.err.count("\n") == 1
    assert failed.err.startswith("mahler: ")
    row = rows(Path("desk.db"))[SCAN]
    assert (row.status, row.attempts) == (SlotStatus.RETRYING, 1)
    assert row.detail in failed.err
    fake.forget_faults()
    assert main(["monitor", *AT_ALPACA]) == 0
    assert main(list(SCAN_AUTO)) == 0
    assert "failed" in said(capsys), "it waits for its next try"
    fake.advance_to(new_york(DATE, "10:12"))
    assert main(list(SCAN_AUTO)) == 0
    assert rows(Path("desk.db"))[SCAN].status is SlotStatus.DONE


def test_on_a_holiday_and_at_night_there_is_nothing_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with FakeAlpaca(start=new_york("2026-04-03", "10:00")) as good_friday:
        for name, value in good_friday.environ.items():
            monkeypatch.setenv(name, value)
        for verb in (SCAN_AUTO, ("monitor", *AT_ALPACA), ("summary", "--slot", "auto", "--db", "desk.db")):
            assert main(list(verb)) == 0
            assert "the next is at 2026-04-06" in said(capsys)
        assert main(["schedule", "--json", "--days", "4"]) == 0
        shown = json.loads(said(capsys))
        assert shown["closed"]["2026-04-03"] == "a holiday of the New York exchange"
        assert shown["closed"]["2026-04-04"] == "a weekend"
        assert [slot["slot"] for slot in shown["slots"] if slot["job"] == "scan"] == ["scan-2026-04-06T10:00"]


def test_the_summary_of_the_day_is_made_once(fake: FakeAlpaca, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(list(SCAN_AUTO)) == 0
    fake.advance_to(new_york(DATE, "16:30"))
    capsys.readouterr()
    assert main(["summary", "--slot", "auto", "--db", "desk.db"]) == 0
    assert DATE in said(capsys)
    assert main(["summary", "--slot", "auto", "--db", "desk.db"]) == 0
    assert said(capsys).splitlines()[-1].startswith("no summary is due")
    assert rows(Path("desk.db"))[f"summary-{DATE}"].status is SlotStatus.DONE
