"""The fake Alpaca's clock and calendar, in New York time as the vendor tells them."""

import datetime as dt

from mahler_agents.clock import NEW_YORK
from mahler_agents.market import calendar
from mahler_agents.testing.fake_alpaca.http import RefusedError, Request, Response, Route
from mahler_agents.testing.fake_alpaca.world import World


def clock(request: Request, world: World) -> Response:
    """Tell the time, whether the exchange is open, and when it opens and closes next."""
    del request
    today = world.now.astimezone(NEW_YORK).date()
    ahead = [calendar.session(day) for day in calendar.sessions(today, today + dt.timedelta(days=14))]
    return Response(
        json={
            "timestamp": _local(world.now),
            "is_open": any(hours.open <= world.now < hours.close for hours in ahead),
            "next_open": _local(next(hours.open for hours in ahead if hours.open > world.now)),
            "next_close": _local(next(hours.close for hours in ahead if hours.close > world.now)),
        }
    )


def days(request: Request, world: World) -> Response:
    """Tell the sessions from `start` to `end`, both included; all that the calendar knows without them."""
    del world
    first = max(_date(request, "start", calendar.FIRST_DATE), calendar.FIRST_DATE)
    last = min(_date(request, "end", calendar.LAST_DATE), calendar.LAST_DATE)
    return Response(json=[_day(day) for day in calendar.sessions(first, last)] if first <= last else [])


def _day(date: dt.date) -> dict[str, str]:
    hours = calendar.session(date)
    return {
        "date": date.isoformat(),
        "open": f"{hours.open.astimezone(NEW_YORK):%H:%M}",
        "close": f"{hours.close.astimezone(NEW_YORK):%H:%M}",
        "session_open": "0400",
        "session_close": "2000",
    }


def _date(request: Request, name: str, default: dt.date) -> dt.date:
    text = request.param(name)
    try:
        # alpaca-py's GetCalendarRequest sends dates; the vendor takes a time too, and leaves its hour out of account.
        return default if text is None else dt.date.fromisoformat(text[:10])
    except ValueError as error:
        raise RefusedError(422, 42210000, f"invalid {name} date: {text}") from error


def _local(instant: dt.datetime) -> str:
    return instant.astimezone(NEW_YORK).isoformat()


ROUTES = (
    Route(method="GET", path="/v2/clock", handler=clock),
    Route(method="GET", path="/v2/calendar", handler=days),
)
