"""Stage 8, execute: what expiry left of a spread; legs as the broker settled them in, one `Settlement` out; pure.

A leg in the money is worth its intrinsic value at the close: the embedded broker pays that in cash. A real account is
assigned shares instead: a spread between its strikes leaves 100 shares a contract over the weekend, at any price. That
is why such a settlement is named for what it is.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated

from pydantic import AwareDatetime, Field

from mahler_agents.types import Frozen, Spread


class Expiry(StrEnum):
    """Where the underlying closed; the rule of the position's outcome."""

    WORTHLESS = "expired_worthless"
    """Both legs out of the money: the whole credit is kept."""
    BETWEEN_STRIKES = "expired_between_strikes"
    """The short leg alone in the money: a real account would be assigned shares, with nothing to hedge them."""
    IN_THE_MONEY = "expired_in_the_money"
    """Both legs in the money: the whole width is paid."""


class LegSettlement(Frozen):
    """How one option leg was settled."""

    symbol: str
    at: AwareDatetime
    """The close of the session in which it expired."""
    underlying_price: Annotated[float, Field(gt=0)] | None
    """Dollars per share, at that close; None if nobody has told it: a leg that expired worthless does not need it."""
    dollars_per_share: Annotated[float, Field(ge=0)]
    """Its value: intrinsic, in whole cents; 0 if it expired worthless."""
    in_the_money: bool


class Settlement(Frozen):
    """How a spread was settled."""

    at: AwareDatetime
    underlying_price: float | None
    """Dollars per share; None if nobody has told it."""
    debit: float
    """Paid per share: the short leg's value less the long leg's, never below 0 nor above the width."""
    expiry: Expiry

    @classmethod
    def of(cls, spread: Spread, legs: Mapping[str, LegSettlement]) -> "Settlement | None":
        """Return a spread's settlement from its legs' by symbol, None unless both are settled."""
        short, long = legs.get(spread.short_symbol), legs.get(spread.long_symbol)
        if short is None or long is None:
            return None
        if long.in_the_money:
            expiry = Expiry.IN_THE_MONEY
        else:
            expiry = Expiry.BETWEEN_STRIKES if short.in_the_money else Expiry.WORTHLESS
        return cls(
            at=max(short.at, long.at),
            underlying_price=short.underlying_price,
            debit=round(short.dollars_per_share - long.dollars_per_share, 2),
            expiry=expiry,
        )
