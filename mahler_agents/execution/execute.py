"""Stage 8, execute: a reserved ticket in, an `Execution` out.

The intent is in the ledger before this begins. The legs are quoted again at the decision time, never when replies
happened to end; then the order is sent, and what became of it is booked.
"""

import asyncio
import datetime as dt
from collections.abc import Coroutine
from typing import Any

from mahler_agents.errors import MahlerError
from mahler_agents.execution.broker import Broker
from mahler_agents.execution.ledger import Ledger, Position
from mahler_agents.execution.orders import (
    CONCESSION_STEPS,
    ClosingTicket,
    Execution,
    OrderState,
    OrderTicket,
    OrderUpdate,
    client_order_id,
    closing_debit,
    round_down_to_cent,
)
from mahler_agents.market.snapshot import Market
from mahler_agents.types import Reason, SpreadQuote


async def execute(
    ticket: OrderTicket, *, market: Market, broker: Broker, ledger: Ledger, concession: float
) -> Execution:
    """Send a ticket whose intent is committed, and book the result.

    Raises `MarketError` with the intent canceled, since nothing was sent; `BrokerError` or `RecordError` with the order
    pending: it keeps counting as risk until it is reconciled. Cancelling does not part an order from its booking.
    """
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
    steps = concession_steps(quote, concession=concession, floor=ticket.limit_credit)
    update = await _to_its_end(_send(ticket, steps, quote, broker=broker, ledger=ledger))
    return Execution(ticket=ticket, state=update.state, reason=update.outcome, quote=quote, fill=update.fill)


def concession_steps(quote: SpreadQuote, *, concession: float, floor: float) -> tuple[float, ...]:
    """Return the credits of an entry order, from mid down to `concession` of the way to natural, in whole cents.

    Five equal steps after the first price; rounded down, never below `floor`, repeated prices left out.
    """
    shares = [concession * step / CONCESSION_STEPS for step in range(CONCESSION_STEPS + 1)]
    prices = [max(floor, round_down_to_cent(quote.credit_at(share))) for share in shares]
    return tuple(dict.fromkeys(prices))


def lowest_credit(screened_credit: float, share: float) -> float:
    """Return the lowest credit that an entry may concede to, per share: a share of the screen's, at least a cent.

    It is what the trade is sized on, so that no fill can risk more than was allowed.
    """
    return max(0.01, round_down_to_cent(screened_credit * share))


async def close_position(
    position: Position, *, rule: str, slot: str, at: dt.datetime, market: Market, broker: Broker, ledger: Ledger
) -> OrderUpdate | None:
    """Buy a position back at the natural side, and book the result; None if a leg has no quote.

    Raises `BrokerError`, `MarketError` or `RecordError`; an intent that was committed then stays pending until it is
    reconciled. Cancelling does not part an order from its booking.
    """
    spread = position.spread
    quotes = await market.quotes([spread.short_symbol, spread.long_symbol], at)
    quote = SpreadQuote.of(quotes, spread)
    if quote is None:
        return None
    order_id = client_order_id(
        account_id=ledger.account_id, slot=slot, spread=spread, purpose=f"exit.{position.entry_order_id}", attempt=1
    )
    ticket = ClosingTicket(
        client_order_id=order_id,
        account_id=ledger.account_id,
        slot=slot,
        entry_order_id=position.entry_order_id,
        spread=spread,
        contracts=position.contracts,
        limit_debit=closing_debit(quote, spread.width),
        rule=rule,
        decided_at=at,
    )
    return await _to_its_end(_send_close(ticket, position, quote, broker=broker, ledger=ledger))


async def _send(
    ticket: OrderTicket, steps: tuple[float, ...], quote: SpreadQuote, *, broker: Broker, ledger: Ledger
) -> OrderUpdate:
    await asyncio.to_thread(ledger.mark_sent, ticket.client_order_id, quote)
    update = await broker.submit(ticket, steps)
    await asyncio.to_thread(ledger.book, ticket, update)
    return update


async def _send_close(
    ticket: ClosingTicket, position: Position, quote: SpreadQuote, *, broker: Broker, ledger: Ledger
) -> OrderUpdate:
    await asyncio.to_thread(ledger.intend_close, ticket)
    await asyncio.to_thread(ledger.mark_sent, ticket.client_order_id, quote)
    update = await broker.close(ticket)
    await asyncio.to_thread(ledger.book_close, ticket, position, update)
    return update


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
