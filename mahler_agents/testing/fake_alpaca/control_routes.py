"""The fake Alpaca's own routes, under /_fake/: its clock, its faults and its books, for other processes."""

import datetime as dt
from typing import Any

from mahler_agents.errors import InputError
from mahler_agents.testing.fake_alpaca.http import RefusedError, Request, Response, Route
from mahler_agents.testing.fake_alpaca.truth import truth_of
from mahler_agents.testing.fake_alpaca.world import World


def clock(request: Request, world: World) -> Response:
    """Tell the simulated instant."""
    del request
    return Response(json={"now": world.now.isoformat()})


def advance(request: Request, world: World) -> Response:
    """Move the clock on to `at_least`, and tell what it is then."""
    asked = _body(request).get("at_least")
    try:
        world.advance_to(dt.datetime.fromisoformat(str(asked)))
    except ValueError as error:
        raise RefusedError(400, 40010000, f"at_least must be an ISO time, not {asked!r}") from error
    except InputError as error:
        raise RefusedError(400, 40010000, str(error)) from error
    return clock(request, world)


def faults(request: Request, world: World) -> Response:
    """Tell the faults that wait for their requests."""
    del request
    return Response(json=[vars(one) for one in world.faults.scripted])


def fail(request: Request, world: World) -> Response:
    """Script a fault: `route`, `fault`, and how many `times` after how many requests to `skip`."""
    body = _body(request)
    try:
        add_fault(world, **body)
    except (TypeError, InputError) as error:
        raise RefusedError(400, 40010000, str(error)) from error
    return faults(request, world)


def forget_faults(request: Request, world: World) -> Response:
    """Forget the faults that wait."""
    world.faults.clear()
    return faults(request, world)


def books(request: Request, world: World) -> Response:
    """Tell the server's own truth of orders, positions, cash and activities."""
    del request
    return Response(json=truth_of(world))


def add_fault(world: World, *, route: str, fault: str, times: int = 1, skip: int = 0) -> None:
    """Script a fault at one of the vendor's routes; raises `InputError`."""
    from mahler_agents.testing.fake_alpaca.routing import all_routes

    names = frozenset(one.name for one in all_routes() if not one.control)
    world.faults.add(route, fault, times=times, skip=skip, routes=names)


def _body(request: Request) -> dict[str, Any]:
    if not isinstance(request.body, dict):
        raise RefusedError(400, 40010000, "the body must be a JSON object")
    return request.body


ROUTES = (
    Route(method="GET", path="/_fake/clock", handler=clock, control=True),
    Route(method="POST", path="/_fake/clock", handler=advance, control=True),
    Route(method="GET", path="/_fake/books", handler=books, control=True),
    Route(method="GET", path="/_fake/faults", handler=faults, control=True),
    Route(method="POST", path="/_fake/faults", handler=fail, control=True),
    Route(method="DELETE", path="/_fake/faults", handler=forget_faults, control=True),
)
