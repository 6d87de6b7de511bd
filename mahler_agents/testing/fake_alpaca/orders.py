"""The fake Alpaca's orders: what was asked, how it stands, and what of it has filled.

A net price is what one unit of an order pays, in cents per share: below zero where it receives, as the vendor's limit
price of a multi-leg order is. A simple order is one leg with a ratio of 1.
"""

import datetime as dt
from dataclasses import dataclass, field
from enum import StrEnum

from mahler_agents.units import CONTRACT_MULTIPLIER


class Status(StrEnum):
    """The vendor's statuses that occur here; alpaca-py's `OrderStatus` has all of them."""

    PENDING_NEW = "pending_new"
    ACCEPTED = "accepted"
    """Received while the exchange is closed: it waits for the open."""
    NEW = "new"
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    PENDING_CANCEL = "pending_cancel"
    CANCELED = "canceled"
    EXPIRED = "expired"
    REPLACED = "replaced"
    REJECTED = "rejected"


OPEN = frozenset({Status.PENDING_NEW, Status.ACCEPTED, Status.NEW, Status.PARTIALLY_FILLED, Status.PENDING_CANCEL})


class Step(StrEnum):
    """What a scripted order does when it is next looked at, whatever the market does."""

    REJECT = "reject"
    PART = "part"
    EXPIRE = "expire"
    FILL = "fill"


@dataclass(frozen=True, kw_only=True)
class Leg:
    """One contract, or the shares, of an order."""

    id: str
    client_order_id: str
    """Its own, which the vendor makes up; of a simple order the order's."""
    symbol: str
    buys: bool
    ratio: int
    intent: str
    """`buy_to_open` and so on; empty for shares."""

    @property
    def is_option(self) -> bool:
        """Whether it is an option contract."""
        return bool(self.intent)

    @property
    def shares(self) -> int:
        """How many shares one of it stands for."""
        return CONTRACT_MULTIPLIER if self.is_option else 1

    @property
    def signed_ratio(self) -> int:
        """The ratio, below zero if it sells."""
        return self.ratio if self.buys else -self.ratio

    @property
    def closes(self) -> bool:
        """Whether it says that it closes what is held."""
        return self.intent.endswith("_to_close")


@dataclass(frozen=True, kw_only=True)
class Execution:
    """One fill of an order."""

    units: int
    net_cents: int
    """Per share."""
    leg_cents: tuple[float, ...]
    """Each leg's price, cents per share: they add up to the net price."""
    commission_cents: int
    at: dt.datetime


@dataclass(kw_only=True)
class Order:
    """An order as the fake keeps it."""

    id: str
    client_order_id: str
    is_multi_leg: bool
    legs: tuple[Leg, ...]
    units: int
    limit_cents: int | None
    """Net, per share; None for a market order."""
    status: Status
    created_at: dt.datetime
    expires_at: dt.datetime
    """The close of the session that it is good for."""
    updated_at: dt.datetime
    executions: list[Execution] = field(default_factory=list[Execution])
    ended_at: dt.datetime | None = None
    replaces: str | None = None
    replaced_by: str | None = None
    script: list[Step] = field(default_factory=list[Step])
    cancels_at: dt.datetime | None = None
    """When a cancel that takes its time is carried out."""
    looked_at: dt.datetime | None = None
    """When the market last had its chance: one chance an instant."""

    @property
    def is_open(self) -> bool:
        """Whether it may still fill."""
        return self.status in OPEN

    @property
    def filled(self) -> int:
        """Units that have filled."""
        return sum(execution.units for execution in self.executions)

    @property
    def left(self) -> int:
        """Units that have not."""
        return self.units - self.filled

    def mean_cents(self, leg: int | None = None) -> float | None:
        """Return the mean price of what has filled, net or of one leg, cents per share; None if nothing has."""
        if not self.executions:
            return None
        paid = sum(
            execution.units * (execution.net_cents if leg is None else execution.leg_cents[leg])
            for execution in self.executions
        )
        return paid / self.filled

    def end(self, status: Status, at: dt.datetime) -> None:
        """Let it be over."""
        self.status, self.updated_at, self.ended_at = status, at, at
