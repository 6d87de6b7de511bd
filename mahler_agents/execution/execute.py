"""Stage 8, execute: reserved tickets in, an `Execution` of each out; open positions in, how their closing orders ended.

The intents are in the ledger before anything is sent. The legs of all are quoted again at the decision time, in one
request, never when replies happened to end; then the orders are worked through their prices together (`lock_step`), and
what became of them is booked.
"""

import asyncio
import datetime as dt
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from mahler_agents.clock import NEW_YORK
from mahler_agents.errors import MahlerError
from mahler_agents.execution.broker import Broker
from mahler_agents.execution.ledger import Ledger
from mahler_agents.execution.lock_step import in_lock_step
from mahler_agents.execution.orders import (
    ClosingTicket,
    Execution,
    OrderState,
    OrderStatus,
    OrderTicket,
    client_order_id,
    round_down_to_cent,
)
from mahler_agents.execution.positions import Position
from mahler_agents.execution.prices import entry_prices, exit_prices
from mahler_agents.execution.working import Present, Wait, Worked, as_planned, work
from mahler_agents.market import calendar
from mahler_agents.market.snapshot import Market
from mahler_agents.types import Frozen, Quote, Reason, Spread, SpreadQuote


@dataclass(frozen=True, kw_only=True)
class Trading:
    """Where orders are worked, and how."""

    market: Market
    broker: Broker
    ledger: Ledger
    wait: Wait
    """How to wait for an instant of the market."""
    present: Present = as_planned
    """How to tell whether it has come to be later than that."""
    concession: float
    """An entry concedes up to this share of the way from mid to the natural side."""
    grace: dt.timedelta
    """How long the broker is asked for what it gave no certain answer about, before it is sent once more."""


@dataclass(frozen=True, kw_only=True)
class WithTrading:
    """What works with a `Trading`, and asks most for these three of it."""

    trading: Trading

    @property
    def market(self) -> Market:
        """Where quotes come from."""
        return self.trading.market

    @property
    def broker(self) -> Broker:
        """Where orders go."""
        return self.trading.broker

    @property
    def ledger(self) -> Ledger:
        """Our own book of them."""
        return self.trading.ledger


class Close(Frozen):
    """What is to be closed of a position, and why."""

    position: Position
    contracts: int
    rule: str
    urgent: bool
    """Offers the natural side at once, capped at the width; else the order starts at mid and concedes to it."""


async def execute(
    tickets: Sequence[OrderTicket], trading: Trading
) -> AsyncGenerator[tuple[OrderTicket, Execution | MahlerError]]:
    """Work tickets of one decision time whose intents are committed, in their order, and book what becomes of them.

    Yields each with its execution when that has ended, or with what went wrong: a `MarketError` with the intent
    canceled if nothing was sent; a `BrokerError`, `MarketError` or `RecordError` after that with the order pending. It
    keeps counting as risk until it is reconciled, and keeps no other ticket from being worked. Of an order that has
    ended before, that is yielded.
    """
    todo: list[OrderTicket] = []
    for ticket in tickets:
        if (ended_before := await asyncio.to_thread(trading.ledger.execution, ticket)) is not None:
            yield ticket, ended_before
        else:
            todo.append(ticket)
    if not todo:
        return
    try:
        quotes = await _quotes([ticket.spread for ticket in todo], todo[0].decided_at, trading)
    except MahlerError as error:
        # Nothing was sent, so the intents must not go on counting as risk.
        for ticket in todo:
            await _not_sent(ticket, trading.ledger, Reason.NO_QUOTE, None)
            yield ticket, error
        return
    orders: list[tuple[OrderTicket, Worked]] = []
    for ticket in todo:
        quote = SpreadQuote.of(quotes, ticket.spread)
        if (reason := _not_to_send(ticket, quote, trading)) is not None or quote is None:
            yield ticket, await _not_sent(ticket, trading.ledger, reason or Reason.NO_QUOTE, quote)
        else:
            prices = entry_prices(quote, concession=trading.concession, floor=ticket.limit_credit)
            orders.append((ticket, Worked(ticket=ticket, quote=quote, prices=prices)))
    async with aclosing(_worked([order for _, order in orders], trading)) as ended:
        async for place, status in ended:
            ticket, order = orders[place]
            yield ticket, status if isinstance(status, MahlerError) else _execution(ticket, order, status)


async def close_positions(
    closes: Sequence[Close], trading: Trading, *, slot: str, at: dt.datetime
) -> tuple[OrderStatus | MahlerError | None, ...]:
    """Buy positions back, whole or in part, in their order; return how each order ended, None if a leg has no quote.

    An order's id counts the closing orders that its position has had, so that a pass may be repeated at its instant.
    What was not filled is canceled: the next pass asks again. What went wrong with one is returned in its place, and
    keeps no other from being closed; an intent that was committed then stays pending until it is reconciled.
    """
    try:
        quotes = await _quotes([close.position.spread for close in closes], at, trading)
    except MahlerError as error:
        return (error,) * len(closes)
    ended: list[OrderStatus | MahlerError | None] = [None] * len(closes)
    orders: list[tuple[int, Worked]] = []
    for place, close in enumerate(closes):
        quote = SpreadQuote.of(quotes, close.position.spread)
        if quote is None:
            continue
        try:
            orders.append((place, await _intended(close, quote, trading.ledger, slot=slot, at=at)))
        except MahlerError as error:
            ended[place] = error
    async for place, status in _worked([order for _, order in orders], trading):
        ended[orders[place][0]] = status
    return tuple(ended)


async def _intended(close: Close, quote: SpreadQuote, ledger: Ledger, *, slot: str, at: dt.datetime) -> Worked:
    position = close.position
    prices = exit_prices(quote, position.spread.width, urgent=close.urgent)

    def write(attempt: int) -> ClosingTicket:
        purpose = f"exit.{close.rule}.{position.entry_order_id}"
        return ClosingTicket(
            client_order_id=client_order_id(
                account_id=ledger.account_id, slot=slot, spread=position.spread, purpose=purpose, attempt=attempt
            ),
            account_id=ledger.account_id,
            slot=slot,
            entry_order_id=position.entry_order_id,
            spread=position.spread,
            contracts=close.contracts,
            limit_debit=0.0 - prices[-1],
            rule=close.rule,
            decided_at=at,
        )

    ticket = await asyncio.to_thread(ledger.intend_close, position, write)
    return Worked(ticket=ticket, quote=quote, prices=prices)


async def _worked(orders: Sequence[Worked], trading: Trading) -> AsyncGenerator[tuple[int, OrderStatus | MahlerError]]:
    """Work orders of one decision time together; yields each one's place and how it stands when it has ended."""
    if not orders:
        return
    ways = [
        work(one, broker=trading.broker, ledger=trading.ledger, grace=trading.grace, present=trading.present)
        for one in orders
    ]
    async with aclosing(in_lock_step(ways, start=orders[0].ticket.decided_at, wait=trading.wait)) as ended:
        async for place, error in ended:
            if error is not None:
                yield place, error
            else:
                order_id = orders[place].ticket.client_order_id
                yield place, await asyncio.to_thread(trading.ledger.status, order_id)


async def _quotes(spreads: Sequence[Spread], at: dt.datetime, trading: Trading) -> Mapping[str, Quote]:
    """Return the quotes of all legs at an instant, asked for at once."""
    legs = dict.fromkeys(leg for spread in spreads for leg in (spread.short_symbol, spread.long_symbol))
    return await trading.market.quotes(list(legs), at) if legs else {}


def _not_to_send(ticket: OrderTicket, quote: SpreadQuote | None, trading: Trading) -> Reason | None:
    """Return why an entry is not sent on these quotes, None if it is."""
    if quote is None or (trading.market.live and _is_stale(quote, ticket, trading.market)):
        return Reason.NO_QUOTE
    if trading.market.live and not _in_session(trading.present(ticket.decided_at)):
        return Reason.EXPIRED  # it would wait for the next session, on prices of this one
    moved = round_down_to_cent(quote.mid_credit) < ticket.limit_credit or quote.mid_credit >= ticket.spread.width
    return Reason.QUOTE_MOVED if moved else None


def _is_stale(quote: SpreadQuote, ticket: OrderTicket, market: Market) -> bool:
    """Return whether a feed has stood still: a market of the past has the quotes that it has."""
    oldest = min(quote.short.at, quote.long.at)
    return (ticket.decided_at - oldest).total_seconds() > market.max_quote_age_seconds


def _in_session(at: dt.datetime) -> bool:
    date = at.astimezone(NEW_YORK).date()
    return calendar.is_session(date) and at < calendar.session_close(date)


def _execution(ticket: OrderTicket, order: Worked, status: OrderStatus) -> Execution:
    reason = status.reason or Reason.ERROR
    return Execution(
        ticket=ticket,
        state=status.state,
        reason=reason,
        quote=order.quote,
        traded=status.traded,
        lowest_asked=order.prices[-1] if reason is Reason.UNFILLED else None,
        detail=status.detail,
    )


async def _not_sent(ticket: OrderTicket, ledger: Ledger, reason: Reason, quote: SpreadQuote | None) -> Execution:
    await asyncio.to_thread(ledger.cancel, ticket.client_order_id, reason, quote)
    return Execution(ticket=ticket, state=OrderState.CANCELED, reason=reason, quote=quote)
