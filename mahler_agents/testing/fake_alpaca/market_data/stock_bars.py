"""The fake Alpaca's market data, stock bars: the underlyings' past prices, the session that runs among them.

The newest daily bar of a session that runs is not complete, and pages begin with the oldest bars: as the vendor's do.
"""

import datetime as dt
from functools import lru_cache
from itertools import groupby

import numpy as np

from mahler_agents.market import calendar
from mahler_agents.market.sample.paths import GRID_MINUTES, simulate_paths
from mahler_agents.market.sample.surface import Floats
from mahler_agents.market.sample.world import HISTORY_START, INDEX, INSTRUMENTS, LAST_DATE, ex_dates
from mahler_agents.testing.fake_alpaca.http import Request, Response, Route
from mahler_agents.testing.fake_alpaca.market_data.bar_pages import page_of_bars
from mahler_agents.testing.fake_alpaca.market_data.bars import Bar
from mahler_agents.testing.fake_alpaca.market_data.chains import has
from mahler_agents.testing.fake_alpaca.market_data.horizon import (
    NO_SIP,
    history_until,
    last_instant,
    midnight,
    session_date,
)
from mahler_agents.testing.fake_alpaca.market_data.query import STOCK, Query
from mahler_agents.testing.fake_alpaca.market_data.timeframe import Interval, Timeframe, sessions_between
from mahler_agents.testing.fake_alpaca.world import World

TRADE_SIZE = 100
"""Shares in a mean trade."""
FEEDS = ("sip", "iex", "boats", "otc")
_ADJUSTMENTS = frozenset({"raw", "split", "dividend", "spin-off", "all"})
_GRID = dt.timedelta(minutes=GRID_MINUTES)


def stock_bars(request: Request, world: World) -> Response:
    """Answer with a page of the bars of stocks by their symbols."""
    query = Query(
        request,
        (
            "symbols",
            "timeframe",
            "start",
            "end",
            "limit",
            "adjustment",
            "asof",
            "feed",
            "currency",
            "page_token",
            "sort",
        ),
    )
    symbols = query.symbols("symbols", STOCK)
    timeframe = Timeframe.read(query)
    query.one_of("currency", ("USD",), "USD")
    if query.text("asof") != "-":
        query.date("asof")
    for_dividends = _for_dividends(query)
    delayed = query.one_of("feed", FEEDS, "sip") == "sip" and not world.settings.market_data.real_time_data
    until = history_until(world, query.instant("end"), delayed=delayed, refusal=NO_SIP)
    seen = last_instant(history_until(world, None, delayed=delayed, refusal=NO_SIP))
    start = query.instant("start") or midnight(session_date(until))
    found: dict[str, list[Bar]] = {}
    for symbol in symbols:
        if has(world, symbol) and start <= until:
            bars = _bars(world, symbol, timeframe, start=start, until=until, seen=seen)
            found[symbol] = _without_dividends(world, symbol, bars) if for_dividends else bars
    return page_of_bars(query, world, found)


def _for_dividends(query: Query) -> bool:
    """Return whether prices are to be adjusted for dividends: the sample's shares never split."""
    given = set((query.text("adjustment") or "raw").split(","))
    if unknown := given - _ADJUSTMENTS:
        query.refuse(f"invalid adjustment: {', '.join(sorted(unknown))}")
    return bool(given & {"dividend", "all"})


def _bars(
    world: World, symbol: str, timeframe: Timeframe, *, start: dt.datetime, until: dt.datetime, seen: dt.datetime
) -> list[Bar]:
    """Return the bars dated `start` to `until`, whole ones and the one that runs; nothing in them is after `seen`."""
    first = timeframe.start_of(max(session_date(start), HISTORY_START))
    dates = sessions_between(first, min(until, seen), earliest=HISTORY_START, latest=LAST_DATE)
    pieces = [bar for date in dates for bar in session_bars(world, symbol, timeframe, date, seen)]
    wanted = (bar for bar in pieces if start <= bar.start <= until)
    return [_joined(list(same)) for _, same in groupby(wanted, key=lambda bar: bar.start)]


def _joined(pieces: list[Bar]) -> Bar:
    bar = pieces[0]
    for later in pieces[1:]:
        bar = bar.joined(later)
    return bar


def session_bars(world: World, symbol: str, timeframe: Timeframe, date: dt.date, seen: dt.datetime) -> list[Bar]:
    """Return one stock's bars of a session as far as it has been seen; a week's or month's is that session's part."""
    if not timeframe.is_intraday and calendar.session_close(date) <= seen:
        return [_whole_sessions(world.seed, INDEX[symbol], timeframe)[date]]
    bars = (_bar(world.seed, INDEX[symbol], date, one, seen) for one in timeframe.intervals(date))
    return [bar for bar in bars if bar is not None]


@lru_cache(maxsize=16)
def _whole_sessions(seed: int, index: int, timeframe: Timeframe) -> dict[dt.date, Bar]:
    """Return a stock's bars of all sessions: open, high, low and close of the sample's grid of 5 minutes."""
    paths = simulate_paths(seed)
    prices = np.exp(paths.log_price[:, :, index]).round(2)
    columns = zip(
        paths.dates,
        prices[:, 0].tolist(),
        prices.max(axis=1).tolist(),
        prices.min(axis=1).tolist(),
        prices[:, -1].tolist(),
        paths.share_volume[:, index].tolist(),
        strict=True,
    )
    return {
        date: Bar(
            start=timeframe.start_of(date),
            open=opened,
            high=high,
            low=low,
            close=closed,
            volume=int(volume),
            mean_size=TRADE_SIZE,
        )
        for date, opened, high, low, closed, volume in columns
    }


def _bar(seed: int, index: int, date: dt.date, interval: Interval, seen: dt.datetime) -> Bar | None:
    """Return the bar of one interval of a session as far as it has been seen, None if nothing traded in it."""
    hours = calendar.session(date)
    first, last = (min(at, seen) - hours.open for at in (interval.first, interval.last))
    row = simulate_paths(seed).rows[date]
    length = hours.close - hours.open
    whole = float(simulate_paths(seed).share_volume[row, index])
    volume = int(last / length * whole) - int(first / length * whole)
    if volume <= 0:
        return None
    prices = _prices(simulate_paths(seed).log_price[row, :, index], first / _GRID, last / _GRID)
    return Bar.of(interval.start, prices, volume, mean_size=TRADE_SIZE)


def _prices(log_price: Floats, first: float, last: float) -> list[float]:
    """Return the prices from one place on the grid to another: both, straight lines between, and the points inside."""
    inside = np.arange(np.floor(first) + 1, np.ceil(last))
    places = np.concatenate([[first], inside, [last]])
    return np.exp(np.interp(places, np.arange(len(log_price)), log_price)).round(2).tolist()


def _without_dividends(world: World, symbol: str, bars: list[Bar]) -> list[Bar]:
    """Return bars whose prices before each ex-date are less by what the dividend was of the close before it.

    Source: the vendor's adjustment `dividend`, which is proportional (CRSP's method).
    """
    dividend = INSTRUMENTS[INDEX[symbol]].dividend
    today = session_date(world.now)
    closes = _whole_sessions(world.seed, INDEX[symbol], Timeframe(amount=1, unit="D"))
    factors = [
        (midnight(day), 1.0 - dividend / closes[calendar.previous_session(day)].close)
        for day in ex_dates(INDEX[symbol])
        if HISTORY_START < day <= today and dividend > 0
    ]
    return [bar.scaled(float(np.prod([factor for day, factor in factors if day > bar.start]))) for bar in bars]


ROUTES = (Route(method="GET", path="/v2/stocks/bars", handler=stock_bars),)
