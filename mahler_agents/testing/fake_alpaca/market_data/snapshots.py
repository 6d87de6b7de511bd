"""The fake Alpaca's market data, snapshots: option chains, and the latest quotes and trades of option contracts.

Shapes: schemas `option_snapshot`, `option_quote`, `option_trade`, `option_greeks` of *Market Data API* 1.1. What a feed
does not know is left out, or null: alpaca-py's models take the first and raise for a greek that is null.
"""

import datetime as dt
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mahler_agents.market import calendar
from mahler_agents.testing.fake_alpaca.http import Request, Response, Route
from mahler_agents.testing.fake_alpaca.market_data import board
from mahler_agents.testing.fake_alpaca.market_data.bars import Bar
from mahler_agents.testing.fake_alpaca.market_data.chains import (
    Figures,
    Listing,
    chain_listing,
    figures,
    has,
    named_listing,
)
from mahler_agents.testing.fake_alpaca.market_data.filters import FILTERS, filtered
from mahler_agents.testing.fake_alpaca.market_data.horizon import (
    last_instant,
    midnight,
    option_feed,
    option_trades_until,
    session_date,
    stamp,
)
from mahler_agents.testing.fake_alpaca.market_data.query import OPTION, STOCK, Query, token
from mahler_agents.testing.fake_alpaca.world import World

MOST_SYMBOLS = 100
MOST_SNAPSHOTS, SNAPSHOTS = 1000, 100
FEEDS = ("opra", "indicative")
TRADE_SIZE = 4
"""Contracts in a mean trade."""
_EXCHANGES = "ABCDHIMNOPQUWXZ"
_GREEKS = ("delta", "gamma", "rho", "theta", "vega")


def chain_snapshots(request: Request, world: World) -> Response:
    """Answer with a page of an underlying's chain, in the order of symbols."""
    query = Query(request, ("feed", "limit", "page_token", "updated_since", *FILTERS))
    underlying = request.args["underlying_symbol"]
    if not STOCK.fullmatch(underlying):
        query.refuse(f"invalid underlying symbol: {underlying}")
    traded_until = _traded_until(query, world)
    if not has(world, underlying):
        return _page(query, world, traded_until, [])
    listing = chain_listing(world, underlying, session_date(last_instant(world.now)))
    mask = filtered(query, listing, underlying)
    return _page(query, world, traded_until, [(listing, mask)])


def named_snapshots(request: Request, world: World) -> Response:
    """Answer with a page of the snapshots of contracts by their symbols."""
    query = Query(request, ("symbols", "feed", "limit", "page_token", "updated_since"))
    found = named_listing(world, _symbols(query), session_date(last_instant(world.now)))
    return _page(query, world, _traded_until(query, world), [(one, np.ones(len(one), np.bool_)) for one in found])


def latest_quotes(request: Request, world: World) -> Response:
    """Answer with the latest quotes of contracts by their symbols; one without a market is left out."""
    query = Query(request, ("symbols", "feed"))
    symbols = _symbols(query)
    _traded_until(query, world)
    at = last_instant(world.now)
    quotes = {
        symbol: quote
        for listing in named_listing(world, symbols, session_date(at))
        for symbol, quote in zip(listing.symbol.tolist(), quotes_of(world.seed, listing, at), strict=True)
    }
    return Response(json={"quotes": dict(sorted(quotes.items()))})


def latest_trades(request: Request, world: World) -> Response:
    """Answer with the latest trades of contracts by their symbols; one without any is left out."""
    query = Query(request, ("symbols", "feed"))
    symbols = _symbols(query)
    traded_until = _traded_until(query, world)
    trades: dict[str, Any] = {}
    for listing in named_listing(world, symbols, session_date(last_instant(world.now))):
        shown = snapshots_of(world, listing, figures(world, listing, traded_until), np.arange(len(listing)))
        trades |= {symbol: snapshot["latestTrade"] for symbol, snapshot in shown if "latestTrade" in snapshot}
    return Response(json={"trades": dict(sorted(trades.items()))})


def _symbols(query: Query) -> tuple[str, ...]:
    return query.symbols("symbols", OPTION, most=MOST_SYMBOLS)


def _traded_until(query: Query, world: World) -> dt.datetime:
    return option_trades_until(world, query.one_of("feed", FEEDS, option_feed(world, None)))


def _page(
    query: Query, world: World, traded_until: dt.datetime, found: list[tuple[Listing, NDArray[np.bool_]]]
) -> Response:
    """Answer with the snapshots after the page token, as many as the limit allows."""
    limit = min(
        query.count("limit", default=SNAPSHOTS, most=MOST_SNAPSHOTS),
        world.settings.market_data.page_cap or MOST_SNAPSHOTS,
    )
    after, since = query.page_token() or "", query.instant("updated_since")
    shown: list[tuple[str, dict[str, Any]]] = []
    for listing, mask in found:
        what = figures(world, listing, traded_until)
        wanted = mask & (listing.symbol > after)
        if since is not None:
            wanted &= what.ticks.age_seconds <= (what.ticks.at - since).total_seconds()
        rows = np.flatnonzero(wanted)[: limit + 1]
        shown += snapshots_of(world, listing, what, rows)
    shown.sort(key=lambda pair: pair[0])
    page = shown[:limit]
    following = token(page[-1][0]) if len(shown) > limit else None
    return Response(json={"snapshots": dict(page), "next_page_token": following})


def quotes_of(seed: int, listing: Listing, at: dt.datetime) -> list[dict[str, Any]]:
    """Return the quotes of a listing at an instant, as the vendor writes them."""
    return _quotes(listing, board.ticks(seed, listing.contracts, at), np.arange(len(listing)))


def _quotes(listing: Listing, ticks: board.Ticks, rows: NDArray[np.intp]) -> list[dict[str, Any]]:
    key = listing.contracts.identity[rows] ^ np.uint64(int(ticks.at.timestamp()) // 300)
    columns = zip(
        ticks.bid[rows].tolist(), ticks.ask[rows].tolist(), ticks.age_seconds[rows].tolist(), key.tolist(), strict=True
    )
    return [
        {
            "t": stamp(ticks.at - dt.timedelta(seconds=age)),
            "bp": bid,
            "bs": 1 + key * 7 % 250 if bid > 0 else 0,
            "bx": _EXCHANGES[key % len(_EXCHANGES)],
            "ap": ask,
            "as": 1 + key * 11 % 250,
            "ax": _EXCHANGES[key // 7 % len(_EXCHANGES)],
            "c": "A",
        }
        for bid, ask, age, key in columns
    ]


def snapshots_of(
    world: World, listing: Listing, what: Figures, rows: NDArray[np.intp]
) -> list[tuple[str, dict[str, Any]]]:
    """Return the symbols of some rows and their snapshots, as the vendor writes them."""
    trades = list(_trades(what, rows))
    known = list(_greeks(world, listing, what, rows))
    quotes = _quotes(listing, what.ticks, rows)
    return [
        (symbol, {"latestQuote": quote, **traded, **greeks})
        for symbol, quote, traded, greeks in zip(listing.symbol[rows].tolist(), quotes, trades, known, strict=True)
    ]


def _trades(what: Figures, rows: NDArray[np.intp]) -> Iterator[dict[str, Any]]:
    """Yield the last trade and the bars of the last two sessions with trades: `dailyBar` need not be of today."""
    columns = [
        (
            midnight(tape.date),
            min(calendar.session_close(tape.date), what.traded_until),
            tape.open[rows].tolist(),
            tape.close[rows].tolist(),
            tape.volume[rows].tolist(),
        )
        for tape in what.tapes
    ]
    for row in range(len(rows)):
        days = [
            (until, Bar.of(start, (opened[row], closed[row]), volume[row], mean_size=TRADE_SIZE))
            for start, until, opened, closed, volume in columns
            if volume[row] > 0
        ]
        traded: dict[str, Any] = {}
        if days:
            until, last = days[0]
            minute = until.replace(second=0, microsecond=0)
            traded["latestTrade"] = {"t": stamp(until), "p": last.close, "s": 1, "x": "C", "c": "I"}
            traded["minuteBar"] = Bar.of(minute, (last.close,), 1).json()
            traded["dailyBar"] = last.json()
        if len(days) > 1:
            traded["prevDailyBar"] = days[1][1].json()
        yield traded


def _greeks(world: World, listing: Listing, what: Figures, rows: NDArray[np.intp]) -> Iterator[dict[str, Any]]:
    """Yield greeks and implied volatility: left out where the feed knows none, and in a share of contracts null.

    The vendor gives them apart, and any part may be missing: both left out, both null, every greek null, one greek
    null, or the volatility alone left out.
    """
    mine = board.take(listing.contracts, rows)
    share = world.settings.null_greeks
    drawn = board.draws(world.seed, mine).tolist()
    columns = [getattr(what.ticks, name)[rows].tolist() for name in ("implied_volatility", *_GREEKS)]
    for draw, volatility, *values in zip(drawn, *columns, strict=True):
        if volatility != volatility:  # noqa: PLR0124 - NaN, without a call for each of 10,000
            yield {}
            continue
        greeks: dict[str, float | None] = dict(zip(_GREEKS, values, strict=True))
        whole = {"impliedVolatility": volatility, "greeks": greeks}
        yield whole if draw >= share else _without(whole, int(5 * draw / share))


def _without(whole: dict[str, Any], way: int) -> dict[str, Any]:
    """Return greeks and volatility with something missing, in one of five ways."""
    ways: tuple[dict[str, Any], ...] = (
        {},
        {"impliedVolatility": None, "greeks": None},
        {"impliedVolatility": None, "greeks": dict.fromkeys(_GREEKS)},
        {**whole, "greeks": {**whole["greeks"], "delta": None}},
        {"greeks": whole["greeks"]},
    )
    return ways[way]


ROUTES = (
    Route(method="GET", path="/v1beta1/options/snapshots/{underlying_symbol}", handler=chain_snapshots),
    Route(method="GET", path="/v1beta1/options/snapshots", handler=named_snapshots),
    Route(method="GET", path="/v1beta1/options/quotes/latest", handler=latest_quotes),
    Route(method="GET", path="/v1beta1/options/trades/latest", handler=latest_trades),
)
