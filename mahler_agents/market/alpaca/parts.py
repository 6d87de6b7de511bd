"""Below Alpaca's market, parts: raw answers in, bars, prices, quotes, headlines and dividends out."""

import datetime as dt
import html
from collections.abc import Iterable, Mapping
from typing import Any

from mahler_agents.clock import NEW_YORK
from mahler_agents.market.alpaca.figures import NOTHING, date, dates, instant, items, number, numbers, part, session_of
from mahler_agents.market.snapshot import Bars, Dividend, Headline
from mahler_agents.types import Quote

_WIDEST = 0.01
"""A stock's quote that is wider than this share of its middle is no price: the last trade is taken."""


def bars_of(told: Iterable[Mapping[str, Any]], *, before: dt.date, newest: int) -> Bars:
    """Return the newest daily bars of sessions before a date; one that lacks a figure has NaN there."""
    by_date: dict[dt.date, Mapping[str, Any]] = {}
    for bar in told:
        day = session_of(str(bar.get("t")))
        if day is not None and day < before:
            by_date[day] = bar
    days = sorted(by_date)[-newest:]
    columns = {
        name: numbers([by_date[day].get(key) for day in days])
        for name, key in (("open", "o"), ("high", "h"), ("low", "l"), ("close", "c"), ("volume", "v"))
    }
    return Bars(date=dates(days), **columns)


def closes_of(symbol: str, bars: Iterable[Mapping[str, Any]]) -> dict[tuple[str, dt.date], float]:
    """Return the closes of raw daily bars by symbol and date."""
    dated = ((session_of(str(bar.get("t"))), number(bar.get("c"))) for bar in bars)
    return {(symbol, day): close for day, close in dated if day is not None and close > 0}


def price_of(snapshot: Mapping[str, Any], *, at: dt.datetime, max_age: dt.timedelta) -> float | str:
    """Return a stock's price, dollars per share: the middle of its quote, else its last trade; or why there is none."""
    quote, trade = part(snapshot, "latestQuote"), part(snapshot, "latestTrade")
    bid, ask, traded = number(quote.get("bp")), number(quote.get("ap")), number(trade.get("p"))
    middle = (bid + ask) / 2
    if bid > 0 and bid <= ask and ask - bid <= _WIDEST * middle and _is_fresh(quote, at, max_age):
        return round(middle, 4)
    if traded > 0 and _is_fresh(trade, at, max_age):
        return traded
    latest = max(filter(None, (instant(quote.get("t")), instant(trade.get("t")))), default=None)
    if latest is None:
        return "there is no price of it"
    return f"there is no usable price of it: the last one is of {latest.astimezone(NEW_YORK):%Y-%m-%d %H:%M} New York"


def _is_fresh(told: Mapping[str, Any], at: dt.datetime, max_age: dt.timedelta) -> bool:
    made = instant(told.get("t"))
    return made is not None and abs(at - made) <= max_age


def quotes_of(told: Any) -> Mapping[str, Quote]:
    """Return the usable quotes of options in an answer, by symbol."""
    found = {symbol: quote_of(quote) for symbol, quote in part(told, "quotes").items()}
    return {symbol: quote for symbol, quote in found.items() if quote is not None}


def quote_of(told: Any) -> Quote | None:
    """Return an option's quote; None for one without a bid or a positive ask, or with a bid above it."""
    quote = told if isinstance(told, dict) else NOTHING
    bid, ask, at = number(quote.get("bp")), number(quote.get("ap")), instant(quote.get("t"))
    if at is None or not (0 <= bid <= ask and ask > 0):
        return None
    return Quote(bid=bid, ask=ask, at=at)


def headlines_of(told: Any) -> tuple[Headline, ...]:
    """Return the headlines of news articles, newest first; Alpaca escapes them for HTML."""
    found: list[Headline] = []
    for article in items(told):
        at, text = instant(article.get("created_at")), article.get("headline")
        if at is not None and isinstance(text, str) and text.strip():
            source = article.get("source")
            name = source if isinstance(source, str) and source else "unknown"
            found.append(Headline(at=at, text=html.unescape(text), source=name))
    return tuple(sorted(found, key=lambda one: (one.at, one.text), reverse=True))


def dividends_of(told: Any, symbol: str) -> tuple[Dividend, ...]:
    """Return one underlying's announced cash dividends in order of their ex-dates; an amount that is not said is None.

    Two of one day, such as a regular and a special one, are one.
    """
    amounts: dict[dt.date, list[float]] = {}
    for action in items(part(told, "corporate_actions").get("cash_dividends")):
        ex_date = date(action.get("ex_date"))
        if ex_date is not None and action.get("symbol") == symbol:
            amounts.setdefault(ex_date, []).append(number(action.get("rate")))
    return tuple(Dividend(ex_date=day, dollars=_sum(amounts[day])) for day in sorted(amounts))


def _sum(amounts: list[float]) -> float | None:
    total = sum(amounts)
    return total if total > 0 and all(amount > 0 for amount in amounts) else None
