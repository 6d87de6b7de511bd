"""Below Alpaca's market, VIX: Cboe's delayed quote of an index in, its level and time out, or why there is none.

Alpaca has no indices, and an ETF's share price is no index: either this is the VIX, or there is none. Cboe's quote is
15 minutes late; its `last_trade_time` is in New York time.
"""

import datetime as dt
from collections.abc import Mapping
from typing import Any, NamedTuple

from mahler_agents.clock import NEW_YORK
from mahler_agents.market import calendar
from mahler_agents.market.alpaca.figures import number, part

_FIRST_QUOTE = dt.timedelta(minutes=45)


class IndexQuote(NamedTuple):
    """An index's level, points, and when it was that."""

    level: float
    at: dt.datetime


def index_quote(answer: Any, name: str, *, now: dt.datetime) -> IndexQuote | str:
    """Return what Cboe's answer says of the index `name`, such as `VIX`, or why it cannot be used.

    It must say that it is of that index, and be of the session of `now`; of the one before until 45 minutes after the
    open, when a quote that is 15 minutes late has long been of today.
    """
    told: Mapping[str, Any] = part(answer, "data")
    symbol = told.get("symbol")
    if not isinstance(symbol, str) or symbol.lstrip("^_") != name:
        return f"Cboe's answer is not of {name}: its symbol is {symbol!r}"
    level = number(told.get("current_price"))
    if not level > 0:
        return f"Cboe's answer has no level of {name}"
    at = _new_york(told.get("last_trade_time"))
    if at is None:
        return f"Cboe's {name} has no time"
    today = now.astimezone(NEW_YORK).date()
    begun = calendar.is_session(today) and now >= calendar.session(today).open + _FIRST_QUOTE
    earliest = today if begun else calendar.previous_session(today)
    if not earliest <= at.astimezone(NEW_YORK).date() or at > now + dt.timedelta(minutes=1):
        return f"Cboe's {name} is of {at.astimezone(NEW_YORK):%Y-%m-%d %H:%M} New York"
    return IndexQuote(level, at)


def _new_york(text: Any) -> dt.datetime | None:
    try:
        found = dt.datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    if found is None or not 1 < found.year < 9999:
        return None
    return (found if found.tzinfo is not None else found.replace(tzinfo=NEW_YORK)).astimezone(dt.UTC)
