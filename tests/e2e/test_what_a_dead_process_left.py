"""End to end: a process that dies at any step of an order leaves nothing that the next one does not put right."""

import asyncio
import os
import signal
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from desks import START, scan

from mahler_agents.clock import Ids, SimulatedClock
from mahler_agents.desk import Desk
from mahler_agents.execution import Ledger, PaperBroker
from mahler_agents.execution.paper_books import PaperBooks
from mahler_agents.market.sample import SampleMarket
from mahler_agents.screen import ScreenParams
from mahler_agents.types import Reason

STEPS: dict[str, tuple[type, str, bool]] = {
    "before the intent": (Ledger, "reserve", False),
    "after the intent": (Ledger, "reserve", True),
    "before it is sent": (Ledger, "mark_sent", False),
    "after it was marked as sent": (Ledger, "mark_sent", True),
    "before it is taken by the broker": (PaperBooks, "take", False),
    "after it was taken by the broker": (PaperBooks, "take", True),
    "before its first price is noted": (Ledger, "note_price", False),
    "before the booking": (Ledger, "book", False),
    "after the booking": (Ledger, "book", True),
}


def die_at(step: str, database: Path) -> int:
    """Run a scan in a forked child that kills itself at a step of its second order; return the child's signal."""
    owner, name, after = STEPS[step]
    child = os.fork()
    if child == 0:
        original: Callable[..., Any] = getattr(owner, name)
        calls = 0

        def fatal(*arguments: Any, **fields: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == 2 and not after:
                os.kill(os.getpid(), signal.SIGKILL)
            result = original(*arguments, **fields)
            if calls == 2:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        setattr(owner, name, fatal)
        try:
            scan(database, "none", slot="first", seed_of_ids=3)
        finally:
            os._exit(1)
    return os.WTERMSIG(os.waitpid(child, 0)[1])


@pytest.mark.parametrize("step", STEPS)
def test_after_a_kill_the_next_scan_has_no_order_pending_and_books_what_the_broker_filled(
    tmp_path: Path, step: str
) -> None:
    database = tmp_path / "desk.db"
    scan(database, "none", slot="nothing", screen_params=_nothing())  # imports, and the schema
    assert die_at(step, database) == signal.SIGKILL

    scan(database, "none", slot="second", seed_of_ids=2)

    with sqlite3.connect(database) as connection:
        pending = connection.execute(
            "SELECT COUNT(*) FROM orders WHERE state IN ('intent', 'sent', 'accepted', 'partial')"
        ).fetchone()[0]
        held = dict(connection.execute("SELECT symbol, contracts FROM paper_positions WHERE contracts <> 0"))
        positions = connection.execute("SELECT short_symbol, long_symbol, contracts FROM positions").fetchall()
    connection.close()
    assert pending == 0
    ours: dict[str, int] = {}
    for short, long, contracts in positions:
        ours[short] = ours.get(short, 0) - contracts
        ours[long] = ours.get(long, 0) + contracts
    assert ours == held
    assert len({position[:2] for position in positions}) == len(positions)
    assert len(positions) >= 3


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
            "SELECT COUNT(*) FROM orders WHERE state IN ('intent', 'sent', 'accepted', 'partial')"
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
