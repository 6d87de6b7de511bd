"""`mahler simulate`: what it says when it is interrupted, and of a market that lacks much."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mahler_agents.cli import main

PROGRAM = (sys.executable, "-c", "import sys; from mahler_agents.cli import main; sys.exit(main())")
HEADER = (
    "underlying,underlying_last,optionroot,type,expiration,quotedate,strike,last,bid,ask,volume,openinterest,"
    "impliedvol,delta,gamma,theta,vega,optionalias\n"
)
ROW = (
    "SPY,390.25,SPY210305C00395000,call,2021-03-05,{date},395.0,3.93,{bid},4.13,4551,2428,0.15146,"
    "0.38563,0.02523,-0.12108,0.3827,SPY210305C00395000\n"
)


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_an_interrupted_simulation_ends_with_what_is_done_and_exit_code_130(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    span = ["--from", "2026-01-02", "--to", "2026-12-31", "--db", "x.db"]
    with subprocess.Popen(
        [*PROGRAM, "simulate", *span], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith("SYNTHETIC")
        process.send_signal(signal.SIGINT)
        shown, complaint = process.stdout.read(), process.stderr.read()
        assert process.wait() == 130
    assert complaint == ""
    assert "\ninterrupted before 2026-01-" in shown
    assert shown.endswith("recorded in x.db\n")
    assert main(["trace", "list", "--json", "--db", "x.db"]) == 0
    assert {run["status"] for run in json.loads(capsys.readouterr().out)} == {"done"}


def test_a_file_s_gaps_and_absent_parts_are_said_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    days = {"2021-02-08": 4.0, "2021-02-09": 4.1, "2021-02-11": 4.1, "2021-02-12": 4.05}
    (tmp_path / "chains.csv").write_text(HEADER + "".join(ROW.format(date=date, bid=bid) for date, bid in days.items()))
    assert main(["simulate", "--market", "csv:chains.csv", "--from", "2021-02-08", "--to", "2021-02-18"]) == 0
    shown = capsys.readouterr().out
    assert "SYNTHETIC" not in shown
    assert "2021-02-12     0 passed, 0 opened, closed: none; 0 open, equity $100,000.00" in shown
    assert "skipped 4 sessions, 2021-02-10, 2021-02-16, 2021-02-17 and 1 more: is not in the file" in shown
    assert "skipped 1 session, 2021-02-11: repeats the quotes of the date before it in the file" in shown
    assert shown.count("no vix") == 1
    assert (tmp_path / "mahler-simulated-csv-paper.db").exists()


@pytest.mark.parametrize(
    ("first", "last", "why"),
    [
        ("2026-03-02", "2026-03-01", "the first day, 2026-03-02, is after the last, 2026-03-01"),
        ("2026-03-07", "2026-03-08", "there is no session of the New York exchange"),
        ("1999-01-04", "1999-01-05", "outside the exchange calendar"),
    ],
)
def test_a_span_that_cannot_be_simulated_leaves_no_empty_record(
    first: str, last: str, why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["simulate", "--from", first, "--to", last]) == 2
    assert why in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
