"""Below the sample market, moment: a seed and an instant in, the state of the made-up market out, or why it has none.

Between two points of the 5-minute grid everything lies on a straight line.
"""

import datetime as dt
from dataclasses import dataclass

import numpy as np

from mahler_agents.clock import NEW_YORK
from mahler_agents.errors import InputError
from mahler_agents.market import calendar
from mahler_agents.market.sample.paths import GRID_MINUTES, Paths, simulate_paths
from mahler_agents.market.sample.surface import MarketState
from mahler_agents.market.sample.world import FIRST_DATE, LAST_DATE


@dataclass(frozen=True, kw_only=True)
class Moment:
    """An instant in a session's hours, and the market at it."""

    at: dt.datetime
    date: dt.date
    row: int
    """Of the session in the paths."""
    seconds_open: float
    session_share: float
    """How much of the session has passed, 0 to 1."""
    state: MarketState


def find_moment(seed: int, at: dt.datetime) -> Moment | None:
    """Return the market of one seed at an instant, None while the exchange is closed.

    Raises `InputError` for a time without a zone and outside the market's range.
    """
    date = new_york_date(at)
    if not calendar.is_session(date):
        return None
    hours = calendar.session(date)
    if not hours.open <= at <= hours.close:
        return None
    paths = simulate_paths(seed)
    row = paths.rows[date]
    since_open = at - hours.open
    return Moment(
        at=at.astimezone(dt.UTC),
        date=date,
        row=row,
        seconds_open=since_open.total_seconds(),
        session_share=since_open / (hours.close - hours.open),
        state=_state(paths, row, since_open / dt.timedelta(minutes=GRID_MINUTES)),
    )


def open_moment(seed: int, at: dt.datetime) -> Moment:
    """Return the market at an instant; raises `InputError` while the exchange is closed, naming the nearest session."""
    moment = find_moment(seed, at)
    if moment is None:
        raise InputError(_closed(at.astimezone(NEW_YORK)))
    return moment


def new_york_date(at: dt.datetime) -> dt.date:
    """Return an instant's New York date; raises `InputError` without a time zone and outside the market's range."""
    if at.tzinfo is None:
        raise InputError(f"{at} has no time zone: give an aware time")
    date = at.astimezone(NEW_YORK).date()
    if not FIRST_DATE <= date <= LAST_DATE:
        nearest = FIRST_DATE if date < FIRST_DATE else LAST_DATE
        raise InputError(
            f"{date} is outside the sample market, which has {FIRST_DATE} to {LAST_DATE}: "
            f"the nearest session is {nearest}"
        )
    return date


def _closed(local: dt.datetime) -> str:
    date = local.date()
    if calendar.is_session(date):
        hours = calendar.session(date)
        opened, closed = (instant.astimezone(NEW_YORK) for instant in (hours.open, hours.close))
        return f"the exchange is closed at {local:%Y-%m-%d %H:%M} New York: it is open {opened:%H:%M} to {closed:%H:%M}"
    before, after = calendar.previous_session(date), calendar.next_session(date)
    return f"{date} is not a session of the New York exchange: the nearest are {before} and {after}"


def _state(paths: Paths, row: int, steps: float) -> MarketState:
    """Return the state `steps` grid steps after the opening, on a straight line between two points of the grid."""
    point = min(int(steps), int(paths.last_point[row]) - 1)
    share = steps - point
    log_price = (1 - share) * paths.log_price[row, point] + share * paths.log_price[row, point + 1]
    factors = (1 - share) * paths.factors[row, point] + share * paths.factors[row, point + 1]
    return MarketState(spot=np.round(np.exp(log_price), 2), factors=factors)
