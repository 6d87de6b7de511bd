"""Stage 8, execute: a reserved ticket in, an `Execution` out; an open position in, how its closing order ended out.

The intent is in the ledger before this begins. The legs are quoted again at the decision time, never when replies
happened to end; then the order is worked through its prices, and what became of it is booked.
"""

import asyncio
import datetime as dt
from collections.abc import Coroutine
from typing import Any

from mahler_agents.errors import MahlerError
from mahler_agents.execution.broker import Broker
from mahler_agents.execution.ledger import Ledger
from mahler_agents.execution.orders import (
    ClosingTicket,
    Execution,
    OrderState,
    OrderTicket,
    OrderUpdate,
    Ticket,
    client_order_id,
    round_down_to_cent,
)
from mahler_agents.execution.positions import Position
from mahler_agents.execution.prices import entry_prices, exit_prices
from mahler_agents.execution.working import Wait, work
from mahler_agents.market.snapshot import Market
from mahler_agents.types import Reason, SpreadQuote


async def execute(
    ticket: OrderTicket, *, market: Market, broker: Broker, ledger: Ledger, concession: float, wait: Wait
) -> Execution:
    """Work a ticket whose intent is committed, and book the result; of an order that has ended, return that.

    Raises `MarketError` with the intent canceled if nothing was sent; `BrokerError`, `MarketError` or `RecordError`
    after that with the order pending: it keeps counting as risk until it is reconciled. Cancelling does not part an
    order from its booking.
    """
    if (ended := await asyncio.to_thread(ledger.execution, ticket)) is not None:
        return ended
    spread = ticket.spread
    try:
        quotes = await market.quotes([spread.short_symbol, spread.long_symbol], ticket.decided_at)
    except MahlerError:
        # Nothing was sent, so the intent must not go on counting as risk.
        await _not_sent(ticket, ledger, Reason.NO_QUOTE, None)
        raise
    quote = SpreadQuote.of(quotes, spread)
    if quote is None:
        return await _not_sent(ticket, ledger, Reason.NO_QUOTE, None)
    if round_down_to_cent(quote.mid_credit) < ticket.limit_credit or quote.mid_credit >= spread.width:
        return await _not_sent(ticket, ledger, Reason.QUOTE_MOVED, quote)
    prices = entry_prices(quote, concession=concession, floor=ticket.limit_credit)
    update = await _to_its_end(_send(ticket, prices, quote, broker=broker, ledger=ledger, wait=wait))
    return Execution(
        ticket=ticket,
        state=update.state,
        reason=update.outcome,
        quote=quote,
        traded=update.traded,
        lowest_asked=prices[-1] if update.outcome is Reason.UNFILLED else None,
    )


async def close_position(
    position: Position,
    *,
    contracts: int,
    rule: str,
    urgent: bool,
    slot: str,
    at: dt.datetime,
    market: Market,
    broker: Broker,
    ledger: Ledger,
    wait: Wait,
) -> OrderUpdate | None:
    """Buy `contracts` of a position back, and book the result; None if a leg has no quote.

    The order's id counts the closing orders that the position has had, so that a pass may be repeated at its instant.
    `urgent` (a stop, the time exit, the breaker) offers the natural side at once, capped at the width; else the order
    starts at mid and concedes to it. What was not filled is canceled: the next pass asks again. Raises `BrokerError`,
    `MarketError` or `RecordError`; an intent that was committed then stays pending until it is reconciled. Cancelling
    does not part an order from its booking.
    """
    spread = position.spread
    quotes = await market.quotes([spread.short_symbol, spread.long_symbol], at)
    quote = SpreadQuote.of(quotes, spread)
    if quote is None:
        return None
    prices = exit_prices(quote, spread.width, urgent=urgent)

    def write(attempt: int) -> ClosingTicket:
        purpose = f"exit.{rule}.{position.entry_order_id}"
        return ClosingTicket(
            client_order_id=client_order_id(
                account_id=ledger.account_id, slot=slot, spread=spread, purpose=purpose, attempt=attempt
            ),
            account_id=ledger.account_id,
            slot=slot,
            entry_order_id=position.entry_order_id,
            spread=spread,
            contracts=contracts,
            limit_debit=0.0 - prices[-1],
            rule=rule,
            decided_at=at,
        )

    async def closed() -> OrderUpdate:
        ticket = await asyncio.to_thread(ledger.intend_close, position, write)
        return await _send(ticket, prices, quote, broker=broker, ledger=ledger, wait=wait)

    return await _to_its_end(closed())


async def _send(
    ticket: Ticket, prices: tuple[float, ...], quote: SpreadQuote, *, broker: Broker, ledger: Ledger, wait: Wait
) -> OrderUpdate:
    await asyncio.to_thread(ledger.mark_sent, ticket.client_order_id, quote)
    return await work(ticket, prices, broker=broker, ledger=ledger, wait=wait)


async def _to_its_end(work: Coroutine[Any, Any, OrderUpdate]) -> OrderUpdate:
    """Return what `work` returns; if cancelled meanwhile, let it end first: an order without its booking is a ghost."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await task
        raise


async def _not_sent(ticket: OrderTicket, ledger: Ledger, reason: Reason, quote: SpreadQuote | None) -> Execution:
    await asyncio.to_thread(ledger.cancel, ticket.client_order_id, reason, quote)
    return Execution(ticket=ticket, state=OrderState.CANCELED, reason=reason, quote=quote)
