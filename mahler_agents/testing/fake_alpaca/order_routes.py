"""The fake Alpaca's orders over HTTP: place, list, find, replace, cancel.

The tags of the sources are those of `order_fields`.
"""

from collections.abc import Callable
from typing import Any

from mahler_agents.clock import NEW_YORK
from mahler_agents.market import calendar
from mahler_agents.market.sample.world import SYMBOLS
from mahler_agents.testing.fake_alpaca.faults import Fault
from mahler_agents.testing.fake_alpaca.http import RefusedError, Request, Response, Route
from mahler_agents.testing.fake_alpaca.order_fields import AskedOrder, invalid, malformed, read_order
from mahler_agents.testing.fake_alpaca.order_rules import check_order, intent_of, terms_of
from mahler_agents.testing.fake_alpaca.orders import Leg, Order, Status, Step
from mahler_agents.testing.fake_alpaca.stable_id import stable_id
from mahler_agents.testing.fake_alpaca.venue import SLOW_CANCEL, is_open, look, step_scripts
from mahler_agents.testing.fake_alpaca.wire import legs_json, order_json, parse_time
from mahler_agents.testing.fake_alpaca.world import World

_SCRIPTS = {
    Fault.ACCEPTED_THEN_REJECTED: (Step.REJECT,),
    Fault.PARTIAL_THEN_EXPIRED: (Step.PART, Step.EXPIRE),
    Fault.CANCEL_FILL_RACE: (Step.FILL,),
}
_MOST, _USUAL = 500, 50


def submit(request: Request, world: World) -> Response:
    """Take an order, or refuse it."""
    asked = read_order(request.body)
    refuse_used_id(world, asked.client_order_id)
    order = make_order(world, asked)
    check_order(world, asked, order.legs)
    order.script = list(_SCRIPTS.get(world.faults.meeting, ())) if world.faults.meeting else []
    world.books.orders.append(order)
    return Response(json=order_json(order))


def listing(request: Request, world: World) -> Response:
    """List orders: by status, symbols and side, submitted after or until, newest first unless told."""
    step_scripts(world, world.books.open_orders)
    limit = _limit(request)
    status = _one_of(request, "status", ("open", "closed", "all"))
    newest_first = _one_of(request, "direction", ("desc", "asc")) == "desc"
    nested = (request.param("nested") or "false").lower() == "true"
    after, until = _time(request, "after"), _time(request, "until")
    symbols = {one for text in request.params.get("symbols", ()) for one in text.split(",") if one}
    side = request.param("side")
    found = [
        order
        for order in world.books.orders
        if (status == "all" or order.is_open is (status == "open"))
        and (after is None or order.created_at > after)
        and (until is None or order.created_at < until)
        and (not symbols or any(leg.symbol in symbols for leg in order.legs))
        and (side is None or any(leg.buys is (side == "buy") for leg in order.legs))
    ]
    shown = (found[::-1] if newest_first else found)[:limit]
    return Response(json=[one for order in shown for one in _told(order, nested=nested)])


def by_id(request: Request, world: World) -> Response:
    """Tell one order."""
    return _tell(world, lambda order: order.id == request.args["order_id"], request.args["order_id"])


def by_client_order_id(request: Request, world: World) -> Response:
    """Tell one order by the id that its client gave it."""
    wanted = request.param("client_order_id")
    if not wanted:
        raise malformed("client_order_id is required")  # [client] TradingClient.get_order_by_client_id
    return _tell(world, lambda order: order.client_order_id == wanted, wanted)


def cancel(request: Request, world: World) -> Response:
    """Cancel an order: 204 is a promise, what came of it is asked for; 422 where it is over."""
    order = _found(world, lambda order: order.id == request.args["order_id"], request.args["order_id"])
    step_scripts(world, [order])
    _cancel(world, order)
    return Response(status=204)


def cancel_all(request: Request, world: World) -> Response:
    """Cancel every open order, and tell of each."""
    del request
    orders = world.books.open_orders
    for order in orders:
        _cancel(world, order)
    return Response(status=207, json=[{"id": order.id, "status": 200} for order in orders])


def make_order(world: World, asked: AskedOrder, *, without: Order | None = None) -> Order:
    """Return an order as it is accepted; raises `RefusedError` for contracts that are none."""
    order_id = world.books.next_order_id()
    legs: list[Leg] = []
    for number, one in enumerate(asked.legs):
        if one.symbol not in SYMBOLS or asked.is_multi_leg:
            terms_of(world, one.symbol)
        leg_id = stable_id(world.seed, order_id, number) if asked.is_multi_leg else order_id
        legs.append(
            Leg(
                id=leg_id,
                client_order_id=stable_id(world.seed, leg_id) if asked.is_multi_leg else asked.client_order_id,
                symbol=one.symbol,
                buys=one.buys,
                ratio=one.ratio,
                intent=intent_of(world, one, without=without),
            )
        )
    today = world.now.astimezone(NEW_YORK).date()
    late = not calendar.is_session(today) or world.now >= calendar.session_close(today)
    return Order(
        id=order_id,
        client_order_id=asked.client_order_id,
        is_multi_leg=asked.is_multi_leg,
        legs=tuple(legs),
        units=asked.units,
        limit_cents=asked.net_limit_cents,
        status=Status.PENDING_NEW if is_open(world.now) and not late else Status.ACCEPTED,
        created_at=world.now,
        updated_at=world.now,
        expires_at=calendar.session_close(calendar.next_session(today) if late else today),
    )


def refuse_used_id(world: World, client_order_id: str) -> None:
    """Refuse an id that an order has had: 422, code 40010001, as the vendor words it (github.com/alpacahq/alpaca-py
    issue 260)."""
    if any(order.client_order_id == client_order_id for order in world.books.orders):
        raise malformed("client_order_id must be unique")


def _cancel(world: World, order: Order) -> None:
    if not order.is_open or order.status is Status.PENDING_CANCEL:
        # Code and words as in github.com/bennycode/trading-signals pull request 1079.
        raise invalid(f'order is already in "{order.status.value}" state')
    fault = world.faults.meeting
    if fault in {Fault.CANCEL_FILL_RACE, Fault.SLOW_CANCEL}:
        order.status, order.updated_at = Status.PENDING_CANCEL, world.now
        if fault is Fault.SLOW_CANCEL:
            order.cancels_at = world.now + SLOW_CANCEL
        else:
            order.script = list(_SCRIPTS[Fault.CANCEL_FILL_RACE])
        return
    order.end(Status.CANCELED, world.now)


def _tell(world: World, is_it: Callable[[Order], bool], name: str) -> Response:
    order = _found(world, is_it, name)
    step_scripts(world, [order])
    return Response(json=order_json(order))


def _found(world: World, is_it: Callable[[Order], bool], name: str) -> Order:
    order = next((order for order in reversed(world.books.orders) if is_it(order)), None)
    if order is None:
        # [orders] 404 for an id that is none of the account's; code and words as for accounts and assets.
        raise RefusedError(404, 40410000, f"order not found for {name}")
    return order


def _told(order: Order, *, nested: bool) -> list[dict[str, Any]]:
    """Return an order with its legs under it, or flat: itself, then its legs."""
    if nested or not order.is_multi_leg:
        return [order_json(order)]
    return [order_json(order, nested=False), *legs_json(order)]


def _limit(request: Request) -> int:
    text = request.param("limit") or str(_USUAL)
    if not text.isdigit() or not 1 <= int(text) <= _MOST:  # [client] GetOrdersRequest.limit
        raise invalid(f"limit must be between 1 and {_MOST}")
    return int(text)


def _one_of(request: Request, name: str, values: tuple[str, ...]) -> str:
    value = request.param(name) or values[0]
    if value not in values:
        raise invalid(f"{name} must be one of {', '.join(values)}")  # [client] QueryOrderStatus, Sort
    return value


def _time(request: Request, name: str) -> Any:
    text = request.param(name)
    try:
        return None if text is None else parse_time(text)
    except ValueError as error:
        raise invalid(f"invalid {name}: {text}") from error  # [client] GetOrdersRequest: times


def looking(handler: Callable[[Request, World], Response]) -> Callable[[Request, World], Response]:
    """Return a handler that lets open orders meet the market first, as they would have by the time that it answers."""

    def looked(request: Request, world: World) -> Response:
        look(world)
        return handler(request, world)

    return looked


ROUTES = (
    Route(method="POST", path="/v2/orders", handler=looking(submit)),
    Route(method="GET", path="/v2/orders", handler=looking(listing)),
    Route(method="GET", path="/v2/orders:by_client_order_id", handler=looking(by_client_order_id)),
    Route(method="GET", path="/v2/orders/{order_id}", handler=looking(by_id)),
    Route(method="DELETE", path="/v2/orders/{order_id}", handler=looking(cancel)),
    Route(method="DELETE", path="/v2/orders", handler=looking(cancel_all)),
)
