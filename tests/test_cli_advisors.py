"""What the command line lets a user choose of the advisors: each option reaches the desk, by flag or by variable."""

import asyncio
import contextlib
import json
import queue
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from desks import passes_every
from pydantic import ValidationError

from mahler_agents.cli import main
from mahler_agents.cli.advisors import advisors_options
from mahler_agents.config import DeskConfig
from mahler_agents.desk import Desk
from mahler_agents.llm.attempts import CallLimits
from mahler_agents.llm.budget import ScanBudget
from mahler_agents.settings import Settings
from mahler_agents.testing.fault_server import FaultServer


def chosen(*arguments: str, **environ: str) -> dict[str, Any]:
    """Return what a verb with these options gives a desk."""
    kept: list[dict[str, Any]] = []

    @click.command()
    @advisors_options
    def verb(*, advisors: dict[str, Any]) -> int:
        kept.append(Settings.load({"model": "none", **advisors}).desk_arguments())
        return 0

    told = CliRunner(env=environ).invoke(verb, arguments)
    assert told.exit_code == 0, told.output
    return kept[0]


def test_nothing_chosen_is_a_desk_s_own_default() -> None:
    given, plain = Desk(**chosen()), Desk(model="none", environ={})
    assert given.config == plain.config == DeskConfig()
    assert given.call_limits == CallLimits()
    assert given.budget == plain.budget == ScanBudget()


def test_every_option_reaches_the_desk() -> None:
    limits = ["--max-calls", "9", "--max-tokens", "800", "--max-dollars", "0.5"]
    pace = ["--requests-per-minute", "12", "--debate-rounds", "2", "--model-for", "greeks=openai:a"]
    given = chosen(*limits, *pace)
    assert given["budget"] == ScanBudget(max_calls=9, max_tokens=800, max_dollars=0.5)
    assert given["call_limits"].requests_per_minute == 12
    assert given["config"].debate_rounds == 2
    assert given["model_for"] == {"greeks": "openai:a"}


def test_a_variable_chooses_too_and_the_option_goes_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAHLER_ENVIRONMENT", "live")
    given = chosen("--debate-rounds", "0", MAHLER_REQUESTS_PER_MINUTE="7", MAHLER_DEBATE_ROUNDS="1")
    assert given["call_limits"].requests_per_minute == 7
    assert given["config"].debate_rounds == 0
    assert given["config"].environment == "live"


@contextlib.contextmanager
def in_a_thread() -> Iterator[FaultServer]:
    """Yield a server on a loop of its own, since a simulation listens for signals on the main thread."""
    ready: queue.SimpleQueue[tuple[FaultServer, asyncio.AbstractEventLoop, asyncio.Event]] = queue.SimpleQueue()

    async def serve() -> None:
        over = asyncio.Event()
        async with FaultServer() as server:
            ready.put((server, asyncio.get_running_loop(), over))
            await over.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    server, loop, over = ready.get(timeout=60)
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()


@pytest.mark.parametrize("verb", [["scan"], ["simulate", "--from", "2026-03-16", "--to", "2026-03-16"]])
def test_a_debate_asked_for_on_the_command_line_is_held_and_recorded(
    verb: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    more = ["--model", "openai:m", "--debate-rounds", "1", "--requests-per-minute", "500", "--db", "x.db", "--json"]
    with in_a_thread() as server:
        for name, value in server.environ.items():
            monkeypatch.setenv(name, value)
        with passes_every(30):
            assert main([*verb, *more]) == 0
    roles = [request.role for request in server.requests]
    assert json.loads(capsys.readouterr().out)
    assert roles.count("bull") == roles.count("bear") == roles.count("fund_manager") > 0


@pytest.mark.parametrize(
    ("option", "value"), [("--debate-rounds", "6"), ("--debate-rounds", "-1"), ("--requests-per-minute", "0")]
)
def test_a_number_out_of_range_is_refused(option: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scan", option, value]) == 2
    assert option in capsys.readouterr().err


def test_a_desk_allows_as_many_rounds_as_the_command_line() -> None:
    assert chosen("--debate-rounds", "5")["config"].debate_rounds == 5
    with pytest.raises(ValidationError):
        DeskConfig(debate_rounds=6)
