"""Stage 8, execute: what a process left behind when it died or was refused; pending orders in, their true ends out.

Only for when no other process is at work on the same record: a pending order of theirs is not ours to judge.
"""

import asyncio
import datetime as dt
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from mahler_agents.errors import BrokerError, MahlerError
from mahler_agents.execution.execute import Trading
from mahler_agents.execution.lock_step import in_lock_step
from mahler_agents.execution.orders import OrderState, OrderTicket
from mahler_agents.execution.positions import PendingOrder
from mahler_agents.execution.working import LiveAttempt, looks
from mahler_agents.types import Frozen, Reason

DOUBTED_FOR = dt.timedelta(days=1)
"""How long a broker is asked again about what it did not know: an order of a day cannot come later than the next."""


class Reconciled(Frozen):
    """A pending order, or one that came late, and how it ended."""

    client_order_id: str
    outcome: Reason | None
    """None if that could not be learned or booked: it stays pending."""
    error: str | None = None
    """Why not."""

    @property
    def text(self) -> str:
        """What became of it, in one line."""
        left = f"order {self.client_order_id} was left pending"
        return f"{left}, and stays so: {self.error}" if self.outcome is None else f"{left}: {self.outcome.value}"


async def reconcile(
    trading: Trading, *, at: dt.datetime, spared: Callable[[PendingOrder], bool] = lambda _: False
) -> tuple[Reconciled, ...]:
    """Book the end of every pending order: what the broker says, or abandoned if it has never had the order.

    One that still works at the broker has nobody who concedes for it any more: it is canceled, and what had filled is
    booked. One of which no certain answer came is asked for by its id through the grace, and never sent again. One
    whose end cannot be learned or booked keeps no other from its own, and no position from its exits. Those that are
    `spared` are gone on with.

    What was abandoned, or refused when it was sent once more, is asked for again for a day: a request that was long on
    its way may have come to the broker after it was asked. Such an order is canceled, and what had filled is booked: it
    is a trade of ours.
    """
    pending = [one for one in await asyncio.to_thread(trading.ledger.pending) if not spared(one)]
    ended: list[Reconciled] = []
    ways = [_reconciled(one, trading, at) for one in pending]
    async with aclosing(in_lock_step(ways, start=at, wait=trading.wait)) as ends:
        async for place, error in ends:
            order_id = pending[place].ticket.client_order_id
            status = await asyncio.to_thread(trading.ledger.status, order_id)
            words = None if error is None else str(error)
            ended.append(Reconciled(client_order_id=order_id, outcome=status.reason, error=words))
    return (*ended, *await _come_late(trading, at))


async def _come_late(trading: Trading, at: dt.datetime) -> tuple[Reconciled, ...]:
    """End the orders that the broker has after all, though it did not know them when they were given up."""
    found: list[Reconciled] = []
    for attempt in await asyncio.to_thread(trading.ledger.doubted, at - DOUBTED_FOR):
        order_id = attempt.ticket.client_order_id
        try:
            update = await trading.broker.find(attempt.order_id, at=at)
            if update is not None and not update.ended:
                update = await trading.broker.cancel(attempt.order_id, at=at)
            if update is None or (update.ended and update.traded is None):
                continue
            status = await asyncio.to_thread(trading.ledger.book, attempt, update, over=True)
        except MahlerError as error:
            found.append(Reconciled(client_order_id=order_id, outcome=None, error=str(error)))
        else:
            found.append(Reconciled(client_order_id=order_id, outcome=status.reason))
    return tuple(found)


def is_entry_of(pending: PendingOrder, run_id: str) -> bool:
    """Return whether an order is an entry of a run."""
    ticket = pending.ticket
    return isinstance(ticket, OrderTicket) and ticket.candidate_id.startswith(f"{run_id}.")


async def _reconciled(one: PendingOrder, trading: Trading, at: dt.datetime) -> AsyncGenerator[dt.datetime]:
    """Bring a pending order to its end; yields the instants to wait for."""
    order_id = one.ticket.client_order_id
    if one.attempt is None:  # never sent, or between two of its prices: the broker has nothing of it that could fill
        await asyncio.to_thread(trading.ledger.abandon, order_id)
        return
    live = LiveAttempt(
        one.attempt, broker=trading.broker, ledger=trading.ledger, grace=trading.grace, present=trading.present
    )
    known = await live.look(at)
    if not known and one.state not in {OrderState.SENT, OrderState.UNKNOWN}:
        raise BrokerError(f"{trading.broker.name} does not know order {live.attempt.order_id}, which it had accepted")
    for instant in looks(trading.present(at), trading.grace):
        if known:
            break
        yield instant
        known = await live.look(instant)
    if not known:
        await asyncio.to_thread(trading.ledger.abandon, order_id)
        return
    async for instant in live.canceled(live.at, over=True):
        yield instant
