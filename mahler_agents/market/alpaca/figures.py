"""Below Alpaca's market, figures: values of a JSON answer in, numbers and instants out; what is neither is absent."""

import datetime as dt
import math
from collections.abc import Mapping
from typing import Any

NOTHING: Mapping[str, Any] = {}


def number(value: Any) -> float:
    """Return a finite number, also one that is written as text; NaN for anything else."""
    if isinstance(value, float | int) and not isinstance(value, bool):
        return float(value) if math.isfinite(value) else math.nan
    if isinstance(value, str):
        try:
            found = float(value)
        except ValueError:
            return math.nan
        return found if math.isfinite(found) else math.nan
    return math.nan


def part(value: Any, name: str) -> Mapping[str, Any]:
    """Return the object under a name, an empty one where there is none."""
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, dict) else NOTHING


def items(value: Any) -> list[Mapping[str, Any]]:
    """Return the objects in a list, an empty list where there is none."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def instant(value: Any) -> dt.datetime | None:
    """Return an RFC 3339 time as aware UTC, cut to microseconds; None for anything else."""
    if not isinstance(value, str):
        return None
    try:
        found = dt.datetime.fromisoformat(value)
    except ValueError:
        return None
    return found.astimezone(dt.UTC) if found.tzinfo is not None else None


def date(value: Any) -> dt.date | None:
    """Return a date written as year, month and day; None for anything else."""
    try:
        return dt.date.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
