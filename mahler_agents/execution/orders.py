"""Stage 8, execute: what an order is, from the ticket to the fills. Credits in dollars per share, in whole cents.

An order of ours is worked as a row of attempts: each is one limit order at the broker, at one price, for what is left.
"""

import hashlib
import math
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, Field, model_validator

from mahler_agents.exits import ExitParams
from mahler_agents.types import Frozen, Reason, Spread, SpreadQuote

MAX_ATTEMPT_ID = 48
"""Characters of an id that the broker hears; Alpaca's limit."""

MAX_CLIENT_ORDER_ID = MAX_ATTEMPT_ID - 3
"""Characters of an order's id, so that a dot and the number of an attempt, up to 99, have room behind it."""

LEGS = 2
"""Legs of a vertical spread: each is charged a commission."""

CENT_GUARD = 1e-9
"""Prices are whole cents: what they may differ by as binary fractions."""


class OrderState(StrEnum):
    """Where an order or one of its attempts stands in the ledger; `states.py` says which may follow which."""

    INTENT = "intent"
    """Sized and committed, no attempt made."""
    SENT = "sent"
    """An attempt is committed, and the broker about to hear of it or asked; no answer yet."""
    UNKNOWN = "unknown"
    """The broker was asked and gave no certain answer: it may have the attempt, or never get it."""
    ACCEPTED = "accepted"
    """Worked at the broker, nothing filled."""
    PARTIAL = "partial"
    """Worked at the broker, a part filled."""
    FILLED = "filled"
    """Filled whole."""
    CANCELED = "canceled"
    """Ended by us, or never sent; what had filled by then is held, and the reason says why it was."""
    EXPIRED = "expired"
    """Ended by the session's close; what had filled by then is held."""
    REJECTED = "rejected"
    """Refused by the broker; what earlier attempts had filled is held."""


PENDING_STATES = (
    OrderState.INTENT,
    OrderState.SENT,
    OrderState.UNKNOWN,
    OrderState.ACCEPTED,
    OrderState.PARTIAL,
)
"""States in which an order may still be filled: it counts as risk at its worst limit."""


class OrderTicket(Frozen):
    """A sized entry order: what is sold, how many, and the lowest credit it may concede to."""

    client_order_id: str
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
    exit_params: ExitParams
    """The exit policy under which the trade is entered: the position keeps it."""

    @property
    def worst_credit(self) -> float:
        """The lowest credit that any price of the order may have, per share."""
        return self.limit_credit


class ClosingTicket(Frozen):
    """An order that buys an open spread back, whole or a part of its contracts."""

    client_order_id: str
    account_id: str
    slot: str
    entry_order_id: str
    """The position that it closes."""
    purpose: Literal["exit"] = "exit"
    spread: Spread
    contracts: Annotated[int, Field(gt=0)]
    limit_debit: Annotated[float, Field(ge=0)]
    """The most that may be paid, per share: never above the width."""
    rule: str
    """The exit rule that asks for it."""
    decided_at: AwareDatetime

    @property
    def worst_credit(self) -> float:
        """The lowest credit that any price of the order may have, per share: the debit, negative."""
        return -self.limit_debit


Ticket = OrderTicket | ClosingTicket


class Attempt(Frozen):
    """One limit order at the broker: a price for what is left of an order of ours."""

    ticket: Ticket
    number: Annotated[int, Field(ge=1)]
    """Of the order's attempts, from 1."""
    contracts: Annotated[int, Field(gt=0)]
    """What was left of the order when it was made."""
    limit_credit: float
    """Its price, per share; below zero where it is paid."""
    at: AwareDatetime
    """When the broker was to hear of it."""

    @property
    def order_id(self) -> str:
        """The id under which the broker has it."""
        return attempt_id(self.ticket.client_order_id, self.number)


class Fill(Frozen):
    """Contracts that traded, at one price."""

    client_order_id: str
    number: Annotated[int, Field(ge=1)]
    """Of the order's fills, from 1."""
    attempt: Annotated[int, Field(ge=1)]
    """Number of the attempt that traded."""
    contracts: Annotated[int, Field(gt=0)]
    credit: float
    """Received per share, before fees; negative where it was paid."""
    fees: Annotated[float, Field(ge=0)]
    """Dollars, for all contracts and legs."""
    at: AwareDatetime


class Traded(Frozen):
    """What some fills are together."""

    contracts: Annotated[int, Field(gt=0)]
    credit: float
    """Mean per share, weighted by contracts; negative where it was paid."""
    fees: Annotated[float, Field(ge=0)]
    """Dollars."""
    at: AwareDatetime
    """Of the last fill."""

    @property
    def hundredths(self) -> int:
        """What was received, in hundredths of a cent a share, times contracts: whole, whatever the mean is."""
        return round(self.credit * 10_000 * self.contracts)

    @classmethod
    def of(cls, fills: Sequence["Fill | Traded"]) -> "Traded | None":
        """Return the sum of some fills, None if there is none."""
        if not fills:
            return None
        contracts = sum(fill.contracts for fill in fills)
        # In hundredths of a cent, so that fills at one price have exactly that price for their mean.
        hundredths = sum(round(fill.credit * 10_000 * fill.contracts) for fill in fills)
        return cls(
            contracts=contracts,
            credit=hundredths / contracts / 10_000,
            fees=round(sum(fill.fees for fill in fills), 2),
            at=max(fill.at for fill in fills),
        )


class BrokerOrder(Frozen):
    """An order that is open at the broker, whoever sent it."""

    order_id: str
    """The client's id at the broker: of ours, an attempt's; empty if it has none."""
    broker_order_id: str
    symbols: tuple[str, ...]
    """Of its legs."""


class OrderUpdate(Frozen):
    """What a broker says about one attempt; cumulative, so that it may be told twice, or not at all in between."""

    state: OrderState
    broker_order_id: str | None
    """Empty of an order that was never one, since it was refused; None where an earlier sending may yet become one."""
    traded: Traded | None = None
    """All that has filled of this attempt so far."""
    reason: Reason | None = None
    """Why it ended without a fill, where the broker says so."""
    detail: str | None = None
    """The broker's own words."""

    @model_validator(mode="after")
    def _fills_agree_with_the_state(self) -> Self:
        if self.state in {OrderState.FILLED, OrderState.PARTIAL} and self.traded is None:
            raise ValueError(f"order {self.broker_order_id} is {self.state.value}, but has no fill")
        if self.state in {OrderState.INTENT, OrderState.SENT, OrderState.UNKNOWN}:
            raise ValueError(f"order {self.broker_order_id} is {self.state.value}, which no broker can say")
        return self

    @property
    def ended(self) -> bool:
        """Whether nothing of it can fill any more."""
        return self.state not in PENDING_STATES

    @property
    def contracts(self) -> int:
        """Contracts filled so far."""
        return 0 if self.traded is None else self.traded.contracts


class OrderStatus(Frozen):
    """How an order of ours stands in the ledger, all its attempts together."""

    state: OrderState
    reason: Reason | None = None
    """How it ended; None while it is pending."""
    traded: Traded | None = None
    """What has filled so far; None if nothing has."""
    detail: str | None = None
    """The broker's own words, where it refused."""

    @property
    def ended(self) -> bool:
        """Whether nothing of it is to be sent or can fill any more, as far as is known."""
        return self.state not in PENDING_STATES

    @property
    def contracts(self) -> int:
        """Contracts filled so far."""
        return 0 if self.traded is None else self.traded.contracts


class Execution(Frozen):
    """How the execution of one ticket ended."""

    ticket: OrderTicket
    state: OrderState
    reason: Reason
    quote: SpreadQuote | None = None
    """The legs' quotes at the decision time; None if a leg had none."""
    traded: Traded | None = None
    """What was filled; None if nothing was."""
    lowest_asked: float | None = None
    """Of an order that conceded to its last price and was not filled: that price, credit per share."""
    detail: str | None = None
    """The broker's own words, where it refused."""


def client_order_id(*, account_id: str, slot: str, spread: Spread, purpose: str, attempt: int) -> str:
    """Return a readable id of at most 45 characters that is the same for the same order and no other.

    The spread's key is legible up to 28 characters; the digest (64 bits of SHA-256) covers everything.
    """
    digest = hashlib.sha256("\x1f".join([account_id, slot, spread.key, purpose, str(attempt)]).encode()).hexdigest()
    return f"{spread.key[: MAX_CLIENT_ORDER_ID - 17]}-{digest[:16]}"


def attempt_id(client_order_id: str, number: int) -> str:
    """Return the id under which the broker hears of an order's attempt: at most 48 characters up to the 99th."""
    return f"{client_order_id}.{number}"


def round_down_to_cent(dollars: float) -> float:
    """Return `dollars` rounded down to a whole cent, with a guard against binary fractions (0.29 stays 0.29)."""
    return math.floor(dollars * 100 + 1e-6) / 100


def round_up_to_cent(dollars: float) -> float:
    """Return `dollars` rounded up to a whole cent, with the same guard."""
    return 0.0 - round_down_to_cent(-dollars)  # 0.0 - x: never a negative zero


def closing_debit(quote: SpreadQuote, width: float) -> float:
    """Return what surely buys the spread back, per share: natural, rounded up to a cent, at most the width."""
    return min(width, max(0.0, round_up_to_cent(quote.short.ask - quote.long.bid)))
