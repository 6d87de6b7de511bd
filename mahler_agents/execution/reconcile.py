"""Stage 8, execute: what a process left behind when it died or was refused; pending orders in, their true ends out.

Only for when no other process is at work on the same record: a pending order of theirs is not ours to judge.
"""

import asyncio

from mahler_agents.execution.broker import Broker
from mahler_agents.execution.ledger import Ledger, PendingOrder
from mahler_agents.execution.orders import OrderState, OrderTicket, OrderUpdate
from mahler_agents.types import Frozen, Reason


class Reconciled(Frozen):
    """A pending order and how it ended."""

    client_order_id: str
    outcome: Reason


async def reconcile(broker: Broker, ledger: Ledger) -> tuple[Reconciled, ...]:
    """Book the end of every pending order: what the broker says, or abandoned if it has never had the order.

    Raises `BrokerError` if the broker cannot be asked; what was not asked stays pending.
    """
    ended: list[Reconciled] = []
    for pending in await asyncio.to_thread(ledger.pending):
        client_order_id = pending.ticket.client_order_id
        # An intent is committed before it is sent, so one that is still an intent was never sent.
        update = await broker.find(client_order_id) if pending.state is OrderState.SENT else None
        if update is None:
            await asyncio.to_thread(ledger.abandon, pending)
        else:
            await asyncio.to_thread(_book, ledger, pending, update)
        outcome = update.outcome if update is not None else Reason.ABANDONED
        ended.append(Reconciled(client_order_id=client_order_id, outcome=outcome))
    return tuple(ended)


def _book(ledger: Ledger, pending: PendingOrder, update: OrderUpdate) -> None:
    ticket = pending.ticket
    if isinstance(ticket, OrderTicket):
        ledger.book(ticket, update)
    else:
        ledger.book_close(ticket, ledger.position(ticket.entry_order_id), update)
