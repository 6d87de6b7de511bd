"""The fake Alpaca's books: orders, cash, positions and activities of its one account, money in whole cents."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mahler_agents.clock import NEW_YORK
from mahler_agents.testing.fake_alpaca.orders import Execution, Order, Status
from mahler_agents.testing.fake_alpaca.stable_id import stable_id


@dataclass(kw_only=True)
class Holding:
    """A position."""

    count: int
    """Contracts or shares, below zero if short."""
    cost_cents: float
    """What was paid for all of it, below zero if it was received."""
    shares: int
    """Shares per contract, 1 for shares."""


@dataclass(frozen=True, kw_only=True)
class Activity:
    """Something that moved the account."""

    id: str
    kind: str
    """`FILL`, `OPEXP`, ..."""
    at: dt.datetime
    visible_from: dt.datetime
    facts: Mapping[str, Any]
    """Its own fields, as the vendor writes them."""


@dataclass(kw_only=True)
class Books:
    """The account; whatever changes it goes through a method here."""

    seed: int
    cash_cents: int
    opened_at: dt.datetime
    holdings: dict[str, Holding] = field(default_factory=dict[str, Holding])
    orders: list[Order] = field(default_factory=list[Order])
    activities: list[Activity] = field(default_factory=list[Activity])
    last_equity_cents: int = 0
    """At the last session's close."""

    @property
    def account_id(self) -> str:
        """The vendor's id of the account."""
        return stable_id(self.seed, "account")

    @property
    def open_orders(self) -> list[Order]:
        """The orders that may still fill, oldest first."""
        return [order for order in self.orders if order.is_open]

    def next_order_id(self) -> str:
        """Return the id of the order that comes next."""
        return stable_id(self.seed, "order", len(self.orders))

    def count(self, symbol: str) -> int:
        """Return how many of a symbol are held, below zero if short."""
        holding = self.holdings.get(symbol)
        return holding.count if holding else 0

    def fill(self, order: Order, execution: Execution) -> None:
        """Book a fill: cash by the net price, each leg by its own."""
        order.executions.append(execution)
        order.status = Status.PARTIALLY_FILLED if order.left else Status.FILLED
        order.updated_at = execution.at
        if not order.left:
            order.ended_at = execution.at
        shares = order.legs[0].shares
        self.cash_cents -= execution.units * execution.net_cents * shares + execution.commission_cents
        for place, leg in enumerate(order.legs):
            count = execution.units * leg.signed_ratio
            self.move(leg.symbol, count, execution.leg_cents[place], leg.shares)
            self._tell_fill(order, place, execution)
        if execution.commission_cents:
            self.tell("FEE", execution.at, net_amount=dollars(-execution.commission_cents), description="Commission")

    def move(self, symbol: str, count: int, cents: float, shares: int) -> None:
        """Add to a position, or take from it, at a price in cents per share; the cash is the caller's to move."""
        held = self.holdings.get(symbol, Holding(count=0, cost_cents=0.0, shares=shares))
        left = held.count + count
        if held.count * count >= 0:  # grows
            cost = held.cost_cents + count * cents * shares
        elif held.count * left >= 0:  # shrinks, at the mean price that it has
            cost = held.cost_cents * left / held.count
        else:  # turns around
            cost = left * cents * shares
        self.holdings[symbol] = Holding(count=left, cost_cents=cost, shares=shares)
        if left == 0:
            del self.holdings[symbol]

    def tell(self, kind: str, at: dt.datetime, *, next_day: bool = False, **facts: Any) -> None:
        """Write an activity down; `next_day` if it is only shown from the following day on."""
        day = at.astimezone(NEW_YORK).date()
        midnight = dt.datetime.combine(day + dt.timedelta(days=1), dt.time(), NEW_YORK).astimezone(dt.UTC)
        stamp = at.astimezone(NEW_YORK).strftime("%Y%m%d%H%M%S") + f"{at.microsecond // 1000:03d}"
        self.activities.append(
            Activity(
                id=f"{stamp}::{stable_id(self.seed, 'activity', len(self.activities))}",
                kind=kind,
                at=at,
                visible_from=midnight if next_day else at,
                facts=facts if kind == "FILL" else {"date": day.isoformat(), "status": "executed", **facts},
            )
        )

    def _tell_fill(self, order: Order, place: int, execution: Execution) -> None:
        leg = order.legs[place]
        self.tell(
            "FILL",
            execution.at,
            transaction_time=wire_time(execution.at),
            type="partial_fill" if order.left else "fill",
            price=number(execution.leg_cents[place] / 100),
            qty=str(execution.units * leg.ratio),
            side="buy" if leg.buys else "sell",
            symbol=leg.symbol,
            leaves_qty=str(order.left * leg.ratio),
            order_id=leg.id,
            cum_qty=str(order.filled * leg.ratio),
            order_status=order.status.value,
        )


def dollars(cents: float) -> str:
    """Return cents as the vendor writes dollars."""
    return number(cents / 100)


def number(value: float) -> str:
    """Return a number as the vendor writes it: a string without needless zeros."""
    text = f"{value:.6f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def wire_time(at: dt.datetime) -> str:
    """Return an instant as the vendor writes it."""
    return at.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")
