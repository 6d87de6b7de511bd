"""End to end: two processes that start the same job at once, on one record and one Alpaca, do it once."""

import asyncio
import os
import sqlite3
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from alpaca_trials import watched
from conftest import at_scale
from deaths import started

from mahler_agents.clock import Ids
from mahler_agents.config import DeskConfig
from mahler_agents.desk import Desk
from mahler_agents.exits import ExitParams, ExitPolicy
from mahler_agents.testing.fake_alpaca import FakeAlpaca

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
DUE_AT_ONCE = ExitPolicy(fixed=ExitParams(time_exit_dte=60))
Job = Callable[[Desk], Awaitable[object]]


@pytest.fixture
def fake() -> Iterator[FakeAlpaca]:
    with FakeAlpaca(fill_at=0.3) as fake:
        yield fake


def at_once(fake: FakeAlpaca, database: Path, jobs: Sequence[Job]) -> list[int]:
    """Run jobs in processes that start together; return their exit codes."""
    start, go = os.pipe()

    def begin(number: int, job: Job) -> None:
        os.close(go)
        os.read(start, 1)  # until the parent closes its end
        asyncio.run(_done(fake, database, job, number))

    children = [started(partial(begin, number, job)) for number, job in enumerate(jobs)]
    os.close(start)
    os.close(go)
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


async def _done(fake: FakeAlpaca, database: Path, job: Job, number: int) -> None:
    async with Desk(
        market="alpaca",
        broker="alpaca",
        model="none",
        database=database,
        config=DeskConfig(),
        environ={**fake.environ, "MAHLER_ALPACA_REQUESTS_PER_MINUTE": "10000"},
        ids=Ids(number),
        exit_policy=DUE_AT_ONCE,
    ) as desk:
        await job(desk)


def rows(database: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute(query).fetchall()


async def scan(desk: Desk) -> None:
    result = await desk.scan(slot="2026-03-16T10:00")
    assert [review.error for review in result.reviews if review.error is not None] == []


async def look(desk: Desk) -> None:
    await desk.monitor()


@pytest.mark.parametrize("again", range(at_scale(40)))
def test_two_schedulers_that_scan_the_same_slot_at_once_trade_it_once(
    fake: FakeAlpaca, tmp_path: Path, again: int
) -> None:
    del again
    orders = watched(fake)
    database = tmp_path / "desk.db"
    assert at_once(fake, database, [scan, scan]) == [0, 0]
    entered = fake.books()["orders"]
    filled = Counter(tuple(leg["symbol"] for leg in order["legs"]) for order in entered if order["filled"])
    assert 1 <= len(filled) <= DeskConfig().max_trades_per_scan
    assert set(filled.values()) == {1}
    assert len({order["client_order_id"] for order in entered}) == len(entered)
    assert orders.doubled == []
    positions = rows(database, "SELECT contracts FROM positions")
    assert len(positions) == len(filled)

    assert at_once(fake, database, [look, look, look]) == [0, 0, 0]
    books = fake.books()
    assert books["positions"] == {}
    assert orders.doubled == []
    closing_orders = rows(database, "SELECT closes FROM orders WHERE purpose = 'exit' AND state = 'filled'")
    assert sorted(closing_orders) == rows(database, "SELECT entry_order_id FROM positions ORDER BY 1")
    [(earned,)] = rows(database, "SELECT SUM(pnl_dollars) FROM outcomes")
    assert books["cash_cents"] == 10_000_000 + round(100 * earned)
