"""The fake Alpaca's market data, horizon: the world in, the instants that an account may see out.

Quotes are as of now, or of the last close while the exchange is closed. Without a real-time subscription the trades of
the indicative feed are 15 minutes late (vendor's page *Historical Option Data*), and of the SIP's and OPRA's history
the last 15 minutes are refused.
"""

import datetime as dt

from mahler_agents.clock import NEW_YORK
from mahler_agents.market import calendar
from mahler_agents.testing.fake_alpaca.market_data.query import DataRefusedError
from mahler_agents.testing.fake_alpaca.world import World

DELAY = dt.timedelta(minutes=15)
NO_SIP = "subscription does not permit querying recent SIP data"
NO_OPRA = "OPRA agreement is not signed"


def last_instant(at: dt.datetime) -> dt.datetime:
    """Return the last instant at or before `at` at which the exchange was open."""
    date = at.astimezone(NEW_YORK).date()
    if calendar.is_session(date) and at >= calendar.session(date).open:
        return min(at, calendar.session(date).close)
    return calendar.session(calendar.previous_session(date)).close


def session_date(instant: dt.datetime) -> dt.date:
    """Return the New York date of an instant."""
    return instant.astimezone(NEW_YORK).date()


def midnight(date: dt.date) -> dt.datetime:
    """Return the first instant of a date in New York, UTC: what a daily bar is dated."""
    return dt.datetime.combine(date, dt.time(), NEW_YORK).astimezone(dt.UTC)


def option_trades_until(world: World, feed: str) -> dt.datetime:
    """Return up to when the trades of an option feed can be seen; refuses OPRA to who has not subscribed."""
    if feed == "opra":
        if not world.settings.market_data.real_time_data:
            raise DataRefusedError(403, NO_OPRA)
        return last_instant(world.now)
    return last_instant(world.now - DELAY)


def option_feed(world: World, given: str | None) -> str:
    """Return the feed that answers: OPRA for who has subscribed, else the indicative one."""
    return given or ("opra" if world.settings.market_data.real_time_data else "indicative")


def history_until(world: World, end: dt.datetime | None, *, delayed: bool, refusal: str) -> dt.datetime:
    """Return up to when history can be seen: `end`, by default all there is.

    Refused is an `end` in the last 15 minutes where those are `delayed`.
    """
    limit = world.now - DELAY if delayed else world.now
    if end is not None and delayed and end > limit:
        raise DataRefusedError(403, refusal)
    return limit if end is None else min(end, limit)


def stamp(at: dt.datetime) -> str:
    """Return a time as the vendor writes it: RFC 3339, UTC, no digits that are not needed."""
    return at.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")
