"""The fake Alpaca's market data, timeframes: `5Min`, `1Day` in, the intervals of regular sessions out.

Source: parameter `timeframe` of *Market Data API* 1.1. An interval is dated by its first instant: minutes and hours by
the clock of New York, days and longer by midnight there; its trades are those of the regular hours inside it.
"""

import datetime as dt
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from mahler_agents.clock import NEW_YORK
from mahler_agents.market import calendar
from mahler_agents.testing.fake_alpaca.market_data.horizon import midnight
from mahler_agents.testing.fake_alpaca.market_data.query import Query

_FORM = re.compile(r"([0-9]{1,2})(Min|T|Hour|H|Day|D|Week|W|Month|M)")
_AMOUNTS = {"M": range(1, 60), "H": range(1, 24), "D": (1,), "W": (1,), "O": (1, 2, 3, 4, 6, 12)}
_UNITS = {"Min": "M", "T": "M", "Hour": "H", "H": "H", "Day": "D", "D": "D", "Week": "W", "W": "W"}
_MONTH = "O"


class Interval(NamedTuple):
    """A bar's date, and one stretch of a session inside the bar; a longer bar has one for each of its sessions."""

    start: dt.datetime
    first: dt.datetime
    last: dt.datetime


@dataclass(frozen=True, kw_only=True)
class Timeframe:
    """How long a bar is."""

    amount: int
    unit: str
    """M minutes, H hours, D a day, W a week, O months."""

    @classmethod
    def read(cls, query: Query) -> "Timeframe":
        """Return the timeframe of a query, which must have one."""
        given = query.text("timeframe")
        if given is None:
            query.refuse("timeframe is required")
        found = _FORM.fullmatch(given)
        amount, unit = (int(found[1]), _UNITS.get(found[2], _MONTH)) if found else (0, "D")
        if amount not in _AMOUNTS[unit]:
            query.refuse(f"invalid timeframe: {given}")
        return cls(amount=amount, unit=unit)

    @property
    def is_intraday(self) -> bool:
        """Whether a session has more than one bar."""
        return self.unit in {"M", "H"}

    def start_of(self, date: dt.date) -> dt.datetime:
        """Return what the bar of a session is dated, of a timeframe of a day or longer."""
        if self.unit == "W":
            return midnight(date - dt.timedelta(days=date.weekday()))
        if self.unit == _MONTH:
            return midnight(date.replace(month=(date.month - 1) // self.amount * self.amount + 1, day=1))
        return midnight(date)

    def intervals(self, date: dt.date) -> Iterator[Interval]:
        """Yield the intervals of a session, in order."""
        hours = calendar.session(date)
        if not self.is_intraday:
            yield Interval(self.start_of(date), hours.open, hours.close)
            return
        length = dt.timedelta(minutes=self.amount) if self.unit == "M" else dt.timedelta(hours=self.amount)
        day = dt.datetime.combine(date, dt.time(), NEW_YORK).astimezone(dt.UTC)
        start = day + (hours.open - day) // length * length
        while start < hours.close:
            yield Interval(start, max(start, hours.open), min(start + length, hours.close))
            start += length


def sessions_between(
    first: dt.datetime, last: dt.datetime, *, earliest: dt.date, latest: dt.date
) -> tuple[dt.date, ...]:
    """Return the sessions from an instant's date to another's, within the dates of the world."""
    start = max(first.astimezone(NEW_YORK).date(), earliest)
    end = min(last.astimezone(NEW_YORK).date(), latest)
    return calendar.sessions(start, end) if start <= end else ()
