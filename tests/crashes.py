"""For tests of resuming: scans that kill themselves at a numbered moment, resumed, and what the record then holds."""

import datetime as dt
import os
import signal
import sqlite3
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar

import pytest
from desks import START

from mahler_agents.clock import Ids, SimulatedClock
from mahler_agents.config import DeskConfig
from mahler_agents.desk import Desk
from mahler_agents.llm.models import Endpoint
from mahler_agents.llm.transport import current_exchange
from mahler_agents.market.sample import SampleMarket
from mahler_agents.market.snapshot import Snapshot
from mahler_agents.record import open_database
from mahler_agents.scan import ScanResult
from mahler_agents.testing import virtual_time
from mahler_agents.testing.scripted import (
    ScriptedModel,
    ScriptedReply,
    ScriptedRequest,
    connection_error,
    favourable,
    http_error,
    reply,
)

Step = Callable[[], None]

FAULTS: Mapping[str, tuple[str, ...]] = {
    "1.greeks": ("error",),
    "2.technical": ("prose",),
    "3.volatility": ("refusal",),
    "4.greeks": ("error", "error", "error"),
    "1.fund_manager": ("error", "prose"),
    "3.fund_manager": ("prose", "prose"),
    "4.technical": ("broken", "broken"),
}
"""By candidate and node: what the model does to its first requests; it answers after them."""


class CountedModel(ScriptedModel):
    """Behaves by how many requests of a question have ended, whoever made them, and counts those it gets."""

    def __init__(self, heard: Mapping[str, int], step: Step = lambda: None) -> None:
        super().__init__(self._behave)
        self.asked: Counter[str] = Counter()
        self._heard = Counter(heard)
        self._step = step

    def _behave(self, request: ScriptedRequest) -> ScriptedReply | Exception:
        span = current_exchange.get().context.span_id
        faults = FAULTS.get(span.partition(".")[2], ())
        before = self._heard[span]
        self.asked[span] += 1
        self._heard[span] += 1
        self._step()
        fault = faults[before] if before < len(faults) else "ok"
        if fault == "error":
            return http_error(500, "scripted outage")
        if fault == "broken":
            return connection_error()
        if fault == "prose":
            return reply("I would rather not say it in JSON.")
        if fault == "refusal":
            return reply(None, refusal="I cannot advise on this.")
        return favourable(request)


class FrozenOut(SampleMarket):
    """A market that has moved on: whoever asks it for a snapshot has not read the stored one."""

    async def snapshot(self, as_of: dt.datetime, underlyings: Sequence[str]) -> Snapshot:
        del as_of, underlyings
        raise AssertionError("a resumed scan asked the market for a snapshot")


class CountedConnection(sqlite3.Connection):
    """Tells of everything that it commits, before and after."""

    steps: ClassVar[list[Step]] = []

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        writes = sql == "COMMIT" or (not self.in_transaction and sql.lstrip().startswith(("INSERT", "UPDATE")))
        told = self.steps if writes else []
        for step in told:
            step()
        cursor = super().execute(sql, *parameters)
        for step in told:
            step()
        return cursor


def desk_of(database: Path, model: str | Endpoint, **choices: Any) -> Desk:
    """Return a desk on the sample market with seeded ids and a standing clock, unless it is told otherwise."""
    usual: dict[str, Any] = {
        "market": SampleMarket(),
        "config": DeskConfig(),
        "clock": SimulatedClock(START),
        "ids": Ids(1),
    }
    return Desk(model=model, database=database, environ={}, **(usual | choices))


def scanned(database: Path, model: CountedModel, **choices: Any) -> ScanResult:
    """Run one scan to its end."""

    asked = {name: choices.pop(name, None) for name in ("as_of", "only")}
    slot = choices.pop("slot", "test")

    async def run() -> ScanResult:
        async with desk_of(database, model.endpoint, **choices) as desk:
            return await desk.scan(slot=slot, **asked)

    return virtual_time.run(run())


def resumed(database: Path, model: CountedModel, run: str | None = None, **choices: Any) -> ScanResult | None:
    """Resume what was left, on a market that has no snapshot any more."""
    at, market = choices.pop("at", None), choices.pop("market", None) or FrozenOut()

    async def run_() -> ScanResult | None:
        async with desk_of(database, model.endpoint, market=market, **choices) as desk:
            return await desk.resume(run, at=at)

    return virtual_time.run(run_())


def die() -> None:
    """Kill this process, as nothing can be caught."""
    os.kill(os.getpid(), signal.SIGKILL)


def steps_of(work: Callable[[Step], object], at: int | None = None, *, commits: bool = True, then: Step = die) -> int:
    """Do some work, count its moments, and die at the one of number `at`: each request, each commit, on either side."""
    moments = 0

    def step() -> None:
        nonlocal moments
        moments += 1
        if moments == at:
            then()

    connect: Callable[..., sqlite3.Connection] = sqlite3.connect

    def counted(*place: Any, **how: Any) -> sqlite3.Connection:
        return connect(*place, **{**how, "factory": CountedConnection})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CountedConnection, "steps", [step] if commits else [])
        patch.setattr(sqlite3, "connect", counted)
        work(step)
    return moments


def killed(
    database: Path,
    at: int,
    work: Callable[[Path, CountedModel], object],
    *,
    commits: bool = True,
    then: Step = die,
) -> bool:
    """Do some work in a forked child that kills itself at its moment `at`; return whether it came to that."""
    open_database(database, create=True)  # the schema is no part of a scan
    heard = finished(database)
    child = os.fork()
    if child == 0:
        try:
            steps_of(lambda step: work(database, CountedModel(heard, step)), at, commits=commits, then=then)
            os._exit(0)
        finally:
            os._exit(1)
    status = os.waitpid(child, 0)[1]
    assert status == 0 or os.WTERMSIG(status) == signal.SIGKILL, status
    return status != 0


def finished(database: Path) -> Counter[str]:
    """Return how many calls of each question are recorded as ended, by span."""
    with closing(sqlite3.connect(database)) as connection:
        rows = connection.execute("SELECT span_id FROM llm_calls WHERE outcome IS NOT NULL").fetchall()
    return Counter(row[0] for row in rows)


def status(database: Path) -> str | None:
    """Return how the one run of the record stands, None if it had not begun."""
    with closing(sqlite3.connect(database)) as connection:
        row = connection.execute("SELECT status FROM runs").fetchone()
    return row and row[0]


TIMES = frozenset({"started_at", "ended_at", "milliseconds", "recorded_at", "abandoned_at"})
OF_THE_CRASH = frozenset({"abandoned", "resumed", "reconciled"})
"""Codes of events of the account: they tell of the crash itself."""


def content(database: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Return all that the record holds, apart from ids, times and abandoned attempts."""
    with closing(sqlite3.connect(database)) as connection:
        connection.row_factory = sqlite3.Row
        names = [
            row["name"]
            for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
            if not row["name"].startswith(("sqlite_", "_sqlite"))
        ]
        tables = {name: [dict(row) for row in connection.execute(f"SELECT * FROM {name}")] for name in names}
    tables["llm_calls"] = _renumbered([row for row in tables["llm_calls"] if row["abandoned_at"] is None])
    tables["events"] = [
        {**row, "id": None, "at": None}
        for row in tables["events"]
        if row["run_id"] is not None or row["code"] not in OF_THE_CRASH
    ]
    return {
        name: sorted((tuple((key, value) for key, value in row.items() if key not in TIMES) for row in rows), key=repr)
        for name, rows in tables.items()
    }


def _renumbered(calls: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return calls with the numbers that they would have without the abandoned ones."""
    numbers: Counter[str] = Counter()
    renumbered: list[dict[str, Any]] = []
    for row in sorted(calls, key=lambda one: (one["span_id"], one["attempt"])):
        numbers[row["span_id"]] += 1
        number = numbers[row["span_id"]]
        renumbered.append({**row, "attempt": number, "id": f"{row['span_id']}.{number}"})
    return renumbered
