"""Stage 8, execute: an order of Alpaca's in, how it stands out; a ticket in, the order to be sent out; pure.

Prices of multi-leg orders are debits at Alpaca: above zero paid, below zero received (docs.alpaca.markets, Options
Level 3 Trading). Ours are credits.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from mahler_agents.errors import BrokerError
from mahler_agents.execution.alpaca.answers import Answer
from mahler_agents.execution.broker import BrokerOrder
from mahler_agents.execution.orders import OrderState, OrderTicket, OrderUpdate, Ticket, Traded

_CENT = Decimal("0.01")
_HUNDREDTH_OF_A_CENT = Decimal("0.0001")
_ROUNDED_AT = Decimal("0.000001")
"""Alpaca's means have six decimals or more."""

STATES: dict[str, OrderState] = {
    # At work, or about to be: a fill may still come.
    "new": OrderState.ACCEPTED,
    "accepted": OrderState.ACCEPTED,  # received, not yet routed: outside the session
    "pending_new": OrderState.ACCEPTED,
    "accepted_for_bidding": OrderState.ACCEPTED,
    "pending_review": OrderState.ACCEPTED,
    "held": OrderState.ACCEPTED,
    "stopped": OrderState.ACCEPTED,  # a trade is guaranteed, and has not happened yet
    "suspended": OrderState.ACCEPTED,  # not eligible for trading now; it may be again
    "pending_cancel": OrderState.ACCEPTED,  # a fill may still win
    "pending_replace": OrderState.ACCEPTED,
    "partially_filled": OrderState.PARTIAL,
    # Ended.
    "filled": OrderState.FILLED,
    "canceled": OrderState.CANCELED,
    "expired": OrderState.EXPIRED,
    "rejected": OrderState.REJECTED,
    # Done executing until the next session, which an order for the day does not live to see; `calculated` also of one
    # that has filled whole.
    "done_for_day": OrderState.EXPIRED,
    "calculated": OrderState.EXPIRED,
}
"""Alpaca's status -> ours (docs.alpaca.markets, Orders at Alpaca: Order Lifecycle); `replaced` is none."""

REPLACED = "replaced"
"""Status of an order whose successor (`replaced_by`) trades what was left of it."""

_SIDES = {"sell": 1, "buy": -1}


@dataclass(frozen=True, kw_only=True)
class Leg:
    """One leg of an order that is to be sent: one contract a spread."""

    symbol: str
    side: str
    """`buy` or `sell`."""
    intent: str
    """`sell_to_open`, ...: Alpaca refuses one that would do the opposite."""


@dataclass(frozen=True, kw_only=True)
class SpreadOrder:
    """A limit order for the day, as it is to be sent."""

    order_id: str
    contracts: int
    limit_price: Decimal
    """Dollars per share, a debit: below zero where a credit is asked for."""
    legs: tuple[Leg, Leg]

    @classmethod
    def of(cls, ticket: Ticket, *, order_id: str, contracts: int, limit_credit: float) -> "SpreadOrder":
        """Return the order of one attempt at a ticket."""
        opens = isinstance(ticket, OrderTicket)
        short, long = ("sell", "buy") if opens else ("buy", "sell")
        how = "open" if opens else "close"
        price = -Decimal(str(limit_credit)).quantize(_CENT)
        return cls(
            order_id=order_id,
            contracts=contracts,
            limit_price=price or Decimal("0.00"),  # never a negative zero
            legs=(
                Leg(symbol=ticket.spread.short_symbol, side=short, intent=f"{short}_to_{how}"),
                Leg(symbol=ticket.spread.long_symbol, side=long, intent=f"{long}_to_{how}"),
            ),
        )

    def differences(self, answer: Answer) -> tuple[str, ...]:
        """Return in what an order at Alpaca is another one than this, in words; empty if it is this one."""
        told = _legs(answer)
        asked = {(leg.symbol, leg.side, 1) for leg in self.legs}
        found: list[str] = []
        if told != asked:
            found.append(f"its legs are {_legs_text(told)}, not {_legs_text(asked)}")
        if (quantity := answer.number("qty")) != self.contracts:
            found.append(f"its quantity is {quantity}, not {self.contracts}")
        if not answer.has("limit_price") or answer.number("limit_price") != self.limit_price:
            found.append(f"its limit price is {answer.fields.get('limit_price')}, not {self.limit_price}")
        return tuple(found)


def update_of(answer: Answer) -> OrderUpdate:
    """Return how an order stands. Raises `BrokerError` for what cannot be known from the answer."""
    state, traded = _state(answer), _traded(answer)
    if state is OrderState.ACCEPTED and traded is not None:
        state = OrderState.PARTIAL
    if state is OrderState.EXPIRED and traded is not None and traded.contracts == answer.whole("qty"):
        state = OrderState.FILLED
    _check(answer, state, traded)
    return OrderUpdate(
        state=state,
        broker_order_id=answer.text("id"),
        traded=traded,
        detail=_price_told_otherwise(answer, traded),
    )


def update_of_row(row: Sequence[Answer]) -> OrderUpdate:
    """Return how an order stands that others may have replaced, one after another: ours comes first, the live one last.

    Each tells what it has filled itself (github.com/alpacahq/Alpaca-API/issues/165), and all of it is ours. One that
    was made smaller has ended with what it has filled. Raises `BrokerError` if one is of other legs, or fills too much.
    """
    if len(row) == 1:
        return update_of(row[0])
    first, last = row[0], row[-1]
    asked = first.whole("qty")
    if any(_legs(one) != _legs(first) for one in row):
        raise BrokerError(f"{first.what} was replaced at Alpaca by one of other legs: {_legs_text(_legs(last))}")
    newest = update_of(last)
    traded = Traded.of([one for one in (*(_traded(old) for old in row[:-1]), newest.traded) if one is not None])
    contracts, state = traded.contracts if traded else 0, newest.state
    if contracts > asked:
        raise BrokerError(
            f"{first.what} was replaced at Alpaca, and {contracts} contracts filled where {asked} were due"
        )
    if newest.ended and contracts == asked:
        state = OrderState.FILLED
    elif state is OrderState.FILLED:
        state = OrderState.CANCELED
    elif state is OrderState.ACCEPTED and traded is not None:
        state = OrderState.PARTIAL
    words = f"replaced at Alpaca by {', '.join(one.text('id') for one in row[1:])}, by hand or by a corporate action"
    return OrderUpdate(state=state, broker_order_id=last.text("id"), traded=traded, detail=words)


def working_order(answer: Answer) -> BrokerOrder:
    """Return an order that is open at Alpaca, of whatever kind: ours, or somebody else's."""
    legs = Answer.each(answer.fields["legs"], answer.what) if answer.has("legs") else (answer,)
    return BrokerOrder(
        order_id=answer.text("client_order_id") if answer.has("client_order_id") else "",
        broker_order_id=answer.text("id"),
        symbols=tuple(leg.text("symbol") for leg in legs),
    )


def legs_of(answer: Answer) -> tuple[Answer, ...]:
    """Return the legs of a multi-leg order."""
    if not answer.has("legs"):
        raise BrokerError(f"Alpaca's answer about {answer.what} has no `legs`")
    legs = Answer.each(answer.fields["legs"], answer.what)
    return tuple(leg.named(f"the leg {leg.text('symbol')} of {answer.what}") for leg in legs)


def _state(answer: Answer) -> OrderState:
    status = answer.text("status")
    if status not in STATES:
        raise BrokerError(f"{answer.what} has the status `{status}`, which is none that Alpaca documents")
    return STATES[status]


def _traded(answer: Answer) -> Traded | None:
    """Return what has filled, at the prices of the legs: they are what the account was charged, leg by leg.

    The order's own average price is Alpaca's sum of them, and is told without its parts; it is compared, not used.
    """
    contracts = answer.whole("filled_qty")
    if contracts == 0:
        return None
    received, legs = Decimal(0), legs_of(answer)
    if sorted(_sign(leg) for leg in legs) != [-1, 1]:
        raise BrokerError(f"{answer.what} has not one leg bought and one sold: {_legs_text(_legs(answer))}")
    for leg in legs:
        bought_or_sold = contracts * leg.whole("ratio_qty")
        if leg.whole("filled_qty") != bought_or_sold:
            raise BrokerError(
                f"{leg.what} has filled {leg.whole('filled_qty')} where {contracts} spreads of the order have: the legs"
                " came apart, or the answer was made between them"
            )
        received += _sign(leg) * _sum_of(leg.number("filled_avg_price"), bought_or_sold)
    # Alpaca charges no commission; regulatory fees are taken once a day for the whole account, and not told by order.
    return Traded(contracts=contracts, credit=float(received / contracts), fees=0.0, at=_filled_at(answer))


def _sum_of(mean: Decimal, contracts: int) -> Decimal:
    """Return what the prices of some contracts add up to: they are whole cents, and their mean comes rounded."""
    total = mean * contracts
    cents = total.quantize(_CENT)
    return cents if abs(total - cents) <= contracts * _ROUNDED_AT else total.quantize(_HUNDREDTH_OF_A_CENT)


def _sign(leg: Answer) -> int:
    side = leg.text("side")
    if side not in _SIDES:
        raise BrokerError(f"`side` in Alpaca's answer about {leg.what} is `{side}`, neither buy nor sell")
    return _SIDES[side]


def _filled_at(answer: Answer) -> dt.datetime:
    """Return when it last filled; while a part is open Alpaca may say only when the order last changed."""
    told = [one.instant("filled_at") for one in (answer, *legs_of(answer)) if one.has("filled_at")]
    return max(told) if told else answer.instant("updated_at")


def _check(answer: Answer, state: OrderState, traded: Traded | None) -> None:
    contracts, asked = traded.contracts if traded else 0, answer.whole("qty")
    short_of = state is OrderState.FILLED and contracts != asked
    if short_of or contracts > asked or (state is OrderState.PARTIAL and contracts == 0):
        raise BrokerError(
            f"{answer.what} is `{answer.text('status')}` with {contracts} of {asked} contracts filled: that contradicts"
            " itself"
        )


def _price_told_otherwise(answer: Answer, traded: Traded | None) -> str | None:
    if traded is None or not answer.has("filled_avg_price"):
        return None
    told = answer.number("filled_avg_price")
    if abs(told + Decimal(str(traded.credit))) <= _CENT:
        return None
    return f"Alpaca's average price of the order is {told}, of its legs {-traded.credit:.4f}: the legs' is booked"


def _legs(answer: Answer) -> set[tuple[str, str, int]]:
    return {(leg.text("symbol"), leg.text("side"), leg.whole("ratio_qty")) for leg in legs_of(answer)}


def _legs_text(legs: set[tuple[str, str, int]]) -> str:
    return ", ".join(f"{side} {ratio} {symbol}" for symbol, side, ratio in sorted(legs))
