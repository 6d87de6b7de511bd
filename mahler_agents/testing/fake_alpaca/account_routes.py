"""The fake Alpaca's account over HTTP: money, positions, activities and the underlyings.

[activities]  docs.alpaca.markets/docs/account-activities: filters, page_size up to 100, page_token.
"""

from typing import Any

from mahler_agents.clock import NEW_YORK
from mahler_agents.market import calendar
from mahler_agents.market.sample.world import SYMBOLS
from mahler_agents.testing.fake_alpaca.books import Activity, dollars, wire_time
from mahler_agents.testing.fake_alpaca.http import RefusedError, Request, Response, Route
from mahler_agents.testing.fake_alpaca.order_fields import invalid
from mahler_agents.testing.fake_alpaca.order_routes import looking
from mahler_agents.testing.fake_alpaca.valuation import (
    equity_cents,
    held_margin_cents,
    last_open,
    marks,
    options_buying_power_cents,
    value_cents,
)
from mahler_agents.testing.fake_alpaca.wire import activity_json, asset_json, parse_time, position_json
from mahler_agents.testing.fake_alpaca.world import World

_MOST_ACTIVITIES = 100


def account(request: Request, world: World) -> Response:
    """Tell what the account has and may do."""
    del request
    books = world.books
    equity, margin, power = equity_cents(world), held_margin_cents(world), options_buying_power_cents(world)
    mids = marks(world, books.holdings)
    values = [value_cents(held, mids[symbol]) for symbol, held in books.holdings.items()]
    return Response(
        json={
            "id": books.account_id,
            "account_number": f"PA{books.account_id[:10].replace('-', '').upper()}",
            "status": "ACTIVE",
            "crypto_status": "INACTIVE",
            "currency": "USD",
            "cash": dollars(books.cash_cents),
            "accrued_fees": "0",
            "portfolio_value": dollars(equity),
            "equity": dollars(equity),
            "last_equity": dollars(books.last_equity_cents),
            "long_market_value": dollars(sum(value for value in values if value > 0)),
            "short_market_value": dollars(sum(value for value in values if value < 0)),
            "multiplier": "2",
            "buying_power": dollars(max(0, 2 * power)),
            "regt_buying_power": dollars(max(0, 2 * power)),
            "non_marginable_buying_power": dollars(max(0, power)),
            "options_buying_power": dollars(max(0, power)),
            "initial_margin": dollars(margin),
            "maintenance_margin": dollars(margin),
            "last_maintenance_margin": "0",
            "sma": "0",
            "options_approved_level": world.settings.options_level,
            "options_trading_level": world.settings.options_level,
            "trading_blocked": False,
            "transfers_blocked": False,
            "account_blocked": False,
            "trade_suspended_by_user": False,
            "shorting_enabled": True,
            "created_at": wire_time(books.opened_at),
        }
    )


def positions(request: Request, world: World) -> Response:
    """Tell every position."""
    del request
    return Response(json=_positions(world))


def position(request: Request, world: World) -> Response:
    """Tell one position."""
    found = next((one for one in _positions(world) if one["symbol"] == request.args["symbol"]), None)
    if found is None:
        # Code and words as in github.com/alpacahq/Alpaca-API issue 215.
        raise RefusedError(404, 40410000, "position does not exist")
    return Response(json=found)


def activities(request: Request, world: World) -> Response:
    """Tell the activities, newest first unless told, up to 100; `page_token` is the last id of the page before."""
    kinds = request.args.get("kind") or request.param("activity_types") or ""
    wanted = {kind for kind in kinds.split(",") if kind}
    newest_first = (request.param("direction") or "desc") == "desc"
    found = [
        one
        for one in world.books.activities
        if one.visible_from <= world.now and (not wanted or one.kind in wanted) and _is_within(request, one)
    ]
    ordered = found[::-1] if newest_first else found
    token = request.param("page_token")
    if token is not None:
        places = [place for place, one in enumerate(ordered) if one.id == token]
        if not places:
            raise invalid(f"invalid page_token: {token}")  # [activities]
        ordered = ordered[places[0] + 1 :]
    return Response(json=[activity_json(world, one) for one in ordered[: _page_size(request)]])


def asset(request: Request, world: World) -> Response:
    """Tell one of the underlyings."""
    symbol = request.args["symbol"]
    if symbol not in SYMBOLS:
        # Words as in github.com/alpacahq/Alpaca-API issue 114.
        raise RefusedError(404, 40410000, f"asset not found for {symbol}")
    return Response(json=asset_json(world, symbol))


def _positions(world: World) -> list[dict[str, Any]]:
    holdings = world.books.holdings
    today = last_open(world.now).astimezone(NEW_YORK).date()
    mids = marks(world, holdings)
    before = marks(world, holdings, calendar.session_close(calendar.previous_session(today)))
    return [
        position_json(world, symbol, held, mids[symbol], before.get(symbol, mids[symbol]))
        for symbol, held in sorted(holdings.items())
    ]


def _is_within(request: Request, activity: Activity) -> bool:
    """Return whether an activity is of the `date`, and between `after` and `until`."""
    try:
        date, after, until = (request.param(name) for name in ("date", "after", "until"))
        return (
            (date is None or activity.at.astimezone(NEW_YORK).date().isoformat() == date[:10])
            and (after is None or activity.at > parse_time(after))
            and (until is None or activity.at < parse_time(until))
        )
    except ValueError as error:
        raise invalid(str(error)) from error  # [activities]


def _page_size(request: Request) -> int:
    text = request.param("page_size") or str(_MOST_ACTIVITIES)
    if not text.isdigit() or not 1 <= int(text) <= _MOST_ACTIVITIES:
        raise invalid(f"page_size must be between 1 and {_MOST_ACTIVITIES}")  # [activities]
    return int(text)


ROUTES = (
    Route(method="GET", path="/v2/account", handler=looking(account)),
    Route(method="GET", path="/v2/account/activities", handler=looking(activities)),
    Route(method="GET", path="/v2/account/activities/{kind}", handler=looking(activities)),
    Route(method="GET", path="/v2/positions", handler=looking(positions)),
    Route(method="GET", path="/v2/positions/{symbol}", handler=looking(position)),
    Route(method="GET", path="/v2/assets/{symbol}", handler=asset),
)
