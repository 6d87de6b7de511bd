"""End to end: a process that dies at any step of an order leaves nothing that the next one does not put right."""

import asyncio
import os
import signal
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from conftest import SOAK
from desks import START, scan

from mahler_agents.clock import Ids, SimulatedClock
from mahler_agents.desk import Desk
from mahler_agents.execution import Ledger, PaperBroker
from mahler_agents.execution.paper_books import PaperBooks
from mahler_agents.market.sample import SampleMarket
from mahler_agents.screen import ScreenParams
from mahler_agents.types import Reason


class Step(NamedTuple):
    """Where a process dies: before or after a call of a method, counted from 1."""

    owner: type
    name: str
    call: int
    after: bool
    largest_fill: int | None = None
    """What the embedded market takes at one instant: orders fill in parts."""


CALLS = {
    (Ledger, "reserve"): (1, 2, 3),
    (Ledger, "attempt"): (1, 3, 4, 6),
    (PaperBooks, "take"): (1, 3, 4, 6),
    (Ledger, "book"): (1, 3, 4, 5, 7, 9),
    (PaperBooks, "change"): (1, 2, 3, 6),
}
"""Calls of a scan of which the first two prices are asked together for all its orders, and the second is filled."""
STEPS = [
    Step(owner, name, call, after, largest_fill)
    for largest_fill in (None, 3)
    for (owner, name), calls in CALLS.items()
    for call in calls
    for after in (False, True)
    if not (largest_fill and name == "reserve")
]
"""All of them: make soak; every fifth, which is of every method and both sides, make test."""


SUMS = "SUM(contracts), SUM(round(credit * 10000 * contracts)), SUM(fees)"
OURS = f"SELECT client_order_id || '.' || attempt, {SUMS} FROM fills GROUP BY 1 ORDER BY 1"
THEIRS = f"SELECT order_id, {SUMS} FROM paper_fills GROUP BY 1 ORDER BY 1"
"""What has filled of every attempt; a fill of ours may be of several of theirs, that were told together."""


def die_at(step: Step, database: Path) -> int:
    """Run a scan in a forked child that kills itself at a step; return the child's signal."""
    child = os.fork()
    if child == 0:
        _arm(step)
        try:
            scan(database, "none", slot="first", seed_of_ids=3)
        finally:
            os._exit(1)
    return os.WTERMSIG(os.waitpid(child, 0)[1])


def _arm(step: Step) -> None:
    original: Callable[..., Any] = getattr(step.owner, step.name)
    opened: Callable[..., None] = PaperBroker.__init__
    calls = 0

    def fatal(*arguments: Any, **fields: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == step.call and not step.after:
            os.kill(os.getpid(), signal.SIGKILL)
        result = original(*arguments, **fields)
        if calls == step.call:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    def opened_narrow(*arguments: Any, **fields: Any) -> None:
        opened(*arguments, **fields, largest_fill=step.largest_fill)

    setattr(step.owner, step.name, fatal)
    PaperBroker.__init__ = opened_narrow


@pytest.mark.parametrize("step", STEPS if SOAK else STEPS[::5], ids=str)
def test_after_a_kill_the_next_scan_has_no_order_pending_and_books_what_the_broker_filled(
    tmp_path: Path, step: Step
) -> None:
    database = tmp_path / "desk.db"
    scan(database, "none", slot="nothing", screen_params=_nothing())  # imports, and the schema
    assert die_at(step, database) == signal.SIGKILL

    scan(database, "none", slot="second", seed_of_ids=2)

    with sqlite3.connect(database) as connection:
        pending = connection.execute(
            "SELECT COUNT(*) FROM orders WHERE state IN ('intent', 'sent', 'unknown', 'accepted', 'partial')"
        ).fetchone()[0]
        held = dict(connection.execute("SELECT symbol, contracts FROM paper_positions WHERE contracts <> 0"))
        positions = connection.execute("SELECT short_symbol, long_symbol, contracts FROM positions").fetchall()
        working = connection.execute(
            "SELECT COUNT(*) FROM paper_orders WHERE state IN ('accepted', 'partial')"
        ).fetchone()[0]
        ours_and_theirs = [connection.execute(sql).fetchall() for sql in (OURS, THEIRS)]
        live = connection.execute(
            "SELECT COUNT(*) FROM order_attempts WHERE state IN ('sent', 'unknown', 'accepted', 'partial')"
        ).fetchone()[0]
    connection.close()
    assert (pending, working, live) == (0, 0, 0)
    assert ours_and_theirs[0] == ours_and_theirs[1]
    ours: dict[str, int] = {}
    for short, long, contracts in positions:
        ours[short] = ours.get(short, 0) - contracts
        ours[long] = ours.get(long, 0) + contracts
    assert ours == held
    assert len({position[:2] for position in positions}) == len(positions)
    assert len(positions) >= 2  # of the three that a scan may order, one asks more than the market gives


def test_a_cancelled_scan_finishes_the_order_that_it_had_sent(tmp_path: Path) -> None:
    database = tmp_path / "desk.db"

    original = PaperBroker.submit

    async def cancel_then_submit(self: PaperBroker, ticket: Any, **how: Any) -> Any:
        current = next(task for task in asyncio.all_tasks() if task.get_name() == "the scan")
        current.cancel()
        await asyncio.sleep(0)
        return await original(self, ticket, **how)

    async def run() -> None:
        async with Desk(
            market=SampleMarket(), model="none", database=database, clock=SimulatedClock(START), ids=Ids(1), environ={}
        ) as desk:
            task = asyncio.create_task(desk.scan(slot="test"), name="the scan")
            with pytest.raises(asyncio.CancelledError):
                await task

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PaperBroker, "submit", cancel_then_submit)
        asyncio.run(run())
    with sqlite3.connect(database) as connection:
        sent = connection.execute(
            "SELECT COUNT(*) FROM orders WHERE state IN ('intent', 'sent', 'unknown', 'accepted', 'partial')"
        ).fetchone()[0]
        filled = connection.execute("SELECT COUNT(*) FROM orders WHERE state = 'filled'").fetchone()[0]
        positions = connection.execute("SELECT COUNT(*) FROM positions").fetchone()[0]
    connection.close()
    assert (sent, filled) == (0, positions)
    assert filled >= 1


def test_a_slot_that_runs_again_orders_nothing_twice(tmp_path: Path) -> None:
    database = tmp_path / "desk.db"
    scan(database, "none", slot="same")
    with sqlite3.connect(database) as connection:  # as if the market had moved away from every order
        connection.execute("DELETE FROM positions WHERE 1")
        connection.execute("DELETE FROM fills WHERE 1")
        connection.execute("UPDATE orders SET state = 'canceled', reason = 'unfilled'")
        connection.execute("DELETE FROM paper_positions WHERE 1")
    connection.close()
    again = scan(database, "none", slot="same", seed_of_ids=2)
    assert Reason.ALREADY_ORDERED in {review.decision.reason for review in again.reviews}


def _nothing() -> Any:
    return ScreenParams(min_credit_to_width=0.9)
