"""`mahler status`: what SQL says of the record, in every state of a desk; and the view of it on a terminal."""

import contextlib
import datetime as dt
import io
import json
import os
import pty
import select
import shutil
import sqlite3
import subprocess
import sys
import termios
from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from cli_scans import HOSTILE, Terminal, run_scan
from hypothesis import given
from hypothesis import strategies as st
from rich.text import Text

from mahler_agents.cli import main
from mahler_agents.cli.console import make_console
from mahler_agents.cli.status.live import watch
from mahler_agents.cli.status.positions import bar
from mahler_agents.cli.status.times import ago, when
from mahler_agents.cli.status.view import Line, fitting, lines
from mahler_agents.clock import utc_text
from mahler_agents.record import open_database
from mahler_agents.record.status import StatusReader
from mahler_agents.record.status_rows import Pulse, Status
from mahler_agents.risk import BreakerBook
from mahler_agents.scan import ScanResult

ACCOUNT = "paper-sample-22"
NOW = dt.datetime(2026, 3, 17, 20, 5, tzinfo=dt.UTC)  # five minutes after the close


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ScanResult]:
    """A record with the positions of one scan and one pass after it, and the scan's result."""
    path = tmp_path_factory.mktemp("status") / "mahler-sample-paper.db"
    result = run_scan(path, "none")
    assert main(["monitor", "--as-of", "2026-03-17T15:55", "--db", str(path)]) == 0
    return path, result


@pytest.fixture
def database(made: tuple[Path, ScanResult], tmp_path: Path) -> Path:
    return Path(shutil.copy(made[0], tmp_path))


def change(path: Path, sql: str, *values: object) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(sql, values)


def ask(path: Path, sql: str) -> list[Any]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


def status_of(path: Path, now: dt.datetime = NOW) -> Status:
    with StatusReader(path) as reader:
        return reader.status(ACCOUNT, now)


def shown(status: Status, width: int = 200) -> str:
    console = make_console(io.StringIO())
    console.size = (width, 100)  # type: ignore[assignment]
    return "\n".join(line.text.plain for line in lines(status, console))


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["status", *arguments]) == 0
    return capsys.readouterr().out


# --- What it says -----------------------------------------------------------------------------------------------------


def test_its_json_is_what_sql_says_of_the_record(database: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(printed(capsys, "--json", "--db", str(database)))
    [(at, equity, cash)] = ask(database, "SELECT at, equity, cash FROM equity ORDER BY at DESC LIMIT 1")
    assert [found["account"][name] for name in ("at", "equity", "cash")] == [at, equity, cash]
    [(risk,)] = ask(
        database,
        "SELECT SUM((ABS(short_strike - long_strike) - entry_credit) * 100 * (contracts - closed_contracts))"
        " FROM positions WHERE state = 'open'",
    )
    assert found["heat"]["dollars"] == pytest.approx(risk)
    assert found["heat"]["share"] == pytest.approx(risk / equity)
    assert found["heat"]["limit_dollars"] == pytest.approx(0.2 * equity)
    held = ask(
        database,
        "SELECT entry_order_id, entry_credit, mid_cost, marks.at, expiration FROM positions JOIN marks USING"
        " (entry_order_id) WHERE state = 'open' ORDER BY opened_at, entry_order_id",
    )
    assert len(held) == len(found["positions"]) == 2
    for (entry, credit, cost, marked_at, expiration), one in zip(held, found["positions"], strict=True):
        assert (one["entry_order_id"], one["mid_cost"], one["marked_at"]) == (entry, cost, marked_at)
        assert one["target_cost"] == pytest.approx(0.35 * credit, abs=1e-4)
        assert one["stop_cost"] == pytest.approx(2.25 * credit, abs=1e-4)
        assert one["place"] == pytest.approx((cost / credit - 0.35) / 1.9)
        assert one["time_exit_from"] == str(dt.date.fromisoformat(expiration) - dt.timedelta(days=21))
    [(run, reviewed, traded)] = ask(
        database, "SELECT run_id, SUM(reviewed), SUM(decision = 'traded') FROM candidates GROUP BY run_id"
    )
    scan = found["last_scan"]
    assert (scan["id"], scan["reviewed"], scan["traded"]) == (run, reviewed, traded)
    assert sum(scan["skipped"].values()) == reviewed - traded
    assert found["origin"]["synthetic"] is True
    assert found["trading"]["state"] == "active"


def test_its_heat_is_the_account_s(made: tuple[Path, ScanResult]) -> None:
    assert status_of(made[0]).heat.dollars == pytest.approx(made[1].account_after.heat_dollars)


def test_it_says_what_is_made_up_and_as_of_when_everything_is(database: Path) -> None:
    text = shown(status_of(database))
    assert "SYNTHETIC MARKET" in text
    assert "paper trading, account paper-sample-22 at paper, host embedded" in text
    assert "as of      2026-03-17 15:55 New York, where the market sample stands still" in text
    assert "(15:55, now)" in text
    assert "last scan  10:00, 5 h ago, done; 2 of 4 reviewed traded" in text
    assert "regime: 0.50 [bypassed - paper trading]" in text
    assert "trading    ACTIVE" in text
    assert "breaker    normal" in text
    assert "no daemon has run on this record" in text
    assert "positions" not in text


@pytest.mark.parametrize("deposit", [0, 5000])
def test_losses_are_the_circuit_breaker_s(database: Path, deposit: float) -> None:
    for days, equity in ((9, 104_000.0), (8, 103_000.0), (5, 101_000.0), (4, 100_500.0), (1, 99_000.0)):
        at = dt.datetime(2026, 3, 17, 20, 0, tzinfo=dt.UTC) - dt.timedelta(days=days)
        change(database, "INSERT INTO equity VALUES (?, ?, ?, 0)", ACCOUNT, utc_text(at), equity)
    change(database, "DELETE FROM breaker_states")
    if deposit:
        change(database, "INSERT INTO deposits VALUES (?, '2026-03-17T13:00:00.000Z', ?)", ACCOUNT, deposit)
    found = status_of(database).account
    assert found is not None
    with BreakerBook(database, ACCOUNT) as book:
        decision = book.evaluate(equity=found.equity, at=dt.datetime.fromisoformat(found.at), vix=None)
    seen = {reading.rule.value: reading.observed for reading in decision.readings}
    assert -found.day.share == pytest.approx(seen["day_loss"])
    assert -found.week.share == pytest.approx(seen["week_loss"])
    assert -found.peak.share == pytest.approx(seen["drawdown"])
    assert found.day.dollars == pytest.approx(found.equity - 99_000 - deposit)


def test_at_its_peak_nothing_has_fallen(database: Path) -> None:
    change(database, "UPDATE equity SET equity = 200000 WHERE at = (SELECT MAX(at) FROM equity)")
    assert "at its peak" in shown(status_of(database))


# --- States -----------------------------------------------------------------------------------------------------------


def test_a_record_without_rows_says_how_to_begin(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = open_database(tmp_path / "mahler-new-paper.db", create=True)
    assert "nothing is recorded yet: `mahler scan` makes the first run" in printed(capsys, "--db", str(path))
    found = json.loads(printed(capsys, "--json", "--db", str(path)))
    assert (found["origin"], found["account"], found["positions"]) == (None, None, [])
    change(path, BEAT, "2026-03-17T20:04:30.000Z", None, None)
    assert "desk1:4711 is alive (30 s ago)" in shown(status_of(path))


def test_a_record_that_is_not_there_is_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["status", "--db", str(tmp_path / "no.db")]) == 2
    assert capsys.readouterr().err.startswith("mahler: ")


def test_halted_and_reducing_are_told_with_who_and_why(database: Path) -> None:
    state = "INSERT INTO trading_states (at, state, reason, by) VALUES ('2026-03-17T15:00:00.000Z', ?, ?, 'ann')"
    change(database, state, "reducing", "a broken leg")
    assert "REDUCING since 2026-03-17 11:00 New York by ann: a broken leg; nothing is opened" in shown(
        status_of(database)
    )
    change(database, state, "halted", "the news")
    assert "HALTED since 2026-03-17 11:00 New York by ann: the news; nothing is opened" in shown(status_of(database))
    change(database, state, "active", "over")
    Path(f"{database}.halt").write_text("by hand", encoding="utf-8")
    assert "HALTED" in shown(status_of(database))


def test_a_step_of_the_breaker_is_told_with_what_it_allows_and_a_halt_too(database: Path) -> None:
    step = (
        "INSERT INTO breaker_changes (account_id, at, rule, code, observed, equity, size, close_share)"
        " VALUES (?, '2026-03-17T18:00:00.000Z', ?, ?, 0.1, 9, ?, ?)"
    )
    peak = '{"peak": {"at": "2026-03-17T14:00:00Z", "equity": 100000}, "halts": [%s], "codes": {%s}}'
    change(database, "DELETE FROM breaker_states")
    codes = '"drawdown": "drawdown_quarter_size"'
    change(database, "INSERT INTO breaker_states VALUES (?, ?)", ACCOUNT, peak % ("", codes))
    change(database, step, ACCOUNT, "drawdown", "drawdown_quarter_size", 0.25, "worst_quarter")
    assert (
        "breaker    drawdown_quarter_size since 14:00, 1 h ago: sizes times 0.25, asks to close: worst quarter"
        in shown(status_of(database))
    )
    halt = '{"rule": "day_loss", "at": "2026-03-17T19:00:00Z", "equity": 98000}'
    change(database, "UPDATE breaker_states SET state = ?", peak % (halt, codes))
    change(database, step, ACCOUNT, "day_loss", "day_loss_halt", 0, "worst_quarter")
    found = status_of(database)
    assert found.breaker.halts == {"day_loss": "2026-03-17T19:00:00.000Z"}
    assert "HALTED by day_loss_halt and drawdown_quarter_size" in shown(found)


def test_a_position_without_a_mark_says_so_and_one_marked_before_the_others_is_told_apart(database: Path) -> None:
    first, second = (one.entry_order_id for one in status_of(database).positions)
    change(database, "UPDATE marks SET at = '2026-03-17T19:00:00.000Z' WHERE entry_order_id = ?", first)
    assert [one.mark_is_old for one in status_of(database).positions] == [True, False]
    assert "55 min ago" in shown(status_of(database))
    change(database, "DELETE FROM marks WHERE entry_order_id = ?", second)
    one = status_of(database).positions[1]
    assert (one.mid_cost, one.place) == (None, None)
    assert "no mark" in shown(status_of(database))
    assert "never" in shown(status_of(database))


BEAT = (
    "INSERT INTO heartbeats (owner, version, started_at, at, stopped_at, doing, next_job, next_at)"
    " VALUES ('desk1:4711', '1', '2026-03-17T13:00:00.000Z', ?, ?, ?, 'scan-2026-03-18T10:00',"
    " '2026-03-18T14:00:00.000Z')"
)


@pytest.mark.parametrize(
    ("beat", "stopped", "doing", "pulse", "said"),
    [
        ("20:04:30", None, None, Pulse.ALIVE, "desk1:4711 is alive (30 s ago)"),
        ("20:04:30", None, "monitor-x", Pulse.ALIVE, "is alive (30 s ago), at work on monitor-x"),
        ("20:02:00", None, None, Pulse.ALIVE, "is alive (3 min ago)"),
        ("20:01:59", None, None, Pulse.STALE, "no sign of life of desk1:4711 since 16:01, 3 min ago: is it dead?"),
        ("19:00:00", "19:00:00", None, Pulse.STOPPED, "stopped 15:00, 1 h ago (desk1:4711)"),
    ],
)
def test_a_daemon_is_alive_dead_or_stopped_by_its_heartbeat(
    database: Path, beat: str, *, stopped: str | None, doing: str | None, pulse: Pulse, said: str
) -> None:
    change(database, BEAT, f"2026-03-17T{beat}.000Z", stopped and f"2026-03-17T{stopped}.000Z", doing)
    found = status_of(database)
    assert found.scheduler.pulse is pulse
    assert said in shown(found)
    assert ("next       scan-2026-03-18T10:00" in shown(found)) is (pulse is Pulse.ALIVE)
    assert found.flows
    assert found.present == utc_text(NOW)


def test_of_several_daemons_the_one_that_lives_is_told_of_else_the_last_that_did(database: Path) -> None:
    beat = BEAT.replace("'desk1:4711'", "?")
    change(database, beat, "long-dead", "2026-03-10T20:00:00.000Z", None, None)
    change(database, beat, "stopped", "2026-03-17T20:04:50.000Z", "2026-03-17T20:04:50.000Z", None)
    stopped = status_of(database).scheduler
    assert (stopped.pulse, stopped.heartbeat and stopped.heartbeat.owner) == (Pulse.STOPPED, "stopped")
    change(database, beat, "alive", "2026-03-17T20:04:00.000Z", None, None)
    alive = status_of(database).scheduler
    assert (alive.pulse, alive.heartbeat and alive.heartbeat.owner) == (Pulse.ALIVE, "alive")


def test_slots_say_what_ran_last_what_waits_and_what_was_missed_today(database: Path) -> None:
    row = "INSERT INTO slots (job, slot, due_at, status, attempts, ended_at, detail) VALUES (?, ?, ?, ?, 1, ?, ?)"
    for job, at, state, detail in (
        ("scan", "2026-03-16T14:00:00.000Z", "missed", "too late"),
        ("scan", "2026-03-17T14:00:00.000Z", "done", None),
        ("monitor", "2026-03-17T19:00:00.000Z", "missed", "nothing ran then"),
        ("monitor", "2026-03-17T19:55:00.000Z", "failed", "the market could not be had"),
        ("summary", "2026-03-17T20:00:00.000Z", "retrying", None),
    ):
        change(database, row, job, f"{job}-{at[:16]}", at, state, at, detail)
    found = status_of(database)
    assert [(one.job, one.status) for one in found.scheduler.last] == [("scan", "done"), ("monitor", "failed")]
    assert [one.job for one in found.scheduler.unended] == ["summary"]
    assert (found.scheduler.missed, found.scheduler.failed) == (1, 1)
    text = shown(found)
    assert "1 slot missed today, 1 failed" in text
    assert "monitor-2026-03-17T19:55 failed (15:55, 10 min ago): the market could not be had" in text


def test_pending_orders_count_as_heat_at_their_worst_and_are_shown(database: Path) -> None:
    before = status_of(database).heat
    order = (
        "INSERT INTO orders (client_order_id, account_id, slot, purpose, state, underlying, spread_type, expiration,"
        " short_strike, long_strike, short_symbol, long_symbol, contracts, limit_credit, decided_at)"
        " VALUES ('o', ?, 's', 'entry', 'partial', 'SPY', 'bull_put', '2026-04-17', 540, 535, 'S', 'L', 4, 0.5,"
        " '2026-03-17T19:50:00.000Z')"
    )
    change(database, order, ACCOUNT)
    change(database, "INSERT INTO order_attempts VALUES ('o', 1, 'o.1', '2026', 4, 0.6, 'partial', NULL)")
    change(database, "INSERT INTO fills VALUES ('o', 1, 1, '2026', 1, 0.6, 0)")
    found = status_of(database)
    assert found.heat.pending_dollars == pytest.approx(3 * 450)
    assert found.heat.dollars == pytest.approx(before.dollars + 3 * 450)
    said = "entry SPY 540/535 put spread, 2026-04-17: partial, 1 of 4 filled, limit 0.60 (15:50, 5 min ago)"
    assert said in shown(found)


def test_unfinished_runs_and_what_differs_at_the_broker_are_told(database: Path) -> None:
    change(database, "UPDATE runs SET status = 'failed', error = 'x', abandoned_at = '2026-03-17T19:00:00.000Z'")
    change(
        database,
        "INSERT INTO broker_differences (account_id, kind, item, explanation, first_seen_at, last_seen_at)"
        " VALUES (?, 'missing', 'SPY...', 'a leg is missing', '2026-03-17T15:00:00.000Z', '2026')",
        ACCOUNT,
    )
    change(database, "UPDATE broker_checks SET error = 'refused'")
    text = shown(status_of(database))
    assert "was left by its process" in text
    assert "scan --resume" in text
    assert "missing    a leg is missing (since 2026-03-17 11:00)" in text
    assert "could not be read, so nothing is opened: refused" in text
    change(database, "UPDATE runs SET status = 'running', abandoned_at = NULL")
    assert "is at work, or its process died" in shown(status_of(database))


def test_warnings_are_those_of_the_last_day_each_once_and_nothing_in_them_is_obeyed(database: Path) -> None:
    event = "INSERT INTO events (at, level, code, message) VALUES (?, ?, ?, ?)"
    change(database, event, "2030-05-01T12:00:00.000Z", "warning", "of_the_day_before", "x")
    for minute in range(3):
        change(database, event, f"2030-05-02T14:0{minute}:00.000Z", "warning", "no_mark", HOSTILE)
    change(database, event, "2030-05-02T15:00:00.000Z", "info", "small", "x")
    found = status_of(database)
    assert found.day == "2030-05-02"
    assert [one.code for one in found.warnings] == ["no_mark"]
    text = shown(found)
    assert "warnings   1 on 2030-05-02" in text
    assert "10:02 no mark: [2J]0;title" in text
    assert all(char == "\n" or char.isprintable() for char in text)


def test_an_account_must_be_chosen_where_there_are_several(database: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(database, "INSERT INTO equity VALUES ('another', '2026', 1, 1)")
    assert main(["status", "--db", str(database)]) == 2
    assert "choose one of another, paper-sample-22 with --account" in capsys.readouterr().err
    assert "no equity" not in printed(capsys, "--account", ACCOUNT, "--db", str(database))


def test_it_writes_nothing(database: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with closing(sqlite3.connect(database)) as connection:
        before = list(connection.iterdump())
    printed(capsys, "--db", str(database))
    with closing(sqlite3.connect(database)) as connection:
        assert list(connection.iterdump()) == before


# --- The view ---------------------------------------------------------------------------------------------------------


@given(st.floats(-2, 3), st.floats(0.05, 0.9))
def test_the_bar_has_one_length_and_shows_where_the_cost_is(place: float, credit: float) -> None:
    drawn = bar(place, credit)
    assert len(drawn) == 17
    assert (drawn[0] == "o") is (place <= 0)
    assert (drawn[-1] == "!") is (place >= 1)
    assert ("o" in drawn[1:-1]) is (0 < place < 1)


@given(st.lists(st.integers(0, 2), max_size=40), st.integers(1, 45))
def test_where_there_is_no_room_what_can_be_spared_goes_first_and_order_stays(spares: list[int], rows: int) -> None:
    found = [Line(Text(str(at)), spare) for at, spare in enumerate(spares)]
    kept = fitting(found, rows)
    assert len(kept) == min(rows, len(found))
    at = [int(line.text.plain) for line in kept]
    assert at == sorted(at)
    dropped = [line.spare for line in found if line not in kept]
    if any(spare == 0 for spare in dropped):
        assert all(line.spare == 0 for line in kept)
    if any(spare == 1 for spare in dropped):
        assert all(line.spare != 2 for line in kept)


@pytest.mark.parametrize("width", [72, 80, 100, 140])
def test_every_line_fits_the_terminal(database: Path, width: int) -> None:
    found = shown(status_of(database), width).splitlines()
    assert max(map(len, found)) <= width
    assert any("T---" in line for line in found)


def test_ages_are_in_the_unit_that_one_wants() -> None:
    present = "2026-03-17T20:00:00.000Z"
    ages = [ago(f"2026-03-{at}.000Z", present) for at in ("17T19:59:59", "17T19:58:00", "17T08:00:00", "10T20:00:00")]
    assert ages == ["1 s ago", "2 min ago", "12 h ago", "7 d ago"]
    assert ago("2026-03-17T20:10:00.000Z", present) == "in 10 min"
    assert when("2026-03-16T20:00:00.000Z", present) == "2026-03-16 16:00, 24 h ago"


class Fingers:
    """A keyboard whose keys are pressed at chosen glances."""

    def __init__(self, *keys: str) -> None:
        self.keys = list(keys)
        self.taken: list[bool] = []

    @contextlib.contextmanager
    def reading(self) -> Generator[None]:
        self.taken.append(True)
        try:
            yield
        finally:
            self.taken.append(False)

    def wait(self, seconds: float) -> str:
        assert seconds <= 1
        key = self.keys.pop(0)
        if key == "^C":
            raise KeyboardInterrupt
        return key


@pytest.mark.parametrize("end", ["q", "Q", "^C"])
def test_the_live_view_reads_again_and_again_until_q_or_ctrl_c(database: Path, end: str) -> None:
    readings: list[int] = []

    def read() -> Status:
        readings.append(len(readings))
        return status_of(database)

    keys, terminal = Fingers("", "x", "", "", "", end), Terminal()
    watch(read, terminal, keys, every=1)
    assert readings == [0, 1, 2]
    assert keys.taken == [True, False]
    drawn = terminal.getvalue()
    assert drawn.count("\x1b[?1049h") == drawn.count("\x1b[?1049l") == 1
    assert "q quits" in drawn


def test_what_cannot_be_read_is_told_before_the_screen_is_taken() -> None:
    terminal = Terminal()

    def read() -> Status:
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        watch(read, terminal, Fingers(), every=1)
    assert terminal.getvalue() == ""


def test_off_a_terminal_it_is_printed_once_and_plain(database: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, "--db", str(database))
    assert "\x1b" not in text
    assert text.count("heat  ") == 1
    assert main(["status", "--live", "--db", str(database)]) == 2
    assert "--live needs a terminal" in capsys.readouterr().err


@pytest.mark.parametrize("colour", [True, False], ids=["in colour", "with NO_COLOR"])
def test_on_a_terminal_it_is_drawn_and_q_leaves_the_terminal_as_it_was(database: Path, *, colour: bool) -> None:
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (24, 80))
    before = termios.tcgetattr(slave)
    code = "import sys; from mahler_agents.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", code, "status", "--db", str(database)]
    environ = {**os.environ} | ({} if colour else {"NO_COLOR": "1"})
    with subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=environ) as process:
        drawn = _until(master, b"q quits")
        assert termios.tcgetattr(slave)[3] & termios.ICANON == 0
        os.write(master, b"q")
        drawn += _until(master, b"\x1b[?1049l")
        assert process.wait(timeout=30) == 0
    assert termios.tcgetattr(slave) == before
    os.close(slave)
    os.close(master)
    assert drawn.index(b"\x1b[?1049h") < drawn.index(b"heat")
    assert (b"\x1b[32mACTIVE" in drawn) is colour
    assert b"TLT" in drawn


def _until(master: int, mark: bytes) -> bytes:
    """Return what a terminal was sent up to a mark in it."""
    drawn = b""
    while mark not in drawn:
        ready, _, _ = select.select([master], [], [], 60)
        assert ready, drawn
        drawn += os.read(master, 65536)
    return drawn
