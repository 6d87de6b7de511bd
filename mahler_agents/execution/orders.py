"""Stage 8, execute: what an order is, from the ticket to the fill. Credits in dollars per share, in whole cents."""

import hashlib
import math
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, Field, model_validator

from mahler_agents.types import Frozen, Reason, Spread, SpreadQuote

MAX_CLIENT_ORDER_ID = 48
"""Characters; Alpaca's limit."""

LEGS = 2
"""Legs of a vertical spread: each is charged a commission."""

CONCESSION_STEPS = 5
"""Equal steps in which an entry order goes from mid to its last price."""


class OrderState(StrEnum):
    """Where an order stands in the ledger."""

    INTENT = "intent"
    """Sized and committed, not yet sent."""
    SENT = "sent"
    """Handed to the broker; the answer is not known yet."""
    FILLED = "filled"
    CANCELED = "canceled"
    """Ended without a fill, or never sent; the reason says why."""
    REJECTED = "rejected"
    """Refused by the broker."""


PENDING_STATES = (OrderState.INTENT, OrderState.SENT)
"""States in which an order may still be filled: it counts as risk at its worst limit."""


class OrderTicket(Frozen):
    """A sized entry order: what is sold, how many, and the lowest credit it may concede to."""

    client_order_id: Annotated[str, Field(max_length=MAX_CLIENT_ORDER_ID)]
    """The same for the same account, slot, spread, purpose and attempt, so that sending twice cannot trade twice."""
    account_id: str
    slot: str
    candidate_id: str
    """The reviewed candidate that this order is for."""
    purpose: Literal["entry"] = "entry"
    spread: Spread
    contracts: Annotated[int, Field(gt=0)]
    limit_credit: Annotated[float, Field(gt=0)]
    """The lowest acceptable credit, per share."""
    decided_at: AwareDatetime
    """The decision time: the snapshot's `as_of` plus the decision delay."""


class ClosingTicket(Frozen):
    """An order that buys an open spread back, whole."""

    client_order_id: Annotated[str, Field(max_length=MAX_CLIENT_ORDER_ID)]
    account_id: str
    slot: str
    entry_order_id: str
    """The position that it closes."""
    spread: Spread
    contracts: Annotated[int, Field(gt=0)]
    limit_debit: Annotated[float, Field(ge=0)]
    """The most that may be paid, per share: never above the width."""
    rule: str
    """The exit rule that asks for it."""
    decided_at: AwareDatetime


class Fill(Frozen):
    """Contracts that traded, at one price."""

    client_order_id: str
    contracts: Annotated[int, Field(gt=0)]
    credit: float
    """Received per share, before fees; negative where it was paid."""
    fees: Annotated[float, Field(ge=0)]
    """Dollars, for all contracts and legs."""
    at: AwareDatetime


class OrderUpdate(Frozen):
    """What a broker says about an order."""

    state: OrderState
    broker_order_id: str
    fill: Fill | None = None
    reason: Reason | None = None
    """Why it ended without a fill, where the broker says so."""

    @model_validator(mode="after")
    def _filled_has_a_fill(self) -> Self:
        if self.state is OrderState.FILLED and self.fill is None:
            raise ValueError(f"order {self.broker_order_id} is filled, but has no fill")
        return self

    @property
    def outcome(self) -> Reason:
        """How the order ended; contracts that traded before it was canceled are a fill."""
        if self.fill is not None:
            return Reason.FILLED
        return self.reason or (Reason.REJECTED if self.state is OrderState.REJECTED else Reason.UNFILLED)


class Execution(Frozen):
    """How the execution of one ticket ended."""

    ticket: OrderTicket
    state: OrderState
    reason: Reason
    quote: SpreadQuote | None = None
    """The legs' quotes at the decision time; None if a leg had none."""
    fill: Fill | None = None


def client_order_id(*, account_id: str, slot: str, spread: Spread, purpose: str, attempt: int) -> str:
    """Return a readable id of at most 48 characters that is the same for the same order and no other.

    The spread's key is legible up to 31 characters; the digest (64 bits of SHA-256) covers everything.
    """
    digest = hashlib.sha256("\x1f".join([account_id, slot, spread.key, purpose, str(attempt)]).encode()).hexdigest()
    return f"{spread.key[: MAX_CLIENT_ORDER_ID - 17]}-{digest[:16]}"


def round_down_to_cent(dollars: float) -> float:
    """Return `dollars` rounded down to a whole cent, with a guard against binary fractions (0.29 stays 0.29)."""
    return math.floor(dollars * 100 + 1e-6) / 100


def closing_debit(quote: SpreadQuote, width: float) -> float:
    """Return what surely buys the spread back, per share: natural, rounded up to a cent, at most the width."""
    natural = quote.short.ask - quote.long.bid
    return min(width, max(0.0, -round_down_to_cent(-natural)))
