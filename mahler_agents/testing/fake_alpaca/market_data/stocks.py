"""The fake Alpaca's market data, stocks: the underlyings' latest quotes and trades, and snapshots.

Shapes: schemas `stock_quote`, `stock_trade`, `stock_snapshot` of *Market Data API* 1.1. The middle of a quote and the
price of the last trade are the sample market's price; after the close, the closing price.
"""

import datetime as dt
from collections.abc import Callable
from typing import Any

from mahler_agents.market import calendar
from mahler_agents.market.sample.moment import open_moment
from mahler_agents.market.sample.world import INDEX
from mahler_agents.testing.fake_alpaca.http import Request, Response, Route
from mahler_agents.testing.fake_alpaca.market_data.chains import has
from mahler_agents.testing.fake_alpaca.market_data.horizon import DELAY, NO_SIP, last_instant, session_date, stamp
from mahler_agents.testing.fake_alpaca.market_data.query import STOCK, DataRefusedError, Query
from mahler_agents.testing.fake_alpaca.market_data.stock_bars import session_bars
from mahler_agents.testing.fake_alpaca.market_data.timeframe import Timeframe
from mahler_agents.testing.fake_alpaca.world import World

LATEST_FEEDS = ("sip", "iex", "delayed_sip", "boats", "overnight", "otc")
_TAPES = {"QQQ": "C", "TLT": "C"}  # listed on Nasdaq; the others on NYSE Arca
_CENT = 0.01


def latest_quotes(request: Request, world: World) -> Response:
    """Answer with the latest quotes."""
    return Response(json={"quotes": _latest(request, world, quote_of)})


def latest_trades(request: Request, world: World) -> Response:
    """Answer with the latest trades."""
    return Response(json={"trades": _latest(request, world, trade_of)})


def snapshots(request: Request, world: World) -> Response:
    """Answer with snapshots, which have no key above the symbols."""
    return Response(json=_latest(request, world, snapshot_of))


def _latest(request: Request, world: World, told: Callable[[World, str, dt.datetime], Any]) -> dict[str, Any]:
    """Return what is told of each symbol that there are data of."""
    query = Query(request, ("symbols", "feed", "currency"))
    symbols = query.symbols("symbols", STOCK)
    query.one_of("currency", ("USD",), "USD")
    at = last_instant(world.now - DELAY if seen_late(query, world) else world.now)
    return {symbol: told(world, symbol, at) for symbol in symbols if has(world, symbol)}


def seen_late(query: Query, world: World) -> bool:
    """Return whether the feed is 15 minutes late; refuses the SIP to who has not subscribed."""
    real_time = world.settings.market_data.real_time_data
    feed = query.one_of("feed", LATEST_FEEDS, "sip" if real_time else "iex")
    if feed == "sip" and not real_time:
        raise DataRefusedError(403, NO_SIP)
    return feed == "delayed_sip"


def quote_of(world: World, symbol: str, at: dt.datetime) -> dict[str, Any]:
    """Return a quote as the vendor writes it, a cent around the price on each side."""
    price = _price(world, symbol, at)
    return {
        "t": stamp(at),
        "bx": "V",
        "bp": round(price - _CENT, 2),
        "bs": 200,
        "ax": "V",
        "ap": round(price + _CENT, 2),
        "as": 300,
        "c": ["R"],
        "z": _TAPES.get(symbol, "B"),
    }


def trade_of(world: World, symbol: str, at: dt.datetime) -> dict[str, Any]:
    """Return the last trade as the vendor writes it."""
    return {
        "t": stamp(at),
        "x": "V",
        "p": _price(world, symbol, at),
        "s": 100,
        "c": ["@"],
        "i": int(at.timestamp()),
        "z": _TAPES.get(symbol, "B"),
    }


def snapshot_of(world: World, symbol: str, at: dt.datetime) -> dict[str, Any]:
    """Return a snapshot as the vendor writes it; the daily bar of a session that runs ends at its last trade."""
    date = session_date(at)
    today = session_bars(world, symbol, Timeframe(amount=1, unit="D"), date, at)
    minutes = session_bars(world, symbol, Timeframe(amount=1, unit="M"), date, at)
    before = calendar.previous_session(date)
    whole = session_bars(world, symbol, Timeframe(amount=1, unit="D"), before, calendar.session_close(before))
    told = {
        "latestTrade": trade_of(world, symbol, at),
        "latestQuote": quote_of(world, symbol, at),
        "minuteBar": minutes[-1].json() if minutes else None,
        "dailyBar": (today or whole)[-1].json(),
        "prevDailyBar": whole[-1].json(),
    }
    return {name: part for name, part in told.items() if part is not None}


def _price(world: World, symbol: str, at: dt.datetime) -> float:
    return float(open_moment(world.seed, at).state.spot[INDEX[symbol]])


ROUTES = (
    Route(method="GET", path="/v2/stocks/quotes/latest", handler=latest_quotes),
    Route(method="GET", path="/v2/stocks/trades/latest", handler=latest_trades),
    Route(method="GET", path="/v2/stocks/snapshots", handler=snapshots),
)
