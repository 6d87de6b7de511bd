"""For the tests of replays: recorded scans with chosen faults, over real HTTP or in virtual time."""

import asyncio
import sqlite3
from collections.abc import Callable, Coroutine, Iterable
from pathlib import Path
from typing import Any, TypeVar

from desks import START, rows

from mahler_agents.clock import Ids, SimulatedClock
from mahler_agents.desk import Desk
from mahler_agents.llm.attempts import CallLimits
from mahler_agents.replay import ReplayResult
from mahler_agents.risk import RiskLimits
from mahler_agents.scan import ScanResult
from mahler_agents.testing.fault_server import FaultServer
from mahler_agents.testing.faults import FAULTS
from mahler_agents.testing.scripted import Script, ScriptedReply, ScriptedRequest, favourable

T = TypeVar("T")

LIMITS = CallLimits(
    attempt_seconds=1.0, max_attempts=2, backoff_seconds=0.02, max_retry_after_seconds=0.1, outage_failures=1_000
)
OUTAGES = ("quota", "auth", "model_not_found")
"""Faults after one of which nobody else is asked."""
REPLAY_TABLES = {
    "runs",
    "candidates",
    "spans",
    "prompts",
    "briefs",
    "llm_calls",
    "opinions",
    "arguments",
    "failures",
    "verdicts",
}
"""Tables to which a replay adds rows."""


def each_its_own(names: Iterable[str]) -> Script:
    """Return a script that meets each analyst's question with the next fault, for good, and all others with `ok`."""
    waiting = iter(names)
    behaviours: dict[tuple[str, str], Script] = {}

    def script(request: ScriptedRequest) -> ScriptedReply | Exception:
        if request.role == "fund_manager":
            return favourable(request)
        # The brief; a repair adds messages behind it, the last of them ours.
        asked = [
            one["content"] for one in request.messages if one["role"] == "user" and "not accepted" not in one["content"]
        ]
        key = (request.role, asked[-1])
        if key not in behaviours:
            behaviours[key] = FAULTS[next(waiting, "ok")]
        return behaviours[key](request)

    return script


async def scan_over_http(database: Path, server: FaultServer, *, seed: int = 1, **choices: Any) -> ScanResult:
    """Run one scan against a fault server, in real time; it trades nothing, so that the next finds as much."""
    nothing = RiskLimits(max_risk_per_trade_pct=0.0001)
    settings: dict[str, Any] = {"model": "openai:m", "call_limits": LIMITS, "limits": nothing, **choices}
    async with Desk(
        database=database, clock=SimulatedClock(START), ids=Ids(seed), environ=server.environ, **settings
    ) as desk:
        return await desk.scan(slot=f"test-{seed}")


def with_server(script: Script, work: Callable[[FaultServer], Coroutine[Any, Any, T]]) -> T:
    """Return what `work` makes of a fault server."""

    async def run() -> T:
        async with FaultServer(script) as server:
            return await work(server)

    return asyncio.run(run())


def differing(result: ReplayResult) -> list[object]:
    """Return what is not as it was, for a test's message."""
    return [(one.node, one.was, one.now, one.miss) for one in result.answers if not one.same]


def content(database: Path, *, without: Iterable[str] = ()) -> dict[str, list[tuple[Any, ...]]]:
    """Return every table's rows."""
    with sqlite3.connect(database) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    connection.close()
    return {table: rows(database, table) for table in tables if table not in set(without)}
