"""Desks for tests: whole scans in virtual time on the sample market, with chosen models."""

import datetime as dt
import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from mahler_agents import simulate
from mahler_agents.clock import Ids, SimulatedClock
from mahler_agents.config import DeskConfig
from mahler_agents.desk import Desk
from mahler_agents.llm.models import Endpoint
from mahler_agents.scan import ScanResult
from mahler_agents.testing import virtual_time

START = dt.datetime(2026, 3, 16, 14, 0, tzinfo=dt.UTC)

TRADE_TABLES = (
    "orders",
    "order_attempts",
    "fills",
    "positions",
    "sizings",
    "paper_accounts",
    "paper_orders",
    "paper_fills",
    "paper_positions",
)
"""Everything that the trade leaves behind; none of it may depend on what a model says."""


def scan(
    database: Path,
    model: str | Endpoint,
    *,
    config: DeskConfig | None = None,
    slot: str | None = "test",
    seed_of_ids: int = 1,
    as_of: dt.datetime | None = None,
    **choices: Any,
) -> ScanResult:
    """Run one scan with seeded ids and a standing clock, in virtual time."""

    async def run() -> ScanResult:
        async with Desk(
            model=model,
            database=database,
            config=config or DeskConfig(),
            clock=SimulatedClock(START),
            ids=Ids(seed_of_ids),
            environ={},
            **choices,
        ) as desk:
            return await desk.scan(slot=slot, as_of=as_of)

    return virtual_time.run(run())


@contextmanager
def passes_every(minutes: int) -> Generator[None]:
    """Let simulations look that seldom, instead of every five minutes: where the days count, and not the passes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(simulate, "MONITOR_EVERY", dt.timedelta(minutes=minutes))
        yield


def rows(database: Path, table: str) -> list[tuple[Any, ...]]:
    """Return a table's rows in the order of their keys."""
    with sqlite3.connect(database) as connection:
        found = connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall()
    connection.close()
    return found


def trade(database: Path) -> bytes:
    """Return everything that was sized, ordered, filled and held, as bytes."""
    return repr({table: rows(database, table) for table in TRADE_TABLES}).encode()
