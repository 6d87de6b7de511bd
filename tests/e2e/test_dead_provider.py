"""End to end, over real HTTP: whatever the provider does, a paper scan trades as the rules alone do, and in time."""

import asyncio
import json
import logging
import sqlite3
from pathlib import Path
from time import perf_counter

import pytest
from desks import START, rows, scan, trade

from mahler_agents.cli import main
from mahler_agents.clock import Ids, SimulatedClock
from mahler_agents.config import DeskConfig
from mahler_agents.desk import Desk
from mahler_agents.llm.attempts import CallLimits
from mahler_agents.scan import ScanResult
from mahler_agents.testing.fault_server import FaultServer
from mahler_agents.testing.faults import FAULTS, in_turn, parse_script
from mahler_agents.testing.scripted import Script

LIMITS = CallLimits(attempt_seconds=0.3, max_attempts=2, backoff_seconds=0.02, max_retry_after_seconds=0.1)
DEADLINE = 10.0
"""Seconds from the snapshot to the orders: far less than the attempts of all analysts would take one after another."""
PATIENT = LIMITS.model_copy(update={"attempt_seconds": DEADLINE})
"""Where no reply is late: only a limit that a busy machine cannot reach leaves the failures to the script."""

CANARY = "sk-canary-4711-never-anywhere"


def scan_over_http(
    database: Path, environ: dict[str, str], *, limits: CallLimits = LIMITS, deadline: float = DEADLINE
) -> tuple[ScanResult, float]:
    """Run one scan in real time and return it with the seconds that it took."""

    async def run() -> tuple[ScanResult, float]:
        async with Desk(
            model="openai:m",
            database=database,
            config=DeskConfig(decision_delay_seconds=deadline),
            call_limits=limits,
            clock=SimulatedClock(START),
            ids=Ids(1),
            environ=environ,
        ) as desk:
            since = perf_counter()
            return await desk.scan(slot="test"), perf_counter() - since

    return asyncio.run(run())


def served(database: Path, script: Script, *, limits: CallLimits = LIMITS, key: str | None = None) -> ScanResult:
    """Run one scan against a fault server, within the deadline."""

    async def run() -> ScanResult:
        async with FaultServer(script) as server:
            environ = server.environ | ({"OPENAI_API_KEY": key} if key else {})
            result, seconds = await asyncio.to_thread(scan_over_http, database, environ, limits=limits)
            # The scan's own work, on a slow machine, may take as long again as the wait for the advisors.
            assert seconds < 2 * DEADLINE
            return result

    return asyncio.run(run())


@pytest.fixture(scope="module")
def by_rules(tmp_path_factory: pytest.TempPathFactory) -> dict[float, bytes]:
    """What the rules alone trade, by the deadline, at which the legs are quoted again."""
    traded: dict[float, bytes] = {}
    for deadline in (DEADLINE, 0.5):
        database = tmp_path_factory.mktemp("rules") / "desk.db"
        scan(database, "none", config=DeskConfig(decision_delay_seconds=deadline))
        traded[deadline] = trade(database)
    return traded


@pytest.mark.parametrize(
    "fault",
    ["timeout", "drip", "connection", "reset_mid_body", "html_page", "auth", "rate_limited", "truncated", "nan"],
)
def test_with_every_analyst_failing_the_orders_are_those_of_the_rules(
    fault: str, tmp_path: Path, by_rules: dict[float, bytes]
) -> None:
    database = tmp_path / "desk.db"
    result = served(database, FAULTS[fault])
    assert trade(database) == by_rules[DEADLINE]
    assert not any(review.opinions for review in result.reviews)
    assert {review.advice.code.value for review in result.reviews if review.advice} == {"no_verdict"}
    # Four analysts that failed, and the fund manager that was not asked, by name.
    assert all(len(review.failures) == 5 for review in result.reviews)
    assert any(review.decision.decision == "traded" for review in result.reviews)


def test_with_the_provider_dead_the_orders_are_those_of_the_rules(tmp_path: Path, by_rules: dict[float, bytes]) -> None:
    async def gone() -> dict[str, str]:
        async with FaultServer() as server:
            return server.environ

    database = tmp_path / "desk.db"
    result, seconds = scan_over_http(database, asyncio.run(gone()), limits=PATIENT)
    assert seconds < DEADLINE
    assert trade(database) == by_rules[DEADLINE]
    kinds = {failed.kind.value for review in result.reviews for failed in review.failures}
    assert kinds == {"connection", "no_quorum"}


def test_a_provider_slower_than_the_deadline_is_not_waited_for(tmp_path: Path, by_rules: dict[float, bytes]) -> None:
    database = tmp_path / "desk.db"
    limits_are_longer = in_turn("timeout")

    async def run() -> ScanResult:
        async with FaultServer(limits_are_longer) as server:
            patient = CallLimits(attempt_seconds=30)
            result, _ = await asyncio.to_thread(scan_over_http, database, server.environ, limits=patient, deadline=0.5)
            return result

    result = asyncio.run(run())
    assert trade(database) == by_rules[0.5]
    details = {failed.detail for review in result.reviews for failed in review.failures if failed.kind == "timeout"}
    assert details == {"the deadline for all calls passed"}


def test_one_failing_analyst_is_named_and_the_others_are_heard(tmp_path: Path, by_rules: dict[float, bytes]) -> None:
    database = tmp_path / "desk.db"
    result = served(database, parse_script(["greeks=truncated", "technical=server_error,ok"]), limits=PATIENT)
    assert trade(database) == by_rules[DEADLINE]
    for review in result.reviews:
        assert [(failed.role, failed.kind.value) for failed in review.failures] == [("greeks", "truncated")]
        assert {opinion.analyst for opinion in review.opinions} == {"technical", "sentiment", "volatility"}
        assert review.verdict is not None
    raw = {row[0] for row in _query(database, "SELECT raw_reply FROM failures")}
    assert all(text.startswith('{"') for text in raw)
    cut = _query(database, "SELECT response FROM llm_calls WHERE role = 'greeks'")
    assert {json.loads(row[0])["choices"][0]["finish_reason"] for row in cut} == {"length"}


@pytest.mark.parametrize("fault", ["echoing_page", "ok", "auth"])
def test_the_api_key_is_nowhere_even_if_the_provider_repeats_every_header(
    fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("mahler_agents.testing.fault_server.KEY", CANARY)
    caplog.set_level(logging.DEBUG)
    database = tmp_path / "desk.db"
    result = served(database, FAULTS[fault], limits=PATIENT, key=CANARY)
    assert CANARY not in repr(result)
    assert CANARY not in result.model_dump_json()
    assert CANARY not in caplog.text
    for path in tmp_path.iterdir():
        assert CANARY.encode() not in path.read_bytes()
    assert any(row for row in rows(database, "llm_calls"))
    if fault == "echoing_page":
        assert b"[redacted]" in b"".join(path.read_bytes() for path in tmp_path.iterdir())


def test_a_user_sees_the_failures_their_cost_and_no_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    prices = tmp_path / "prices.toml"
    entry = 'provider = "127.0.0.1"\nmodel = "m"\ninput = 2\noutput = 8\ndate = 2026-01-01\nsource = "a test"'
    prices.write_text(f"[[price]]\n{entry}\n")
    monkeypatch.setattr("mahler_agents.testing.fault_server.KEY", CANARY)
    monkeypatch.setenv("MAHLER_PRICES", str(prices))
    monkeypatch.chdir(tmp_path)

    async def run() -> int:
        async with FaultServer(parse_script(["greeks=percent"])) as server:
            for name, value in server.environ.items():
                monkeypatch.setenv(name, value)
            arguments = ["scan", "--model", "openai:m", "--model-for", "fund_manager=openai:m", "--max-dollars", "1"]
            return await asyncio.to_thread(main, arguments)

    assert asyncio.run(run()) == 0
    printed = capsys.readouterr()
    assert "greeks (schema_violation)" in printed.out
    (costs,) = [line for line in printed.out.splitlines() if line.startswith("LLM")]
    assert "tokens, $0.0" in costs
    assert main(["trace", "show", "latest"]) == 0
    shown = capsys.readouterr()
    assert costs.split()[1:] == next(line for line in shown.out.splitlines() if "LLM: " in line).split()[2:]
    assert CANARY not in printed.out + printed.err + shown.out + shown.err


def _query(database: Path, sql: str) -> list[tuple[str, ...]]:
    with sqlite3.connect(database) as connection:
        found = connection.execute(sql).fetchall()
    connection.close()
    return found
