"""Below Alpaca's market, past: sessions that are over in, the options around the money at their last trades out.

Alpaca has bars of options since February 2024. A bar's close is its last trade, which may be hours before the shares'
close: a volatility from it is rougher than one from quotes.
"""

import datetime as dt
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from itertools import groupby

from mahler_agents.errors import InputError
from mahler_agents.market.alpaca.fetch import Fetch
from mahler_agents.market.calendar import session_close
from mahler_agents.market.occ import ContractTerms, parse_symbol
from mahler_agents.market.snapshot import Chain, chain_from_columns

TERM_DAYS = 30
_NEAREST, _FARTHEST = 16, 46
"""Days to expiration among which there is one on each side of the term, also where only monthly ones are listed."""
_STRIKES = 4
"""Strikes on each side of the price: the nearest may not have traded."""

Closes = Mapping[tuple[str, dt.date], float]


async def past_days(
    fetch: Fetch, underlying: str, dates: Sequence[dt.date]
) -> AsyncIterator[tuple[dt.datetime, Chain]]:
    """Yield each session's close and its options around the money, in order; a day without trades is left out."""
    for _, days in groupby(dates, key=lambda date: (date.year, date.month)):
        month = list(days)
        prices = await fetch.past_closes(underlying, month[0], month[-1])
        chosen = await _chosen(fetch, underlying, {day: prices[day] for day in month if day in prices})
        symbols = sorted({symbol for those in chosen.values() for symbol in those})
        closes = await fetch.option_closes(symbols, month[0], month[-1])
        for day, those in chosen.items():
            traded = [symbol for symbol in those if closes.get((symbol, day), 0.0) > 0]
            if traded:
                yield session_close(day), _chain(underlying, prices[day], traded, closes, day)


async def _chosen(fetch: Fetch, underlying: str, prices: Mapping[dt.date, float]) -> Mapping[dt.date, tuple[str, ...]]:
    """Return for each day the symbols around the money of the expirations on both sides of the term."""
    if not prices:
        return {}
    low, high = min(prices.values()), max(prices.values())
    listed = await fetch.listed(
        underlying,
        first=min(prices) + dt.timedelta(days=_NEAREST),
        last=max(prices) + dt.timedelta(days=_FARTHEST),
        strikes=(low * 0.95, high * 1.05),
    )
    by_expiration: dict[dt.date, list[tuple[str, ContractTerms]]] = {}
    for symbol in listed:
        try:
            terms = parse_symbol(symbol)
        except InputError:
            continue  # no option's, as in a chain
        if terms.underlying == underlying:
            by_expiration.setdefault(terms.expiration, []).append((symbol, terms))
    return {day: tuple(_around(by_expiration, day, price)) for day, price in prices.items()}


def _around(listed: Mapping[dt.date, Sequence[tuple[str, ContractTerms]]], day: dt.date, price: float) -> Iterator[str]:
    term = day + dt.timedelta(days=TERM_DAYS)
    near = [one for one in listed if day + dt.timedelta(days=_NEAREST) <= one <= term]
    far = [one for one in listed if term <= one <= day + dt.timedelta(days=_FARTHEST)]
    for expiration in {*sorted(near)[-1:], *sorted(far)[:1]}:
        strikes = sorted({terms.strike for _, terms in listed[expiration]})
        wanted = {
            *[one for one in strikes if one <= price][-_STRIKES:],
            *[one for one in strikes if one > price][:_STRIKES],
        }
        yield from (symbol for symbol, terms in listed[expiration] if terms.strike in wanted)


def _chain(underlying: str, price: float, symbols: Sequence[str], closes: Closes, day: dt.date) -> Chain:
    terms = [parse_symbol(symbol) for symbol in symbols]
    traded = [closes[symbol, day] for symbol in symbols]
    return chain_from_columns(
        underlying,
        price,
        {
            "symbol": symbols,
            "is_put": [one.right == "put" for one in terms],
            "expiration": [one.expiration for one in terms],
            "strike": [one.strike for one in terms],
            "bid": traded,
            "ask": traded,
        },
    )
