"""Stage 8, execute: Alpaca's account activities in, how option legs were settled out; pure.

An option that expires out of the money is told as OPEXP; one in the money is assigned (OPASN) or exercised (OPEXC), and
shares change hands at the strike (docs.alpaca.markets, Non-Trade Activities for Option Events). What such a leg was
worth is its intrinsic value at the close, as in the embedded broker: the shares that may be left are worth that close.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mahler_agents.errors import BrokerError
from mahler_agents.execution.alpaca.answers import Answer
from mahler_agents.execution.paper_account import settled
from mahler_agents.execution.settlement import LegSettlement
from mahler_agents.market import calendar
from mahler_agents.market.occ import parse_symbol

WORTHLESS = "OPEXP"
DELIVERED = ("OPASN", "OPEXC")
ACTIVITY_TYPES = (WORTHLESS, *DELIVERED)

_TAKEN_BACK = {"canceled"}
"""Statuses of activities that were taken back (alpaca-py, NonTradeActivityStatus)."""


@dataclass(frozen=True, kw_only=True)
class LegEnd:
    """How a leg left the account."""

    symbol: str
    close: dt.datetime
    """Of the session by which it did: its expiration's, or an earlier one if it was assigned before."""
    delivered: bool
    """Assigned or exercised, whole or in part."""


def leg_ends(activities: Sequence[Answer], due: Mapping[str, dt.datetime]) -> tuple[LegEnd, ...]:
    """Return how legs ended, of those that are `due`: OCC symbol -> the close at which it expired."""
    told: dict[str, list[LegEnd]] = defaultdict(list)
    for activity in activities:
        kind, symbol = activity.text("activity_type"), activity.text("symbol")
        if kind not in ACTIVITY_TYPES:
            raise BrokerError(f"Alpaca told an activity `{kind}` where {', '.join(ACTIVITY_TYPES)} were asked for")
        if symbol not in due or (activity.has("status") and activity.text("status") in _TAKEN_BACK):
            continue
        close = min(due[symbol], _close_of(activity.date("date")))
        told[symbol].append(LegEnd(symbol=symbol, close=close, delivered=kind in DELIVERED))
    # Contracts of one leg that left on different days have no one price: the user is told that they are not settled.
    at_once = [ends for ends in told.values() if len({end.close for end in ends}) == 1]
    return tuple(max(ends, key=lambda end: end.delivered) for ends in at_once)


def settlement_of(end: LegEnd, underlying_price: float | None) -> LegSettlement | None:
    """Return how a leg was settled; None if shares changed hands and the underlying's close is not known."""
    if end.delivered:
        if underlying_price is None:
            return None
        return settled(end.symbol, end.close, underlying_price).model_copy(update={"in_the_money": True})
    return LegSettlement(
        symbol=end.symbol,
        at=end.close,
        underlying_price=underlying_price,
        dollars_per_share=0.0,
        in_the_money=False,
    )


def underlying_of(end: LegEnd) -> str:
    """Return the underlying of a leg."""
    return parse_symbol(end.symbol).underlying


def _close_of(date: dt.date) -> dt.datetime:
    """Return the close of the session of a date, or of the one before: activities may be dated on weekends."""
    return calendar.session_close(date if calendar.is_session(date) else calendar.previous_session(date))
