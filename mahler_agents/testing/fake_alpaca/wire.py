"""The fake Alpaca's JSON: orders, positions and activities as the vendor writes and alpaca-py's models read them."""

import datetime as dt
from collections.abc import Mapping
from typing import Any

from mahler_agents.market.sample.world import SYMBOLS
from mahler_agents.testing.fake_alpaca.books import Activity, Holding, dollars, number, wire_time
from mahler_agents.testing.fake_alpaca.orders import Leg, Order, Status
from mahler_agents.testing.fake_alpaca.stable_id import stable_id
from mahler_agents.testing.fake_alpaca.valuation import value_cents
from mahler_agents.testing.fake_alpaca.world import World

_EXCHANGES = {"QQQ": "NASDAQ", "TLT": "NASDAQ"}


def asset_id(symbol: str) -> str:
    """Return the vendor's id of shares or of a contract: the one that the contracts' own routes tell."""
    return stable_id("asset" if symbol in SYMBOLS else "option contract", symbol)


def order_json(order: Order, *, nested: bool = True) -> dict[str, Any]:
    """Return an order; a multi-leg one with its legs, unless they are told by themselves."""
    common = _common(order)
    if not order.is_multi_leg:
        leg = order.legs[0]
        return {
            **common,
            "id": order.id,
            "client_order_id": order.client_order_id,
            **_asset(leg),
            "qty": str(order.units),
            "filled_qty": str(order.filled),
            "filled_avg_price": _mean(order.mean_cents(0)),
            "order_class": "simple",
            "side": "buy" if leg.buys else "sell",
            "position_intent": leg.intent or None,
            "legs": None,
        }
    return {
        **common,
        "id": order.id,
        "client_order_id": order.client_order_id,
        "asset_id": "",
        "symbol": "",
        "asset_class": "",
        "qty": str(order.units),
        "filled_qty": str(order.filled),
        "filled_avg_price": _mean(order.mean_cents()),
        "order_class": "mleg",
        "side": "",
        "legs": legs_json(order) if nested else None,
    }


def legs_json(order: Order) -> list[dict[str, Any]]:
    """Return the legs of a multi-leg order, each an order of its own."""
    return [
        {
            **_common(order),
            "id": leg.id,
            "client_order_id": leg.client_order_id,
            **_asset(leg),
            "qty": str(order.units * leg.ratio),
            "filled_qty": str(order.filled * leg.ratio),
            "filled_avg_price": _mean(order.mean_cents(place)),
            "order_class": "mleg",
            "order_type": "",
            "type": "",
            "side": "buy" if leg.buys else "sell",
            "position_intent": leg.intent,
            "ratio_qty": str(leg.ratio),
            "limit_price": None,
            "legs": None,
        }
        for place, leg in enumerate(order.legs)
    ]


def position_json(world: World, symbol: str, holding: Holding, mark: float, mark_before: float) -> dict[str, Any]:
    """Return a position at its mark and at that of the session before, cents per share."""
    worth, cost = value_cents(holding, mark), holding.cost_cents
    is_long = holding.count > 0
    intraday = worth - value_cents(holding, mark_before)
    return {
        "asset_id": asset_id(symbol),
        "symbol": symbol,
        "exchange": "" if holding.shares > 1 else _EXCHANGES.get(symbol, "ARCA"),
        "asset_class": "us_option" if holding.shares > 1 else "us_equity",
        "asset_marginable": True,
        "qty": str(holding.count),
        "avg_entry_price": dollars(cost / holding.count / holding.shares),
        "side": "long" if is_long else "short",
        "market_value": dollars(worth),
        "cost_basis": dollars(cost),
        "unrealized_pl": dollars(worth - cost),
        "unrealized_plpc": number((worth - cost) / abs(cost)) if cost else "0",
        "unrealized_intraday_pl": dollars(intraday),
        "unrealized_intraday_plpc": number(mark / mark_before - 1) if mark_before else "0",
        "current_price": dollars(mark),
        "lastday_price": dollars(mark_before),
        "change_today": number(mark / mark_before - 1) if mark_before else "0",
        "qty_available": str(holding.count - _in_orders(world, symbol)),
    }


def activity_json(world: World, activity: Activity) -> dict[str, Any]:
    """Return an activity."""
    return {
        "id": activity.id,
        "account_id": world.books.account_id,
        "activity_type": activity.kind,
        **activity.facts,
    }


def asset_json(world: World, symbol: str) -> dict[str, Any]:
    """Return one of the underlyings."""
    return {
        "id": asset_id(symbol),
        "class": "us_equity",
        "exchange": _EXCHANGES.get(symbol, "ARCA"),
        "symbol": symbol,
        "name": f"{symbol} (synthetic, {world.market.world})",
        "status": "active",
        "tradable": True,
        "marginable": True,
        "shortable": True,
        "easy_to_borrow": True,
        "fractionable": False,
        "attributes": ["has_options"],
    }


def _common(order: Order) -> dict[str, Any]:
    status = order.status
    ended = None if order.ended_at is None else wire_time(order.ended_at)
    return {
        "created_at": wire_time(order.created_at),
        "updated_at": wire_time(order.updated_at),
        "submitted_at": wire_time(order.created_at),
        "filled_at": ended if status is Status.FILLED else None,
        "expired_at": ended if status is Status.EXPIRED else None,
        "expires_at": wire_time(order.expires_at),
        "canceled_at": ended if status is Status.CANCELED else None,
        "failed_at": ended if status is Status.REJECTED else None,
        "replaced_at": ended if status is Status.REPLACED else None,
        "replaced_by": order.replaced_by,
        "replaces": order.replaces,
        "notional": None,
        "order_type": "market" if order.limit_cents is None else "limit",
        "type": "market" if order.limit_cents is None else "limit",
        "time_in_force": "day",
        "limit_price": _limit(order),
        "stop_price": None,
        "status": status.value,
        "extended_hours": False,
        "trail_percent": None,
        "trail_price": None,
        "hwm": None,
        "commission": dollars(sum(execution.commission_cents for execution in order.executions)),
        "source": None,
        "subtag": None,
    }


def _limit(order: Order) -> str | None:
    if order.limit_cents is None:
        return None
    return dollars(order.limit_cents if order.is_multi_leg else abs(order.limit_cents))


def _mean(cents: float | None) -> str | None:
    return None if cents is None else dollars(cents)


def _asset(leg: Leg) -> Mapping[str, str]:
    kind = "us_equity" if leg.symbol in SYMBOLS else "us_option"
    return {"asset_id": asset_id(leg.symbol), "symbol": leg.symbol, "asset_class": kind}


def _in_orders(world: World, symbol: str) -> int:
    """Return how many of a position open orders close, of its sign."""
    return -sum(
        order.left * leg.signed_ratio
        for order in world.books.open_orders
        for leg in order.legs
        if leg.symbol == symbol and (leg.closes or (not leg.is_option and not leg.buys))
    )


def parse_time(text: str) -> dt.datetime:
    """Return the instant of an ISO time or date, UTC where it names no zone; raises `ValueError`."""
    found = dt.datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=dt.UTC)
