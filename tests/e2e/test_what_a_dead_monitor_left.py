"""End to end: a pass that dies at any step of an exit, a reduction or a settlement leaves nothing lost or doubled."""

import asyncio
import datetime as dt
import os
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from conftest import SOAK
from trading_builders import LATER, QuotedMarket, a_spread, a_ticket, executed, record_candidates, trading_on

from mahler_agents.clock import Ids, SimulatedClock
from mahler_agents.desk import Desk
from mahler_agents.execution import Ledger, PaperBroker
from mahler_agents.execution.paper_books import PaperBooks
from mahler_agents.record import open_database
from mahler_agents.risk import BreakerBook

ACCOUNT = "paper-quoted-test"
AT_EXPIRY = dt.datetime(2026, 4, 17, 20, 0, tzinfo=dt.UTC)
FIVE_MINUTES = dt.timedelta(minutes=5)
SPREADS = (a_spread(short=540.0), a_spread(short=530.0))


class Job(NamedTuple):
    """What a pass has to do, and what it must leave open of 10 and 10 contracts."""

    short: tuple[float, float]
    """The short legs' quotes; the long legs' are 0.10 to 0.12."""
    at: dt.datetime = LATER
    largest_fill: int | None = None
    peak: float = 100_000
    left: tuple[int, int] = (0, 0)


class Step(NamedTuple):
    """A call at which a process dies, counted from 1."""

    owner: type
    name: str
    call: int


JOBS = {
    "stops": Job(short=(2.40, 2.50)),
    "stops in parts": Job(short=(2.40, 2.50), largest_fill=4),
    "targets that concede": Job(short=(0.20, 0.24)),
    "targets in parts": Job(short=(0.20, 0.24), largest_fill=2),
    "reductions": Job(short=(1.00, 1.10), peak=106_000, left=(5, 5)),
    "reductions in parts": Job(short=(1.00, 1.10), peak=106_000, largest_fill=3, left=(5, 5)),
    "settlements": Job(short=(0.50, 0.60), at=AT_EXPIRY),
}
ORDERED = [
    (Ledger, "intend_close"),
    (Ledger, "attempt"),
    (PaperBooks, "take"),
    (PaperBooks, "change"),
    (Ledger, "book"),
]
AT_ONCE = {"stops", "reductions"}
"""Jobs whose orders fill whole at their one price: nothing of theirs is looked at again."""
STEPS = [
    *[
        (job, Step(*step, call))
        for job in JOBS
        if job != "settlements"
        for step in ORDERED
        for call in (1, 2)
        if not (job in AT_ONCE and step == (PaperBooks, "change"))
    ],
    *[(job, Step(BreakerBook, "evaluate", 1)) for job in ("stops", "reductions")],
    *[("settlements", Step(Ledger, "book_settlement", call)) for call in (1, 2)],
    ("settlements", Step(PaperBooks, "settle", 1)),
]
KILLS = [(job, step, after) for job, step in STEPS for after in (False, True)]
"""All of them take two minutes: make soak; every seventh, which is of every job and both sides, make test."""


def prepared(database: Path, job: Job) -> QuotedMarket:
    """Enter 10 and 10 contracts at 0.89, and return the market as the pass will find it."""
    open_database(database, create=True)
    market = QuotedMarket()
    record_candidates(database, "run.1", "run.2")
    with (
        PaperBroker(database, market, concession=0.66, commission=1.0) as broker,
        Ledger(database, broker.account_id) as ledger,
    ):
        for rank, spread in enumerate(SPREADS, 1):
            market.quote(spread, short=(1.00, 1.10), long=(0.06, 0.14))
            ticket = a_ticket(spread, contracts=10, candidate_id=f"run.{rank}", limit_credit=0.8)
            ledger.reserve(lambda *_, ticket=ticket: (None, ticket), slot=ticket.slot)
            asyncio.run(executed(ticket, trading_on(market, broker, ledger)))
    for spread in SPREADS:
        market.quote(spread, short=job.short, long=(0.10, 0.12))
    market.underlyings["SPY"] = 545.0
    query(database, f"INSERT INTO equity VALUES ('{ACCOUNT}', '2026-03-13T20:00:00.000Z', {job.peak}, 0)")
    return market


def look(database: Path, market: QuotedMarket, at: dt.datetime, largest_fill: int | None = None) -> None:
    opened: Callable[..., None] = PaperBroker.__init__

    async def run() -> None:
        async with Desk(
            market=market, model="none", database=database, clock=SimulatedClock(at), ids=Ids(1), environ={}
        ) as desk:
            await desk.monitor(at=at)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PaperBroker, "__init__", lambda *a, **f: opened(*a, **f, largest_fill=largest_fill))
        asyncio.run(run())


def die_at(step: Step, database: Path, market: QuotedMarket, job: Job, *, after: bool) -> int:
    """Run the pass in a forked child that kills itself before or after a call; return the child's signal."""
    child = os.fork()
    if child == 0:
        original, calls = getattr(step.owner, step.name), 0

        def fatal(*arguments: Any, **fields: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == step.call and not after:
                os.kill(os.getpid(), signal.SIGKILL)
            result = original(*arguments, **fields)
            if calls == step.call:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        setattr(step.owner, step.name, fatal)
        try:
            look(database, market, job.at, job.largest_fill)
        finally:
            os._exit(0)
    return os.WTERMSIG(os.waitpid(child, 0)[1])


def query(database: Path, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(database)) as connection, connection:
        return connection.execute(sql).fetchall()


@pytest.mark.parametrize(("job", "step", "after"), KILLS if SOAK else KILLS[::7])
def test_after_a_kill_the_next_passes_end_as_if_there_had_been_none(
    tmp_path: Path, job: str, step: Step, *, after: bool
) -> None:
    database, todo = tmp_path / "desk.db", JOBS[job]
    market = prepared(database, todo)
    assert die_at(step, database, market, todo, after=after) == signal.SIGKILL
    later = todo.at + (dt.timedelta(days=3) - dt.timedelta(hours=4) if job == "settlements" else FIVE_MINUTES)
    for again in range(6):
        look(database, market, later + again * FIVE_MINUTES, todo.largest_fill)

    open_contracts = query(database, "SELECT contracts - closed_contracts FROM positions ORDER BY rowid")
    assert tuple(left for (left,) in open_contracts) == todo.left
    assert (
        query(database, "SELECT * FROM orders WHERE state IN ('intent', 'sent', 'unknown', 'accepted', 'partial')")
        == []
    )
    assert query(database, "SELECT * FROM paper_orders WHERE state IN ('accepted', 'partial')") == []
    sums = "SUM(contracts), SUM(round(credit * 10000 * contracts)), SUM(fees)"
    ours = f"SELECT client_order_id || '.' || attempt, {sums} FROM fills GROUP BY 1 ORDER BY 1"
    theirs = f"SELECT order_id, {sums} FROM paper_fills GROUP BY 1 ORDER BY 1"
    assert query(database, ours) == query(database, theirs)
    held = query(database, "SELECT contracts FROM paper_spreads ORDER BY short_symbol DESC")
    assert tuple(left for (left,) in held) == todo.left
    told = dict(query(database, "SELECT entry_order_id, SUM(contracts) FROM outcomes GROUP BY 1"))
    closed = dict(query(database, "SELECT entry_order_id, closed_contracts FROM positions"))
    assert told == closed
    [(earned,)] = query(database, "SELECT SUM(pnl_dollars) FROM outcomes")
    [(cash,)] = query(database, "SELECT cash_cents FROM paper_accounts")
    still = sum(todo.left) * (89 - 2)  # received for what is open, less its fees
    assert cash == round((100_000 + earned + still) * 100)
