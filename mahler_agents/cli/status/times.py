"""Command line, `mahler status`: instants of the record in, when that was in words out."""

import datetime as dt

from mahler_agents.clock import NEW_YORK

_STEPS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def ago(at: str, present: str) -> str:
    """Return how long before the present an instant was, e.g. `3 min ago`; from the day before yesterday on in days."""
    seconds = (dt.datetime.fromisoformat(present) - dt.datetime.fromisoformat(at)).total_seconds()
    if seconds < 1:
        return "now" if seconds > -1 else f"in {_length(-seconds)}"
    return f"{_length(seconds)} ago"


def when(at: str, present: str) -> str:
    """Return New York's time of an instant, with the date unless that is the present's, e.g. `10:00, 3 min ago`."""
    moment, now = (dt.datetime.fromisoformat(one).astimezone(NEW_YORK) for one in (at, present))
    said = f"{moment:%H:%M}" if moment.date() == now.date() else f"{moment:%Y-%m-%d %H:%M}"
    return f"{said}, {ago(at, present)}"


def _length(seconds: float) -> str:
    size, unit = next(one for one in _STEPS if seconds >= one[0] * (2 if one[1] == "d" else 1) or one[1] == "s")
    return f"{seconds // size:,.0f} {unit}"
