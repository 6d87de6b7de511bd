"""Below stage 1, calendar: dates in, sessions of the New York Stock Exchange and their opening hours out.

A thin face of `exchange_calendars`, read once into plain tables: a look-up costs a microsecond, and importing this
module does not import pandas.
"""

import datetime as dt
import warnings
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from functools import lru_cache

from mahler_agents.errors import InputError

FIRST_DATE = dt.date(2015, 1, 1)
"""First date that the calendar knows."""
LAST_DATE = dt.date(2031, 12, 31)
"""Last date that the calendar knows: explicit, since the library's own default moves with the present day."""


@dataclass(frozen=True, kw_only=True)
class Session:
    """The regular hours of one session, timezone-aware UTC."""

    open: dt.datetime
    close: dt.datetime


@dataclass(frozen=True, kw_only=True)
class _Table:
    dates: tuple[dt.date, ...]
    by_date: dict[dt.date, Session]


def is_session(date: dt.date) -> bool:
    """Return whether the exchange opens on `date`; raises `InputError` outside the calendar's range."""
    _check(date)
    return date in _table().by_date


def session(date: dt.date) -> Session:
    """Return the hours of the session on `date`; raises `InputError` if there is none."""
    _check(date)
    found = _table().by_date.get(date)
    if found is None:
        around = f"{previous_session(date)} and {next_session(date)}"
        raise InputError(f"{date} is not a session of the New York exchange: the nearest are {around}")
    return found


def session_close(date: dt.date) -> dt.datetime:
    """Return when the session on `date` closes (early on half-days), UTC; raises `InputError` if there is none."""
    return session(date).close


def sessions(first: dt.date, last: dt.date) -> tuple[dt.date, ...]:
    """Return the dates of all sessions from `first` to `last`, both included, in order."""
    _check(first)
    _check(last)
    dates = _table().dates
    return dates[bisect_left(dates, first) : bisect_right(dates, last)]


def previous_session(date: dt.date) -> dt.date:
    """Return the last session before `date`, which need not be one itself."""
    _check(date)
    dates = _table().dates
    index = bisect_left(dates, date)
    if index == 0:
        raise InputError(f"no session before {date}: {_range_text()}")
    return dates[index - 1]


def next_session(date: dt.date) -> dt.date:
    """Return the first session after `date`, which need not be one itself."""
    _check(date)
    dates = _table().dates
    index = bisect_right(dates, date)
    if index == len(dates):
        raise InputError(f"no session after {date}: {_range_text()}")
    return dates[index]


def load() -> None:
    """Read the calendar, which takes a second and files, before it is first asked."""
    _table()


def _check(date: dt.date) -> None:
    if not FIRST_DATE <= date <= LAST_DATE:
        raise InputError(f"{date} is outside the exchange calendar: {_range_text()}")


def _range_text() -> str:
    return f"it knows {FIRST_DATE} to {LAST_DATE}"


@lru_cache(maxsize=1)
def _table() -> _Table:
    with warnings.catch_warnings():
        # The library warns of pandas' future behind our back: neither the user nor a test can act on it.
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", FutureWarning)
        import exchange_calendars  # a second of pandas: only when a calendar is needed

        calendar = exchange_calendars.get_calendar("XNYS", start=FIRST_DATE.isoformat(), end=LAST_DATE.isoformat())
        hours = zip(calendar.sessions, calendar.opens, calendar.closes, strict=True)
        by_date = {
            stamp.date(): Session(
                open=opened.to_pydatetime().astimezone(dt.UTC), close=closed.to_pydatetime().astimezone(dt.UTC)
            )
            for stamp, opened, closed in hours
        }
    return _Table(dates=tuple(by_date), by_date=by_date)
