"""`mahler fake-alpaca`: what it prints points a client at it, and it ends when it is told to."""

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
from alpaca.trading.client import TradingClient

from mahler_agents.cli import main
from mahler_agents.remote_clock import RemoteClock
from mahler_agents.testing.fake_alpaca import FakeControl

COMMAND = [sys.executable, "-c", "import sys; from mahler_agents.cli import main; sys.exit(main())", "fake-alpaca"]


@contextmanager
def serving(*options: str) -> Iterator[tuple["subprocess.Popen[str]", Sequence[str]]]:
    """Yield a process that serves, and the lines that it has printed once it does."""
    with subprocess.Popen([*COMMAND, *options], stdout=subprocess.PIPE, text=True, env=dict(os.environ)) as process:
        assert process.stdout is not None
        try:
            lines = [process.stdout.readline() for _ in range(7)]
            yield process, lines
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_it_prints_points_a_client_at_it_and_a_signal_ends_it(number: signal.Signals) -> None:
    with serving("--seed", "7", "--start", "2026-05-05T11:00", "--cash", "2500.50", "--still") as (process, lines):
        assert lines[0].startswith("# SYNTHETIC: a fake Alpaca over the sample market, seed 7")
        assert lines[1] == "# its clock: 2026-05-05 11:00 New York, standing still\n"
        exported = dict(re.fullmatch(r"export (\w+)=(.*)\n", line).groups() for line in lines[2:6])  # type: ignore[union-attr]
        environ = {name: shlex.split(value)[0] for name, value in exported.items()}
        client = TradingClient(
            environ["APCA_API_KEY_ID"], environ["APCA_API_SECRET_KEY"], url_override=environ["MAHLER_ALPACA_URL"]
        )
        assert client.get_account().cash == "2500.5"
        clock = RemoteClock(environ["MAHLER_CLOCK_URL"])
        assert clock.now() == clock.now() == FakeControl(clock.url).now
        process.send_signal(number)
        assert process.wait(timeout=20) == 0
        assert process.stdout is not None
        assert process.stdout.read() == "# ended: 0 orders taken, 0 positions open\n"


def test_its_clock_runs_by_itself_unless_told_to_stand_still() -> None:
    with serving() as (_, lines):
        control = FakeControl(lines[2].partition("=")[2].strip())
        first = control.now
        while (later := control.now) == first:
            pass
        assert later > first


def test_a_port_that_is_taken_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with serving() as (_, lines):
        port = lines[2].rpartition(":")[2].strip()
        assert main(["fake-alpaca", "--port", port]) == 1
    assert f"cannot listen on 127.0.0.1:{port}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--start", "2035-01-02"], "cannot start at"),
        (["--start", "soon"], "not a time"),
        (["--cash=-5"], "no less than nothing"),
        (["--cash", "lots"], "not an amount"),
        (["--seed", "-1"], "--seed"),
        (["--port", "70000"], "--port"),
    ],
)
def test_what_it_cannot_serve_is_one_line(
    capsys: pytest.CaptureFixture[str], options: Sequence[str], said: str
) -> None:
    assert main(["fake-alpaca", *options]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert said in line
