"""Stage 8, execute: a sent ticket and its prices in, how the order ended out; everything told on the way is booked.

The order is worked at one price after another, 30 seconds each, on the times that begin at the decision time and never
on when answers happen to come. At each step the broker is asked what became of it. What is left after the last price is
canceled. Each price is in the ledger before the broker hears of it, each fill as soon as it is told: a process that
dies in between leaves a pending order, which the next one cancels and books (`reconcile`). Where an answer is lost
nothing is assumed: the broker is asked for the order.
"""

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Protocol

from mahler_agents.clock import Clock
from mahler_agents.errors import BrokerError
from mahler_agents.execution.broker import Broker
from mahler_agents.execution.ledger import Ledger
from mahler_agents.execution.orders import OrderTicket, OrderUpdate, Ticket
from mahler_agents.market.snapshot import Market

STEP = dt.timedelta(seconds=30)
"""How long an order is worked at one price."""


class Wait(Protocol):
    """Returns once quotes of an instant can be had."""

    async def __call__(self, instant: dt.datetime) -> None:
        """Return once that is so."""
        ...


async def at_once(instant: dt.datetime) -> None:
    """Wait for nothing: the market has the quotes of every instant already."""


def wait_for(market: Market, clock: Clock) -> Wait:
    """Return how to wait for an instant of a market: on the clock if it is live, else not at all."""
    return clock.sleep_until if market.live else at_once


async def work(ticket: Ticket, prices: Sequence[float], *, broker: Broker, ledger: Ledger, wait: Wait) -> OrderUpdate:
    """Work an order that is marked as sent through its `prices` (credits per share, falling), and book how it ended.

    A broker that has filled, rejected or expired it ends the work early; else what is left is canceled 30 seconds after
    the last price. A price that the broker may not have heard of is one step lost, no more: the next one is asked for
    all the same. Raises `BrokerError`, `MarketError` or `RecordError` with the order pending.
    """
    order_id, at = ticket.client_order_id, ticket.decided_at
    update: OrderUpdate | None = None
    for price in prices:
        await asyncio.to_thread(ledger.note_price, order_id, price, at)
        if update is None:
            request = partial(broker.submit, ticket, limit_credit=price, at=at)
        else:
            request = partial(broker.replace, order_id, limit_credit=price, at=at)
        update = await _booked(ticket, await _answered(request, broker, order_id, at), update, ledger)
        if update.ended:
            return update
        at += STEP
        await wait(at)
        update = await _booked(ticket, await known(broker, order_id, at), update, ledger)
        if update.ended:
            return update
    return await _booked(ticket, await canceled(broker, order_id, at), update, ledger)


async def known(broker: Broker, client_order_id: str, at: dt.datetime) -> OrderUpdate:
    """Return how an order stands that the broker has had; raises `BrokerError` if it does not know it."""
    update = await broker.find(client_order_id, at=at)
    if update is None:
        raise BrokerError(f"{broker.name} does not know order {client_order_id}, which it had accepted")
    return update


async def canceled(broker: Broker, client_order_id: str, at: dt.datetime) -> OrderUpdate:
    """Cancel what is left of an order, and return how it ended; raises `BrokerError` while it has not.

    If the answer is lost and the order is found at work still, the cancel itself was: it is asked for once more.
    """
    cancel = partial(broker.cancel, client_order_id, at=at)
    update = await _answered(cancel, broker, client_order_id, at)
    if not update.ended:
        update = await _answered(cancel, broker, client_order_id, at)
    if not update.ended:
        raise BrokerError(f"{broker.name} was asked to cancel order {client_order_id}, which is {update.state} still")
    return update


async def _answered(
    request: Callable[[], Awaitable[OrderUpdate]], broker: Broker, client_order_id: str, at: dt.datetime
) -> OrderUpdate:
    """Return the answer to a request; if it is lost, how the order stands.

    An order that the broker then says it never had is asked for once more: a stop must not wait for the next pass since
    one message was lost. Raises `BrokerError` if that fails too, or the order cannot be asked for.
    """
    try:
        return await request()
    except BrokerError:
        found = await broker.find(client_order_id, at=at)
    return found if found is not None else await request()


def book(ledger: Ledger, ticket: Ticket, update: OrderUpdate) -> None:
    """Book what the broker says about an order, entry or exit."""
    if isinstance(ticket, OrderTicket):
        ledger.book(ticket, update)
    else:
        ledger.book_close(ticket, update)


async def _booked(ticket: Ticket, told: OrderUpdate, before: OrderUpdate | None, ledger: Ledger) -> OrderUpdate:
    if told != before:
        await asyncio.to_thread(book, ledger, ticket, told)
    return told
