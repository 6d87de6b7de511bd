"""Stage 8, execute: what a process left behind when it died or was refused; pending orders in, their true ends out.

Only for when no other process is at work on the same record: a pending order of theirs is not ours to judge.
"""

import asyncio
import datetime as dt

from mahler_agents.execution.broker import Broker
from mahler_agents.execution.ledger import Ledger
from mahler_agents.execution.orders import OrderState, OrderUpdate
from mahler_agents.execution.positions import PendingOrder
from mahler_agents.execution.working import book, known
from mahler_agents.types import Frozen, Reason


class Reconciled(Frozen):
    """A pending order and how it ended."""

    client_order_id: str
    outcome: Reason


async def reconcile(broker: Broker, ledger: Ledger, *, at: dt.datetime) -> tuple[Reconciled, ...]:
    """Book the end of every pending order: what the broker says, or abandoned if it has never had the order.

    One that still works at the broker has nobody who concedes for it any more: it is canceled, and what had filled is
    booked. Raises `BrokerError` if the broker cannot be asked; what was not asked stays pending.
    """
    ended: list[Reconciled] = []
    for pending in await asyncio.to_thread(ledger.pending):
        update = await _end(broker, pending, at)
        if update is None:
            await asyncio.to_thread(ledger.abandon, pending)
        else:
            await asyncio.to_thread(book, ledger, pending.ticket, update)
        outcome = update.outcome if update is not None else Reason.ABANDONED
        ended.append(Reconciled(client_order_id=pending.ticket.client_order_id, outcome=outcome))
    return tuple(ended)


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
    return await broker.cancel(order_id, at=at)
