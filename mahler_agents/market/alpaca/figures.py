"""Below Alpaca's market, figures: values of a JSON answer in, numbers and instants out; what is neither is absent."""

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import NoneType
from typing import Any

import numpy as np

from mahler_agents.clock import NEW_YORK
from mahler_agents.market.snapshot import Dates, Floats

NOTHING: Mapping[str, Any] = {}
_EPOCH = dt.date(1970, 1, 1).toordinal()


def number(value: Any) -> float:
    """Return a finite number, also one that is written as text; NaN for anything else."""
    if isinstance(value, bool) or not isinstance(value, float | int | str):
        return math.nan
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return math.nan
    return found if math.isfinite(found) else math.nan


def numbers(values: Sequence[Any]) -> Floats:
    """Return what `number` makes of each value of a column: of all at once if they are numbers and nulls."""
    kinds = set(map(type, values))
    try:
        if kinds <= {float, int, NoneType}:
            column = np.asarray(values, dtype=np.float64)  # a null becomes NaN
        elif kinds <= {str, NoneType}:
            column = np.asarray([math.nan if value is None else float(value) for value in values], dtype=np.float64)
        else:
            column = np.asarray([number(value) for value in values], dtype=np.float64)
    except (ValueError, OverflowError):  # a word, or more than a float holds: that one is none
        column = np.asarray([number(value) for value in values], dtype=np.float64)
    return np.where(np.isfinite(column), column, np.nan)


def dates(days: Sequence[dt.date]) -> Dates:
    """Return a column of dates; NumPy's own way of dates takes twelve times as long."""
    return np.asarray([day.toordinal() - _EPOCH for day in days], dtype="datetime64[D]")


def part(value: Any, name: str) -> Mapping[str, Any]:
    """Return the object under a name, an empty one where there is none."""
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, dict) else NOTHING


def items(value: Any) -> list[Mapping[str, Any]]:
    """Return the objects in a list, an empty list where there is none."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def instant(value: Any) -> dt.datetime | None:
    """Return an RFC 3339 time as aware UTC, cut to microseconds; None for anything else.

    Also for one at an end of the calendar, which other zones cannot tell: Go writes the year 1 for "never".
    """
    if not isinstance(value, str):
        return None
    try:
        found = dt.datetime.fromisoformat(value)
        return found.astimezone(dt.UTC) if found.tzinfo is not None and 1 < found.year < 9999 else None
    except (ValueError, OverflowError):  # also a time before the year 1
        return None


@lru_cache(maxsize=16_384)
def session_of(stamp: str) -> dt.date | None:
    """Return the New York date of a daily bar, which is stamped with its midnight; thousands have the same."""
    began = instant(stamp)
    try:
        return None if began is None else began.astimezone(NEW_YORK).date()
    except OverflowError:
        return None


def date(value: Any) -> dt.date | None:
    """Return a date written as year, month and day; None for anything else."""
    try:
        return dt.date.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
