"""Orders killed at every numbered step of submit, cancel, next price, fill and lost answer, and put right after it."""

import asyncio
import os
import shutil
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from conftest import SOAK
from steps import Hook, numbered_steps
from trading_builders import LATER, QuotedMarket, a_spread, a_ticket, record_candidates, trading_on

from mahler_agents.errors import BrokerError
from mahler_agents.execution import Close, Ledger, PaperBroker, close_positions, execute, reconcile
from mahler_agents.record import open_database

SPREADS = (a_spread(short=540.0), a_spread(short=530.0))
EVERY = 1 if SOAK else 9
"""Of the steps, one after which is killed."""


class LosingBroker(PaperBroker):
    """Loses the answer of its second submit and its first cancel, and the whole of its fifth submit."""

    def __init__(self, *arguments: Any, **terms: Any) -> None:
        super().__init__(*arguments, **terms)
        self.submits = self.cancels = 0

    async def submit(self, *arguments: Any, **fields: Any) -> Any:
        self.submits += 1
        if self.submits == 5:
            raise BrokerError("timeout before acceptance")
        update = await super().submit(*arguments, **fields)
        if self.submits == 2:
            raise BrokerError("504 after acceptance")
        return update

    async def cancel(self, *arguments: Any, **fields: Any) -> Any:
        self.cancels += 1
        update = await super().cancel(*arguments, **fields)
        if self.cancels == 1:
            raise BrokerError("504 after the cancel")
        return update


def trade(database: Path, then: Callable[[Any], Any]) -> Any:
    """Do something with a desk of its own on the record."""
    market = QuotedMarket()
    for spread in SPREADS:
        market.quote(spread, short=(1.00, 1.10), long=(0.06, 0.14))
    with (
        LosingBroker(database, market, concession=0.66, commission=1.0, largest_fill=3) as broker,
        Ledger(database, broker.account_id) as ledger,
    ):
        return asyncio.run(then(trading_on(market, broker, ledger)))


async def both_ways(trading: Any) -> None:
    """Enter two spreads, and close what was filled."""
    tickets = [a_ticket(spread, contracts=7, slot=f"{spread.short_strike}") for spread in SPREADS]
    for ticket in tickets:
        trading.ledger.reserve(lambda *_, ticket=ticket: (None, ticket), slot=ticket.slot)
    async for _ in execute(tickets, trading):
        pass
    await closed(trading)


async def closed(trading: Any) -> None:
    positions = trading.ledger.open_positions(LATER)
    closes = [
        Close(position=one, contracts=one.contracts, rule="profit_target", urgent=place == 0)
        for place, one in enumerate(positions)
    ]
    await close_positions(closes, trading, slot="monitor", at=LATER)


async def put_right(trading: Any) -> None:
    await reconcile(trading, at=LATER)
    assert trading.ledger.pending() == ()
    await closed(trading)
    await reconcile(trading, at=LATER)


def run_with(hook: Hook, database: Path) -> None:
    with numbered_steps(hook, LosingBroker):
        trade(database, both_ways)


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = open_database(tmp_path_factory.mktemp("fresh") / "fresh.db", create=True)
    record_candidates(path, "run.1")
    return path


@pytest.fixture(scope="module")
def steps(fresh: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    names: list[str] = []
    database = tmp_path_factory.mktemp("whole") / "whole.db"
    shutil.copy(fresh, database)
    run_with(lambda _, name: names.append(name), database)
    return names


def query(database: Path, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute(sql).fetchall()


SUMS = "SUM(contracts), SUM(CAST(round(credit * 10000 * contracts) AS INTEGER)), SUM(fees)"


def test_killed_at_any_step_the_ledger_comes_to_equal_the_brokers_book(
    fresh: Path, steps: list[str], tmp_path: Path
) -> None:
    assert {name.partition(".")[2] for name in steps} >= {"submit", "cancel", "find", "attempt", "book", "mark_unknown"}
    for number in range(1, len(steps) + 1, EVERY):
        database = tmp_path / f"{number}.db"
        shutil.copy(fresh, database)
        child = os.fork()
        if child == 0:
            try:
                run_with(lambda at, _, n=number: os.kill(os.getpid(), signal.SIGKILL) if at == n else None, database)
            finally:
                os._exit(1)
        assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL, steps[number - 1]
        trade(database, put_right)
        ours = f"SELECT client_order_id || '.' || attempt, {SUMS} FROM fills GROUP BY 1 ORDER BY 1"
        theirs = f"SELECT order_id, {SUMS} FROM paper_fills GROUP BY 1 ORDER BY 1"
        assert query(database, ours) == query(database, theirs), steps[number - 1]
        live = "SELECT * FROM {} WHERE state IN ('intent', 'sent', 'unknown', 'accepted', 'partial')"
        for table in ("orders", "order_attempts", "paper_orders"):
            assert query(database, live.format(table)) == [], steps[number - 1]
        held = "SELECT SUM(contracts - closed_contracts) FROM positions"
        assert query(database, held)[0][0] in {None, query(database, "SELECT SUM(contracts) FROM paper_spreads")[0][0]}
