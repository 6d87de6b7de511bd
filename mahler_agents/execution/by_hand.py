"""Stage 8, execute: a spread that the user closed at the broker, in the user's own figures; pure.

Nobody else can say what it cost: the desk sent no order. It is booked only if the broker does not hold its legs.
"""

import datetime as dt
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mahler_agents.errors import BrokerError, InputError, UnknownIdError
from mahler_agents.execution.differences import Kind
from mahler_agents.execution.paper_account import settles_at
from mahler_agents.execution.positions import Position
from mahler_agents.types import CONTRACT_MULTIPLIER, Frozen

if TYPE_CHECKING:  # it books, as the ledger does, which books this
    from mahler_agents.execution.broker_check import BrokerCheck

RULE = "closed_by_hand"
"""The rule of the outcome."""


class HandClose(Frozen):
    """What the user says of a close: all contracts of a position that are open, at once."""

    position: Position
    debit: float
    """Paid per share for both legs, before fees; below zero if it was received."""
    fees: float
    """Dollars, for all contracts."""
    at: dt.datetime

    @property
    def text(self) -> str:
        """What will be written, in one line."""
        paid = self.debit * CONTRACT_MULTIPLIER * self.position.contracts
        return (
            f"{self.position.spread.label}: all {self.position.contracts:,} contracts closed by hand at"
            f" {self.debit:,.4g} a share: {paid:,.2f} dollars, and {self.fees:,.2f} dollars of fees"
        )


def hand_close(
    positions: Sequence[Position], chosen: str, *, debit: float, fees: float, at: dt.datetime, now: dt.datetime
) -> HandClose:
    """Return the close of the open position whose id is or begins with `chosen`; raises `InputError` if it cannot be.

    `at` must be while the position was open: after its first fill, before its expiration, not after `now`.
    """
    found = [one for one in positions if one.entry_order_id.startswith(chosen)]
    if len(found) != 1 or not chosen:
        ids = ", ".join(one.entry_order_id for one in found or positions) or "none"
        raise UnknownIdError(
            f"`{chosen}` is {'more than one' if found else 'no'} position; open as of {now} are: {ids}"
        )
    [position] = found
    if not (math.isfinite(debit) and math.isfinite(fees) and fees >= 0):
        raise InputError(f"debit {debit} and fees {fees} must be numbers, fees not below 0")
    if not position.opened_at <= at <= now:
        raise InputError(f"{position.entry_order_id} was opened at {position.opened_at}: it was not closed at {at}")
    if settles_at(position.spread.short_symbol, by=at) is not None:
        raise InputError(
            f"{position.entry_order_id} had expired by {at}, and expirations are settled in monitor passes: say with"
            " --at when it was closed before"
        )
    return HandClose(position=position, debit=debit, fees=fees, at=at)


def refuse_if_held(position: Position, check: "BrokerCheck") -> None:
    """Raise `InputError` unless the broker lacks all contracts of both legs, `BrokerError` if it could not be read."""
    if check.error is not None:
        raise BrokerError(f"the broker could not be read, so nothing is booked: {check.error}")
    gone = {one.item: one.lacking for one in check.differences if one.kind is Kind.MISSING}
    for symbol in (position.spread.short_symbol, position.spread.long_symbol):
        if gone.get(symbol, 0) < position.contracts:
            raise InputError(
                f"{position.entry_order_id} is not closed at the broker: of {position.contracts:,} {symbol} it lacks"
                f" {gone.get(symbol, 0):,}; nothing is booked"
            )
