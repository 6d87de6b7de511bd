"""The fake Alpaca's faults: what may go wrong on the way to it or back, by name, and the script that says when.

*Before* and *after* are before and after the request has done what it asks for.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from mahler_agents.errors import InputError
from mahler_agents.testing.fake_alpaca.http import Response, failure, route_name


class Fault(StrEnum):
    """A way in which a request fails."""

    TIMEOUT_BEFORE = "timeout_before"
    """No answer ever, and nothing done."""
    TIMEOUT_AFTER = "timeout_after"
    """Done, and no answer ever."""
    GATEWAY_TIMEOUT_BEFORE = "gateway_timeout_before"
    """504, and nothing done."""
    GATEWAY_TIMEOUT_AFTER = "gateway_timeout_after"
    """Done, and 504."""
    TOO_MANY_REQUESTS = "429"
    """429 with Retry-After, and nothing done."""
    SERVER_ERROR = "500"
    SERVER_ERROR_AFTER = "500_after"
    """Done, and 500."""
    UNAUTHORIZED = "401"
    FORBIDDEN = "403"
    NOT_FOUND = "404"
    UNPROCESSABLE = "422"
    HTML = "html"
    """502 with a page for a browser, and nothing done."""
    HTML_AFTER = "html_after"
    """Done, and 200 with a page for a browser."""
    SLOW_DRIP = "slow_drip"
    """Done, and the answer comes a byte at a time, without end."""
    RESET_BEFORE = "reset_before"
    """The connection is reset, and nothing done."""
    RESET_AFTER = "reset_after"
    """Done, and the connection is reset."""
    DONE_LATE = "done_late"
    """504, and done a minute of the fake's clock later, when nobody waits for it any more."""
    ACCEPTED_THEN_REJECTED = "accepted_then_rejected"
    """The order is accepted; when it is next looked at, it is rejected."""
    PARTIAL_THEN_EXPIRED = "partial_then_expired"
    """The order is accepted; when it is looked at, a part has filled; then, the rest has expired."""
    CANCEL_FILL_RACE = "cancel_fill_race"
    """The cancel is accepted; when the order is next looked at, it has filled instead."""
    SLOW_CANCEL = "slow_cancel"
    """The cancel is accepted and carried out a second of the fake's clock later."""


FAULTS = tuple(fault.value for fault in Fault)
"""Their names."""

OF_AN_ORDER = {
    Fault.ACCEPTED_THEN_REJECTED: "POST /v2/orders",
    Fault.PARTIAL_THEN_EXPIRED: "POST /v2/orders",
    Fault.CANCEL_FILL_RACE: "DELETE /v2/orders/{}",
    Fault.SLOW_CANCEL: "DELETE /v2/orders/{}",
}
"""What happens to an order and not to a request: the one route on which each makes sense."""

HANGS = frozenset({Fault.TIMEOUT_BEFORE, Fault.TIMEOUT_AFTER})
RESETS = frozenset({Fault.RESET_BEFORE, Fault.RESET_AFTER})
DONE_FIRST = frozenset(
    {
        Fault.TIMEOUT_AFTER,
        Fault.GATEWAY_TIMEOUT_AFTER,
        Fault.SERVER_ERROR_AFTER,
        Fault.HTML_AFTER,
        Fault.SLOW_DRIP,
        Fault.RESET_AFTER,
        *OF_AN_ORDER,
    }
)
"""The request has its effect."""

ANY_ROUTE = "*"
RETRY_AFTER_SECONDS = 2

_PAGE = b"<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"


def _page(status: int) -> Response:
    return Response(status=status, raw=_PAGE, content_type="text/html")


ANSWERS = {
    Fault.GATEWAY_TIMEOUT_BEFORE: failure(504, 50410000, "gateway timeout"),
    Fault.GATEWAY_TIMEOUT_AFTER: failure(504, 50410000, "gateway timeout"),
    Fault.DONE_LATE: failure(504, 50410000, "gateway timeout"),
    Fault.TOO_MANY_REQUESTS: Response(
        status=429,
        json={"code": 42910000, "message": "rate limit exceeded"},
        headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
    ),
    Fault.SERVER_ERROR: failure(500, 50010000, "internal server error occurred"),
    Fault.SERVER_ERROR_AFTER: failure(500, 50010000, "internal server error occurred"),
    Fault.UNAUTHORIZED: failure(401, 40110000, "request is not authorized"),
    Fault.FORBIDDEN: failure(403, 40310000, "forbidden"),
    Fault.NOT_FOUND: failure(404, 40410000, "not found"),
    Fault.UNPROCESSABLE: failure(422, 42210000, "unprocessable entity"),
    Fault.HTML: _page(502),
    Fault.HTML_AFTER: _page(200),
}
"""What is answered in place of the route's own answer."""


@dataclass(frozen=True, kw_only=True)
class Scripted:
    """A fault that waits for its request."""

    route: str
    fault: Fault
    times: int
    """How many requests it still meets."""
    skip: int
    """How many requests pass before."""


class FaultBook:
    """The script: each fault meets the requests of its route, in the order in which they were scripted."""

    def __init__(self) -> None:
        self.scripted: list[Scripted] = []
        self.meeting: Fault | None = None
        """What meets the request that is being handled: an order's own faults are its handler's to carry out."""

    def add(self, route: str, fault: str, *, times: int = 1, skip: int = 0, routes: frozenset[str]) -> None:
        """Script a fault; raises `InputError` for a fault or a route that does not exist, or for no request at all."""
        name = route_name(route)
        if fault not in FAULTS:
            raise InputError(f"unknown fault `{fault}`; use one of: {', '.join(FAULTS)}")
        if name != ANY_ROUTE and name not in routes:
            raise InputError(f"unknown route `{route}`; use * or one of: {', '.join(sorted(routes))}")
        if (only := OF_AN_ORDER.get(Fault(fault), name)) != name:
            raise InputError(f"the fault `{fault}` happens to an order: script it at `{only}`")
        if times < 1 or skip < 0:
            raise InputError(f"a fault meets one request or more, after 0 or more: not times={times}, skip={skip}")
        self.scripted.append(Scripted(route=name, fault=Fault(fault), times=times, skip=skip))

    def meet(self, route: str) -> Fault | None:
        """Return the fault that meets the next request of a route, and count it."""
        for place, one in enumerate(self.scripted):
            if one.route not in {route, ANY_ROUTE}:
                continue
            if one.skip:
                self.scripted[place] = replace(one, skip=one.skip - 1)
                continue
            self.scripted[place : place + 1] = [replace(one, times=one.times - 1)] if one.times > 1 else []
            return one.fault
        return None

    def clear(self) -> None:
        """Forget the script."""
        self.scripted.clear()
