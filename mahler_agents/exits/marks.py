"""Stage 9, monitor: the legs' quotes in, what it costs to close the spread out, or why that cannot be said; pure."""

import datetime as dt
from collections.abc import Mapping

from mahler_agents.types import Frozen, Quote, Spread, SpreadQuote


class Mark(Frozen):
    """What it costs to close a spread at one instant, dollars per share."""

    at: dt.datetime
    mid_cost: float
    """At both legs' mids: what the rules are triggered on."""
    natural_cost: float
    """Short leg at its ask, long leg at its bid: what it costs to be sure."""

    @classmethod
    def of(cls, quote: SpreadQuote, at: dt.datetime) -> "Mark":
        """Return the mark of a spread whose legs are quoted."""
        return cls(at=at, mid_cost=quote.mid_credit, natural_cost=quote.short.ask - quote.long.bid)


class NoMark(Frozen):
    """Why a spread has no mark: it is neither stopped nor taken then, and the user is told."""

    reason: str


def mark_spread(
    spread: Spread, quotes: Mapping[str, Quote], at: dt.datetime, *, max_age_seconds: float
) -> Mark | NoMark:
    """Return the mark of a spread from its legs' quotes; a missing quote, or one above the age, makes none.

    A zero bid with a positive ask is a quote: a leg that nobody bids for is worth next to nothing, which is a fact.
    """
    quote = SpreadQuote.of(quotes, spread)
    if quote is None:
        absent = [symbol for symbol in (spread.short_symbol, spread.long_symbol) if symbol not in quotes]
        return NoMark(reason=f"no quote of {' and '.join(absent)}")
    oldest = min(quote.short.at, quote.long.at)
    age = (at - oldest).total_seconds()
    if age > max_age_seconds:
        symbol = spread.short_symbol if quote.short.at == oldest else spread.long_symbol
        return NoMark(reason=f"stale: the quote of {symbol} is {age:,.0f} s old, allowed are {max_age_seconds:,.0f}")
    return Mark.of(quote, at)
