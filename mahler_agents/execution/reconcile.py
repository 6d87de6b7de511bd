"""Stage 8, execute: what a process left behind when it died or was refused; pending orders in, their true ends out.

Only for when no other process is at work on the same record: a pending order of theirs is not ours to judge.
"""

import asyncio
import datetime as dt
from collections.abc import Callable

from mahler_agents.errors import MahlerError
from mahler_agents.execution.broker import Broker
from mahler_agents.execution.ledger import Ledger
from mahler_agents.execution.orders import OrderState, OrderTicket, OrderUpdate
from mahler_agents.execution.positions import PendingOrder
from mahler_agents.execution.working import book, canceled, known
from mahler_agents.types import Frozen, Reason


class Reconciled(Frozen):
    """A pending order and how it ended."""

    client_order_id: str
    outcome: Reason | None
    """None if that could not be learned or booked: it stays pending."""
    error: str | None = None
    """Why not."""


async def reconcile(
    broker: Broker, ledger: Ledger, *, at: dt.datetime, spared: Callable[[PendingOrder], bool] = lambda _: False
) -> tuple[Reconciled, ...]:
    """Book the end of every pending order: what the broker says, or abandoned if it has never had the order.

    One that still works at the broker has nobody who concedes for it any more: it is canceled, and what had filled is
    booked. One whose end cannot be learned or booked keeps no other from its own, and no position from its exits. Those
    that are `spared` are gone on with.
    """
    pending = await asyncio.to_thread(ledger.pending)
    return tuple([await _reconciled(broker, ledger, one, at) for one in pending if not spared(one)])


def is_unsent_entry_of(pending: PendingOrder, run_id: str) -> bool:
    """Return whether an order is an entry of a run that was reserved and never sent."""
    ticket = pending.ticket
    of_run = isinstance(ticket, OrderTicket) and ticket.candidate_id.startswith(f"{run_id}.")
    return of_run and pending.state is OrderState.INTENT


async def _reconciled(broker: Broker, ledger: Ledger, pending: PendingOrder, at: dt.datetime) -> Reconciled:
    order_id = pending.ticket.client_order_id
    try:
        update = await _end(broker, pending, at)
        if update is None:
            await asyncio.to_thread(ledger.abandon, pending)
        else:
            await asyncio.to_thread(book, ledger, pending.ticket, update)
    except MahlerError as error:
        return Reconciled(client_order_id=order_id, outcome=None, error=str(error))
    return Reconciled(client_order_id=order_id, outcome=Reason.ABANDONED if update is None else update.outcome)


async def _end(broker: Broker, pending: PendingOrder, at: dt.datetime) -> OrderUpdate | None:
    """Return how a pending order ended, None if the broker has never had it."""
    order_id = pending.ticket.client_order_id
    if pending.state is OrderState.INTENT:
        return None  # an intent is committed before it is sent: this one never was
    if pending.state is OrderState.SENT:
        update = await broker.find(order_id, at=at)
    else:
        update = await known(broker, order_id, at)
    if update is None or update.ended:
        return update
    return await canceled(broker, order_id, at)
