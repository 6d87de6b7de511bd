"""The fake Alpaca's market data, option bars: what contracts traded at in the past, from which volatilities are solved.

A bar's prices are the middles of the quotes at the ends of its interval; a contract without volume has no bar.
"""

import datetime as dt
from collections.abc import Iterable
from functools import lru_cache

import numpy as np

from mahler_agents.market import calendar
from mahler_agents.market.occ import parse_symbol
from mahler_agents.market.sample.listing import is_listed
from mahler_agents.market.sample.world import FIRST_DATE, INDEX, LAST_DATE
from mahler_agents.testing.fake_alpaca.http import Request, Response, Route
from mahler_agents.testing.fake_alpaca.market_data import board
from mahler_agents.testing.fake_alpaca.market_data.bar_pages import page_of_bars
from mahler_agents.testing.fake_alpaca.market_data.bars import Bar
from mahler_agents.testing.fake_alpaca.market_data.chains import has
from mahler_agents.testing.fake_alpaca.market_data.horizon import (
    NO_OPRA,
    history_until,
    last_instant,
    midnight,
    session_date,
)
from mahler_agents.testing.fake_alpaca.market_data.query import OPTION, Query
from mahler_agents.testing.fake_alpaca.market_data.snapshots import MOST_SYMBOLS, TRADE_SIZE
from mahler_agents.testing.fake_alpaca.market_data.timeframe import Interval, Timeframe, sessions_between
from mahler_agents.testing.fake_alpaca.world import World


def option_bars(request: Request, world: World) -> Response:
    """Answer with a page of the bars of contracts by their symbols."""
    query = Query(request, ("symbols", "timeframe", "start", "end", "limit", "page_token", "sort"))
    symbols = query.symbols("symbols", OPTION, most=MOST_SYMBOLS)
    timeframe = Timeframe.read(query)
    delayed = not world.settings.market_data.real_time_data
    until = history_until(world, query.instant("end"), delayed=delayed, refusal=NO_OPRA)
    start = query.instant("start") or midnight(session_date(until))
    found: dict[str, list[Bar]] = {}
    if start <= until:
        for underlying in INDEX:
            mine = tuple(symbol for symbol in symbols if parse_symbol(symbol).underlying == underlying)
            if mine and has(world, underlying):
                found |= _bars(world, mine, timeframe, start, until)
    return page_of_bars(query, world, found)


def _bars(
    world: World, symbols: tuple[str, ...], timeframe: Timeframe, start: dt.datetime, until: dt.datetime
) -> dict[str, list[Bar]]:
    """Return the bars dated `start` to `until` of contracts of one underlying; what is later is not in the last one."""
    first = timeframe.start_of(max(session_date(start), FIRST_DATE))
    found: dict[str, list[Bar]] = {symbol: [] for symbol in symbols}
    for date in sessions_between(first, until, earliest=FIRST_DATE, latest=LAST_DATE):
        listed = tuple(symbol for symbol in symbols if is_listed(parse_symbol(symbol), date))
        if not listed:
            continue
        if timeframe.is_intraday or date == session_date(last_instant(world.now)):
            wanted = [one for one in timeframe.intervals(date) if start <= one.start <= until]
            told = _running(world, listed, date, wanted)
        else:
            opening = timeframe.start_of(date)
            told = _passed(world.seed, listed, date, opening) if start <= opening <= until else ()
        for symbol, bar in told:
            _add(found[symbol], bar)
    return {symbol: bars for symbol, bars in found.items() if bars}


def _passed(seed: int, listed: tuple[str, ...], date: dt.date, opening: dt.datetime) -> Iterable[tuple[str, Bar]]:
    """Yield each contract's bar of a whole session, dated as part of a day, week or month."""
    tape = _tape(seed, listed, date)
    columns = zip(listed, tape.open.tolist(), tape.close.tolist(), tape.volume.tolist(), strict=True)
    for symbol, opened, closed, count in columns:
        if count > 0:
            yield symbol, Bar.of(opening, (opened, closed), count, mean_size=TRADE_SIZE)


@lru_cache(maxsize=512)
def _tape(seed: int, listed: tuple[str, ...], date: dt.date) -> board.Tape:
    return board.tape(seed, board.some_contracts(listed), date)


def _running(
    world: World, listed: tuple[str, ...], date: dt.date, intervals: Iterable[Interval]
) -> Iterable[tuple[str, Bar]]:
    """Yield each contract's bars of parts of a session, up to the last instant that may be seen."""
    seen = last_instant(_visible(world))
    columns = board.some_contracts(listed)
    volume = _whole_volume(world, listed, date)
    hours = calendar.session(date)
    for interval in intervals:
        last = min(interval.last, seen)
        if last <= interval.first:
            return
        shares = [(at - hours.open) / (hours.close - hours.open) for at in (interval.first, last)]
        traded = np.floor(shares[1] * volume) - np.floor(shares[0] * volume)
        prices = (board.mids(world.seed, columns, at).tolist() for at in (interval.first, last))
        for symbol, opened, closed, count in zip(listed, *prices, traded.tolist(), strict=True):
            if count > 0:
                yield symbol, Bar.of(interval.start, (opened, closed), count, mean_size=TRADE_SIZE)


def _visible(world: World) -> dt.datetime:
    return history_until(world, None, delayed=not world.settings.market_data.real_time_data, refusal=NO_OPRA)


def _whole_volume(world: World, listed: tuple[str, ...], date: dt.date) -> board.Floats:
    """Return a session's volumes: as it runs those of that day, once it has passed those that are told the next."""
    if date == session_date(last_instant(world.now)):
        return board.tape_until(world.seed, board.some_contracts(listed), calendar.session_close(date)).volume
    return _tape(world.seed, listed, date).volume


def _add(bars: list[Bar], bar: Bar) -> None:
    """Append a bar, or join it to the last one if that is of the same week or month."""
    if bars and bars[-1].start == bar.start:
        bars[-1] = bars[-1].joined(bar)
    else:
        bars.append(bar)


ROUTES = (Route(method="GET", path="/v1beta1/options/bars", handler=option_bars),)
