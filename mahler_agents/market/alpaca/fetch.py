"""Below Alpaca's market, fetch: what is asked of Alpaca and Cboe, one question a method, and the answers as our types.

All raise `AlpacaRefused` and `AlpacaUnsure`. Pages are asked for at their largest: 1,000 snapshots, 10,000 contracts.
Source: *Market Data API* 1.1 and *Trading API* of Alpaca.
"""

import asyncio
import datetime as dt
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from alpaca.common.rest import RESTClient

from mahler_agents.alpaca import AlpacaRefused, AlpacaUnsure
from mahler_agents.alpaca.api import AlpacaApi
from mahler_agents.clock import NEW_YORK, Clock
from mahler_agents.market.alpaca.chain import RawChain, raw_chain
from mahler_agents.market.alpaca.figures import items, part
from mahler_agents.market.alpaca.pages import one_page, pages
from mahler_agents.market.alpaca.parts import bars_of, closes_of, dividends_of, headlines_of, price_of, quotes_of
from mahler_agents.market.alpaca.vix import IndexQuote, index_quote
from mahler_agents.market.calendar import previous_session, session_close
from mahler_agents.market.dividends import dividends_to_come
from mahler_agents.market.snapshot import Bars, Dividend, Headline
from mahler_agents.types import Quote

REACH_DAYS = 130
"""Expirations that are fetched: the screen reads 45 days, the term structure 90 and one beyond."""
_BARS = 1000
_NEWS_DAYS, _NEWS = 10, 50
_PAID_WITHIN_DAYS = 60
"""A dividend is paid at most this long after its ex-date: Alpaca is asked by the date of payment."""
_YEAR_DAYS = 365
_MOST_SYMBOLS = 100
_NAMED = 10
_HISTORY_DELAY = dt.timedelta(minutes=16)
"""What all exchanges traded later than this is only for those who pay for it."""

T = TypeVar("T")


class Fetch:
    """Questions to Alpaca, each an answer that is parsed in a thread where it is long."""

    def __init__(self, api: AlpacaApi, clock: Clock) -> None:
        self._api = api
        self._clock = clock

    async def clock(self) -> Mapping[str, Any]:
        """Return the server's clock."""
        return await one_page(self._api, self._api.trading, "/clock", {}, what="the clock")

    async def snapshots(self, underlying: str, today: dt.date) -> Mapping[str, Any]:
        """Return the raw option snapshots of an underlying by symbol, all pages, until `REACH_DAYS` from today."""
        params = {"feed": self._api.settings.option_feed, "limit": 1000, **_expirations(today)}
        path, what = f"/options/snapshots/{underlying}", f"the chain of {underlying}"
        found: dict[str, Any] = {}
        async for page in pages(self._api, self._api.options, path, params, what=what):
            found |= part(page, "snapshots")
        return found

    async def contracts(self, underlying: str, today: dt.date) -> Mapping[str, Mapping[str, Any]]:
        """Return the contracts of an underlying by symbol, all pages: with open interest and what they deliver."""
        params = {"underlying_symbols": underlying, "status": "active", "limit": 10_000, **_expirations(today)}
        what = f"the option contracts of {underlying}"
        return {
            str(contract.get("symbol")): contract
            async for page in pages(self._api, self._api.trading, "/options/contracts", params, what=what)
            for contract in items(page.get("option_contracts"))
        }

    async def chain(self, underlying: str, today: dt.date) -> tuple[RawChain | str, str | None]:
        """Return an underlying's chain or why there is none, and why its open interest is not known, if it is not."""
        snapshots, contracts = await asyncio.gather(
            told_or_why(self.snapshots(underlying, today)), told_or_why(self.contracts(underlying, today))
        )
        if isinstance(snapshots, str):
            return snapshots, None
        chain = await asyncio.to_thread(
            raw_chain,
            underlying,
            snapshots,
            None if isinstance(contracts, str) else contracts,
            today=today,
            session_before=previous_session(today),
        )
        return chain, contracts if isinstance(contracts, str) else None

    async def price(self, underlying: str, *, max_age: dt.timedelta) -> float | str:
        """Return an underlying's price now, dollars per share, or why there is none."""
        params = {"symbols": underlying, "feed": self._api.settings.stock_feed}
        what = f"the price of {underlying}"
        answer = await one_page(self._api, self._api.stocks, "/stocks/snapshots", params, what=what)
        return price_of(part(answer, underlying), at=self._clock.now(), max_age=max_age)

    async def bars(self, underlying: str, today: dt.date) -> Bars:
        """Return the newest daily bars before today, adjusted for splits and dividends.

        Of all exchanges: of days that are over everyone may see them, whatever the feed of quotes is.
        """
        first = today - dt.timedelta(days=_BARS * 3 // 2)
        told = await self._daily(self._api.stocks, "/stocks/bars", [underlying], first, today, adjustment="all")
        return bars_of(told.get(underlying, ()), before=today, newest=_BARS)

    async def closes(self, underlyings: Sequence[str], date: dt.date) -> Mapping[str, float]:
        """Return the official closes of a session, as they were; none until it has been over for 16 minutes."""
        if self._clock.now() < session_close(date) + _HISTORY_DELAY:
            return {}
        after = date + dt.timedelta(days=1)
        told = await self._daily(self._api.stocks, "/stocks/bars", underlyings, date, after, adjustment="raw")
        found = {name: bars_of(bars, before=after, newest=1) for name, bars in told.items()}
        return {name: float(bars.close[-1]) for name, bars in found.items() if len(bars) and bars.close[-1] > 0}

    async def quotes(self, symbols: Sequence[str]) -> Mapping[str, Quote]:
        """Return the latest quotes of options; left out is what has none that is usable."""
        batches = [symbols[first : first + _MOST_SYMBOLS] for first in range(0, len(symbols), _MOST_SYMBOLS)]
        answers = await every(
            one_page(
                self._api,
                self._api.options,
                "/options/quotes/latest",
                {"symbols": ",".join(batch), "feed": self._api.settings.option_feed},
                what="the quotes of options",
            )
            for batch in batches
        )
        told = {symbol: quote for answer in answers for symbol, quote in quotes_of(answer).items()}
        return {symbol: told[symbol] for symbol in symbols if symbol in told}

    async def headlines(self, underlying: str) -> tuple[Headline, ...]:
        """Return the newest headlines about an underlying, of ten days at most."""
        now = self._clock.now()
        start = (now - dt.timedelta(days=_NEWS_DAYS)).isoformat()
        params = {"symbols": underlying, "start": start, "end": now.isoformat(), "limit": _NEWS, "sort": "desc"}
        found: tuple[Headline, ...] = ()
        async for page in pages(self._api, self._api.news, "/news", params, what=f"the news about {underlying}"):
            found += headlines_of(page.get("news"))
            if len(found) >= _NEWS:
                break
        return found[:_NEWS]

    async def dividends(self, underlying: str, first: dt.date, last: dt.date | None = None) -> tuple[Dividend, ...]:
        """Return an underlying's announced cash dividends that are paid from a date on, in order of their ex-dates.

        Until `REACH_DAYS` after `last`, or after the date itself.
        """
        params = {
            "symbols": underlying,
            "types": "cash_dividend",
            "start": first.isoformat(),
            "end": ((last or first) + dt.timedelta(days=REACH_DAYS + _PAID_WITHIN_DAYS)).isoformat(),
            "limit": 1000,
        }
        what = f"the dividends of {underlying}"
        found: list[Dividend] = []
        async for page in pages(self._api, self._api.corporate_actions, "/corporate-actions", params, what=what):
            found += dividends_of(page, underlying)
        return tuple(sorted(found, key=lambda one: one.ex_date))

    async def coming_dividends(self, underlying: str, today: dt.date) -> tuple[Dividend, ...]:
        """Return an underlying's dividends with ex-dates after today, announced or, of a regular payer, estimated."""
        told = await self.dividends(underlying, today - dt.timedelta(days=_YEAR_DAYS), today)
        return dividends_to_come(told, today=today, until=today + dt.timedelta(days=REACH_DAYS))

    async def past_closes(self, underlying: str, first: dt.date, last: dt.date) -> Mapping[dt.date, float]:
        """Return the official closes of sessions that are over, as they were, both dates included."""
        after = last + dt.timedelta(days=1)
        told = await self._daily(self._api.stocks, "/stocks/bars", [underlying], first, after, adjustment="raw")
        return {date: close for (_, date), close in closes_of(underlying, told.get(underlying, ())).items()}

    async def listed(
        self, underlying: str, *, first: dt.date, last: dt.date, strikes: tuple[float, float]
    ) -> Sequence[str]:
        """Return the symbols of options that expire between two dates, whether they have expired or not."""
        params = {
            "underlying_symbols": underlying,
            "limit": 10_000,
            "expiration_date_gte": first.isoformat(),
            "expiration_date_lte": last.isoformat(),
            "strike_price_gte": f"{strikes[0]:.2f}",
            "strike_price_lte": f"{strikes[1]:.2f}",
        }
        what = f"the past option contracts of {underlying}"
        return [
            str(contract.get("symbol"))
            for status in ("inactive", "active")
            async for page in pages(
                self._api, self._api.trading, "/options/contracts", {**params, "status": status}, what=what
            )
            for contract in items(page.get("option_contracts"))
        ]

    async def option_closes(
        self, symbols: Sequence[str], first: dt.date, last: dt.date
    ) -> Mapping[tuple[str, dt.date], float]:
        """Return the last trades of options on sessions that are over, by symbol and date, both dates included."""
        found: dict[tuple[str, dt.date], float] = {}
        for start in range(0, len(symbols), _MOST_SYMBOLS):
            batch, after = symbols[start : start + _MOST_SYMBOLS], last + dt.timedelta(days=1)
            told = await self._daily(self._api.options, "/options/bars", batch, first, after)
            for symbol, bars in told.items():
                found |= closes_of(symbol, bars)
        return found

    async def index(self, name: str) -> IndexQuote | str:
        """Return Cboe's delayed quote of an index, `VIX` or `VIX3M`, or why there is none."""
        if (url := self._api.settings.vix_url) is None:
            return "not asked for: MAHLER_ALPACA_VIX is none"
        answer = await told_or_why(self._api.get_public(url.replace("_VIX.", f"_{name}."), what=f"Cboe's {name}"))
        return answer if isinstance(answer, str) else index_quote(answer, name, now=self._clock.now())

    async def _daily(
        self,
        client: RESTClient,
        path: str,
        symbols: Sequence[str],
        first: dt.date,
        before: dt.date,
        *,
        adjustment: str | None = None,
    ) -> Mapping[str, list[Mapping[str, Any]]]:
        """Return the raw daily bars of all exchanges by symbol, from a date to the day before another.

        `adjustment` is of shares' bars; options have none.
        """
        params = {
            "symbols": ",".join(symbols),
            "timeframe": "1Day",
            "start": _midnight(first).isoformat(),
            "end": min(_midnight(before) - dt.timedelta(seconds=1), self._clock.now() - _HISTORY_DELAY).isoformat(),
            "limit": 10_000,
            **({"adjustment": adjustment, "feed": "sip"} if adjustment else {}),
        }
        found: dict[str, list[Mapping[str, Any]]] = {}
        async for page in pages(self._api, client, path, params, what=f"the daily bars of {_named(symbols)}"):
            for symbol, bars in part(page, "bars").items():
                found.setdefault(symbol, []).extend(items(bars))
        return found


async def told_or_why(asked: Awaitable[T]) -> T | str:
    """Return the answer, or why Alpaca gave none."""
    try:
        return await asked
    except (AlpacaRefused, AlpacaUnsure) as error:
        return str(error)


async def every(asked: Iterable[Awaitable[T]]) -> list[T]:
    """Return all answers once all questions have ended, or raise the first error: none goes on behind our back."""
    answers = await asyncio.gather(*asked, return_exceptions=True)
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
    return [answer for answer in answers if not isinstance(answer, BaseException)]


def _expirations(today: dt.date) -> Mapping[str, str]:
    last = today + dt.timedelta(days=REACH_DAYS)
    return {"expiration_date_gte": today.isoformat(), "expiration_date_lte": last.isoformat()}


def _named(symbols: Sequence[str]) -> str:
    return ", ".join(symbols) if len(symbols) <= _NAMED else f"{len(symbols)} options"


def _midnight(date: dt.date) -> dt.datetime:
    return dt.datetime.combine(date, dt.time(), NEW_YORK)
