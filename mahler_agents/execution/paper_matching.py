"""Stage 8, execute: an order of the embedded broker and a look at the market in, the order after it out; pure."""

import datetime as dt
from dataclasses import dataclass, replace

from mahler_agents.clock import NEW_YORK
from mahler_agents.execution.orders import (
    CENT_GUARD,
    OrderState,
    OrderTicket,
    OrderUpdate,
    Ticket,
    Traded,
    attempt_id,
    closing_debit,
)
from mahler_agents.execution.paper_account import OpenOrder, fees_cents
from mahler_agents.market import calendar
from mahler_agents.types import Reason, SpreadQuote


@dataclass(frozen=True, kw_only=True)
class PaperTerms:
    """The embedded broker's terms."""

    concession: float
    """Share of the way from mid to natural at which a seller is filled."""
    commission_cents: int
    """Per contract and leg."""
    largest_fill: int | None = None
    """The most contracts that the market takes at one instant; None: all."""


@dataclass(frozen=True, kw_only=True)
class PaperOrder:
    """A limit order in the embedded broker's books: an attempt of one of ours."""

    order_id: str
    ticket: Ticket
    contracts: int
    limit_credit: float
    """Its price, per share; below zero where it is paid."""
    expires_at: dt.datetime
    state: OrderState = OrderState.ACCEPTED
    reason: Reason | None = None
    fills: tuple[Traded, ...] = ()
    at: dt.datetime
    """When it was last looked at or changed: an earlier instant never comes again."""

    @property
    def left(self) -> OpenOrder:
        """What may still fill."""
        filled = sum(fill.contracts for fill in self.fills)
        return OpenOrder(ticket=self.ticket, contracts=self.contracts - filled)

    @property
    def update(self) -> OrderUpdate:
        """What the broker says about it."""
        return OrderUpdate(
            state=self.state,
            broker_order_id=broker_order_id(self.order_id),
            traded=Traded.of(self.fills),
            reason=self.reason,
        )


def broker_order_id(order_id: str) -> str:
    """Return the embedded broker's own name of an order."""
    return f"paper-{order_id}"


def accepted(ticket: Ticket, *, number: int, contracts: int, limit_credit: float, at: dt.datetime) -> PaperOrder:
    """Return an order as it comes in at the instant `at`: good for the day."""
    return PaperOrder(
        order_id=attempt_id(ticket.client_order_id, number),
        ticket=ticket,
        contracts=contracts,
        limit_credit=limit_credit,
        expires_at=_end_of_day(at),
        at=at,
    )


def looked_at(order: PaperOrder, quote: SpreadQuote | None, at: dt.datetime, terms: PaperTerms) -> PaperOrder:
    """Return the order after the market was looked at: filled, in part or whole, expired, or as it was.

    An entry fills at its limit if that is at or below the credit after `terms.concession` of the way from mid to
    natural: a seller who asks for less is not paid more. An exit fills at natural, if its limit pays that or more; a
    natural side above the spread's width counts as the width. An instant before one that was looked at fills nothing.
    """
    if at < order.at or order.state not in {OrderState.ACCEPTED, OrderState.PARTIAL}:
        return order
    if at > order.expires_at:
        return replace(order, state=OrderState.EXPIRED, at=at)
    credit = None if quote is None else _fill_credit(order, quote, terms)
    contracts = _taken(order, at, terms)
    if credit is None or contracts == 0:
        return replace(order, at=at)
    fill = Traded(
        contracts=contracts,
        credit=credit,
        fees=fees_cents(contracts, terms.commission_cents) / 100,
        at=at,
    )
    whole = contracts == order.left.contracts
    return replace(order, state=OrderState.FILLED if whole else OrderState.PARTIAL, fills=(*order.fills, fill), at=at)


def canceled(order: PaperOrder, at: dt.datetime) -> PaperOrder:
    """Return the order canceled, or expired if its day had ended before."""
    state = OrderState.EXPIRED if at > order.expires_at else OrderState.CANCELED
    return replace(order, state=state, at=max(at, order.at))


def _fill_credit(order: PaperOrder, quote: SpreadQuote, terms: PaperTerms) -> float | None:
    if isinstance(order.ticket, OrderTicket):
        offered = quote.credit_at(terms.concession)
        return order.limit_credit if order.limit_credit <= offered + CENT_GUARD else None
    credit = 0.0 - closing_debit(quote, order.ticket.spread.width)
    return credit if order.limit_credit <= credit + CENT_GUARD else None


def _taken(order: PaperOrder, at: dt.datetime, terms: PaperTerms) -> int:
    if terms.largest_fill is None:
        return order.left.contracts
    taken = sum(fill.contracts for fill in order.fills if fill.at == at)
    return min(order.left.contracts, max(0, terms.largest_fill - taken))


def _end_of_day(at: dt.datetime) -> dt.datetime:
    """Return the close of the session that `at` is in or before.

    A file of end-of-day quotes knows no instant before the close: an order sent after it stands till midnight.
    """
    local = at.astimezone(NEW_YORK)
    if calendar.is_session(local.date()) and at <= (close := calendar.session_close(local.date())):
        return close
    return dt.datetime.combine(local.date() + dt.timedelta(days=1), dt.time(), NEW_YORK)
