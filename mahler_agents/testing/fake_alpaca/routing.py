"""The fake Alpaca's routes in one table, and the one that answers a request."""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote

from mahler_agents.testing.fake_alpaca.http import Route


class Found(NamedTuple):
    """A route, and what its placeholders stand for."""

    route: Route
    args: dict[str, str]


def find_route(routes: Sequence[Route], method: str, path: str) -> Found | None:
    """Return the route that answers a method at a path, None if there is none."""
    for route in routes:
        if route.method == method and (match := route.pattern.fullmatch(path)):
            return Found(route, {name: unquote(segment) for name, segment in match.groupdict().items()})
    return None


@lru_cache(maxsize=1)
def all_routes() -> tuple[Route, ...]:
    """Return every route of the fake."""
    from mahler_agents.testing.fake_alpaca import (  # which read this table, or what does
        account_routes,
        calendar_routes,
        control_routes,
        market_data,
        order_routes,
        replacing,
    )

    return (
        *control_routes.ROUTES,
        *order_routes.ROUTES,
        *replacing.ROUTES,
        *account_routes.ROUTES,
        *calendar_routes.ROUTES,
        *market_data.ROUTES,
    )
