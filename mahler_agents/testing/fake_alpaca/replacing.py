"""The fake Alpaca's replacing of orders: a PATCH makes another order for what is left, and the old one is over.

The tags of the sources are those of `order_fields`; of [overview] it is the section "Replace", of [client] the class
`ReplaceOrderRequest`.
"""

from typing import Any

from mahler_agents.testing.fake_alpaca.http import RefusedError, Request, Response, Route
from mahler_agents.testing.fake_alpaca.order_fields import (
    AskedLeg,
    AskedOrder,
    decimal,
    invalid,
    malformed,
    price,
    read_client_order_id,
    whole,
)
from mahler_agents.testing.fake_alpaca.order_routes import looking, make_order, refuse_used_id
from mahler_agents.testing.fake_alpaca.order_rules import check_order
from mahler_agents.testing.fake_alpaca.orders import Order, Status
from mahler_agents.testing.fake_alpaca.wire import order_json
from mahler_agents.testing.fake_alpaca.world import World

_FIELDS = frozenset({"qty", "time_in_force", "limit_price", "stop_price", "trail", "client_order_id"})
_REPLACEABLE = frozenset({Status.NEW, Status.PARTIALLY_FILLED, Status.ACCEPTED})


def replace_order(request: Request, world: World) -> Response:
    """Replace an order; the answer is the new one."""
    wanted = request.args["order_id"]
    old = next((order for order in world.books.orders if order.id == wanted), None)
    if old is None:
        raise RefusedError(404, 40410000, f"order not found for {wanted}")  # [orders]
    if old.status is Status.REPLACED:
        raise invalid("order already replaced")  # [overview]
    if old.status not in _REPLACEABLE or old.script:
        raise invalid(f"cannot replace order in {old.status.value} status")  # [overview]
    asked = _asked(request.body, old)
    refuse_used_id(world, asked.client_order_id)
    new = make_order(world, asked, without=old)
    check_order(world, asked, new.legs, replaced=old)
    new.replaces, old.replaced_by = old.id, new.id
    old.end(Status.REPLACED, world.now)
    world.books.orders.append(new)
    return Response(json=order_json(new))


def _asked(body: Any, old: Order) -> AskedOrder:
    if not isinstance(body, dict):
        raise malformed("request body must be an object")  # [client]
    if unknown := sorted(set(body) - _FIELDS):
        raise malformed(f"unknown field {unknown[0]}")  # [ours], as where an order is placed
    if body.get("time_in_force", "day") != "day" or "stop_price" in body or "trail" in body:
        # [overview] An option order is good for the day and has neither a stop nor a trail.
        raise invalid("only qty, limit_price and client_order_id of an option order can be changed")
    units = whole(body["qty"], "qty") if "qty" in body else old.units
    if units <= old.filled:
        raise invalid("qty must be > filled_qty")  # [overview]
    if "limit_price" in body and old.limit_cents is None:
        raise invalid("limit price is only valid for limit orders")  # [overview]
    asked = AskedOrder(
        client_order_id=read_client_order_id(body),
        is_multi_leg=old.is_multi_leg,
        legs=tuple(AskedLeg(symbol=leg.symbol, buys=leg.buys, ratio=leg.ratio, intent=leg.intent) for leg in old.legs),
        units=units - old.filled,
        limit=price(body["limit_price"]) if "limit_price" in body else _limit(old),
    )
    if (units, asked.net_limit_cents) == (old.units, old.limit_cents):
        # Code and words as in github.com/alpacahq/alpaca-py issue 412.
        raise invalid("order parameters are not changed")
    return asked


def _limit(old: Order) -> Any:
    if old.limit_cents is None:
        return None
    cents = old.limit_cents if old.is_multi_leg else abs(old.limit_cents)
    return decimal(cents, "limit_price") / 100


ROUTES = (Route(method="PATCH", path="/v2/orders/{order_id}", handler=looking(replace_order)),)
