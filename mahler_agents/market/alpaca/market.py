"""Stage 1, market: what Alpaca shows of now in, the `Snapshot` out; what it did not give is absent, and named.

A snapshot's `as_of` is the instant at which the last part of it had come: no quote in it is then of the future, and
each is as old as it is when the screen looks at it.
"""

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from typing import TypeVar

from mahler_agents.alpaca import AlpacaRefused, AlpacaUnsure
from mahler_agents.alpaca.api import AlpacaApi
from mahler_agents.alpaca.raw import RawTape
from mahler_agents.clock import NEW_YORK, Clock
from mahler_agents.config import risk_free_rate, stale_rate
from mahler_agents.errors import InputError, MarketError
from mahler_agents.market import calendar
from mahler_agents.market.alpaca.chain import SKEW_SECONDS
from mahler_agents.market.alpaca.fetch import Fetch, every, told_or_why
from mahler_agents.market.alpaca.figures import instant
from mahler_agents.market.alpaca.past import past_days
from mahler_agents.market.alpaca.underlying import fetch_underlying
from mahler_agents.market.alpaca.vix import IndexQuote
from mahler_agents.market.snapshot import Dividend, MarketData, PastChain, Snapshot
from mahler_agents.types import Quote

T = TypeVar("T")

NOW = dt.timedelta(minutes=5)
"""What is asked for at an instant that is at most this far away is answered with what there is now."""
_MOST_SKEW = dt.timedelta(seconds=SKEW_SECONDS)
"""Of this machine's clock and Alpaca's: above, ages of quotes and times of decisions mean nothing."""
_QUOTE_AGE = {"indicative": 1200.0, "opra": 300.0}
"""Seconds. The indicative feed may be 15 minutes late; a quiet contract's quote stands for minutes."""


class AlpacaMarket:
    """The market that Alpaca shows of now: chains, prices, bars, news and dividends; and Cboe's VIX.

    The API is another's to open and to close; whether it is a made-up one is known once it has answered something.
    A `tape` hears all that it answers to this market, and nothing of what it answers to a broker.
    """

    name = "alpaca"
    live = True

    def __init__(self, api: AlpacaApi, clock: Clock, *, tape: RawTape | None = None) -> None:
        self._api = api
        self._clock = clock
        self._fetch = Fetch(api.heard_by(tape), clock)
        self.max_quote_age_seconds = _QUOTE_AGE[api.settings.option_feed]

    @property
    def synthetic(self) -> bool:
        """True if the server says so, and of every server on this machine: the real one is elsewhere."""
        return self._api.synthetic is not None or self._api.settings.loopback

    @property
    def world(self) -> str:
        """`alpaca`; of a fake one `alpaca-fake-` and what its figures are made of, as in `alpaca-fake-22`."""
        if not self.synthetic:
            return self.name
        return f"{self.name}-fake-{(self._api.synthetic or 'unknown').removeprefix('sample-')}"

    def default_as_of(self) -> dt.datetime:
        """Return the present instant."""
        return self._clock.now()

    def instant_of(self, date: dt.date) -> dt.datetime:
        """Return the present instant for today's New York date; raises `InputError` for any other."""
        now = self._clock.now()
        if date != now.astimezone(NEW_YORK).date():
            raise self._only_now(date.isoformat())
        return now

    def check_now(self, at: dt.datetime) -> None:
        """Raise `InputError` for an instant of which this market shows nothing: any but the present one."""
        if at.tzinfo is None:
            raise InputError(f"{at} has no time zone: give an aware time")
        if abs(self._clock.now() - at) > NOW:
            raise self._only_now(f"{at.astimezone(NEW_YORK):%Y-%m-%d %H:%M} New York")

    async def snapshot(self, as_of: dt.datetime, underlyings: Sequence[str]) -> Snapshot:
        """Return the market now, which `as_of` must be, without the account.

        An underlying whose chain or price cannot be had is left out and named in `missing`, like every other part.
        Raises `InputError` for another instant and while the exchange is closed, `MarketError` if this machine's clock
        is wrong or no underlying could be had.
        """
        self.check_now(as_of)
        today = self._open_session()
        await self._compare_clocks()
        return await self.told(today, underlyings)

    async def told(self, today: dt.date, underlyings: Sequence[str]) -> Snapshot:
        """Return what Alpaca tells in the session of `today`, without the questions whether there is one now.

        Its `as_of` is when the last answer has come. Raises `MarketError` if no underlying could be had.
        """
        fetched, vix, vix_3_month = await asyncio.gather(
            asyncio.gather(
                *(fetch_underlying(self._fetch, name, today, self.max_quote_age_seconds) for name in underlyings)
            ),
            self._fetch.index("VIX"),
            self._fetch.index("VIX3M"),
        )
        vix_3_month = _of_one_session(vix, vix_3_month)
        as_of = self._clock.now()
        date = as_of.astimezone(NEW_YORK).date()
        found: dict[str, MarketData] = {}
        missing: dict[str, str] = {"risk_free_rate": why} if (why := stale_rate(date)) else {}
        for raw in fetched:
            held, absent = raw.at(as_of)
            found |= {raw.name: held} if held is not None else {}
            missing |= absent
        if not found:
            why = "; ".join(
                dict.fromkeys(absent for part, absent in missing.items() if part.startswith("underlyings."))
            )
            raise MarketError(f"Alpaca gave none of {', '.join(underlyings)}: {why}")
        return Snapshot(
            as_of=as_of,
            market=self.name,
            source=self._source(vix),
            synthetic=self.synthetic,
            underlyings=found,
            risk_free_rate=risk_free_rate(date),
            vix=_level("vix", vix, missing),
            vix_3_month=_level("vix_3_month", vix_3_month, missing),
            missing=missing,
        )

    async def quotes(self, symbols: Sequence[str], at: dt.datetime) -> Mapping[str, Quote]:
        """Return the latest quotes, for an `at` that is now; there are none of any other instant.

        Raises `MarketError` if they cannot be had.
        """
        return await self._of_market(self._fetch.quotes(symbols)) if symbols and self._is_now(at) else {}

    async def dividends(self, underlyings: Sequence[str], at: dt.datetime) -> Mapping[str, tuple[Dividend, ...]]:
        """Return the dividends with ex-dates after `at`'s New York date, announced by now or estimated.

        Raises `MarketError` if they cannot be had.
        """
        date = at.astimezone(NEW_YORK).date()
        found = await self._of_market(every(self._fetch.coming_dividends(name, date) for name in underlyings))
        return dict(zip(underlyings, found, strict=True))

    async def prices(self, underlyings: Sequence[str], at: dt.datetime) -> Mapping[str, float]:
        """Return the underlyings' prices now, or at a session's close; there are none of any other instant.

        At a close it is the official one, which is known 15 minutes later; raises `MarketError` if it cannot be had.
        Of now, an underlying whose price cannot be had is left out.
        """
        date = at.astimezone(NEW_YORK).date()
        if calendar.is_session(date) and at == calendar.session_close(date):
            return await self._of_market(self._fetch.closes(underlyings, date)) if underlyings else {}
        if not underlyings or not self._is_now(at):
            return {}
        max_age = dt.timedelta(seconds=self.max_quote_age_seconds)
        found = await asyncio.gather(*(told_or_why(self._fetch.price(name, max_age=max_age)) for name in underlyings))
        return {name: price for name, price in zip(underlyings, found, strict=True) if isinstance(price, float)}

    async def vix(self, at: dt.datetime) -> float | None:
        """Return Cboe's latest VIX, points, for an `at` that is now; None if it is not known."""
        found = await self._fetch.index("VIX") if self._is_now(at) else None
        return found.level if isinstance(found, IndexQuote) else None

    async def past_chains(self, underlying: str, dates: tuple[dt.date, ...]) -> AsyncIterator[PastChain]:
        """Yield the options around the money on sessions that are over, at their last trades, in order.

        Raises `MarketError` if they cannot be had.
        """
        if not dates:
            return
        try:
            paid = await self._fetch.dividends(underlying, dates[0], dates[-1])
            async for at, chain in past_days(self._fetch, underlying, dates):
                date = at.astimezone(NEW_YORK).date()
                yield PastChain(at, chain, tuple(one for one in paid if one.ex_date > date))
        except (AlpacaRefused, AlpacaUnsure) as error:
            raise MarketError(str(error)) from error

    def _is_now(self, at: dt.datetime) -> bool:
        return abs(self._clock.now() - at) <= NOW

    def _only_now(self, asked: str) -> InputError:
        now = self._clock.now().astimezone(NEW_YORK)
        return InputError(
            f"the market alpaca has only now, {now:%Y-%m-%d %H:%M} New York, and not {asked}: leave --as-of out"
        )

    def _open_session(self) -> dt.date:
        """Return the date of the session that is under way; raises `InputError` while the exchange is closed."""
        now = self._clock.now()
        date = now.astimezone(NEW_YORK).date()
        hours = calendar.session(date)  # or it names the nearest
        if not hours.open <= now <= hours.close:
            opened, closed, at = (one.astimezone(NEW_YORK) for one in (hours.open, hours.close, now))
            raise InputError(
                f"the exchange is closed at {at:%Y-%m-%d %H:%M} New York: it is open {opened:%H:%M} to {closed:%H:%M}"
            )
        return date

    async def _compare_clocks(self) -> None:
        """Raise `MarketError` if Alpaca says that another time it is, or that the exchange is closed."""
        told = await self._of_market(self._fetch.clock())
        theirs, ours = instant(told.get("timestamp")), self._clock.now()
        if theirs is not None and abs(theirs - ours) > _MOST_SKEW:
            seconds = (ours - theirs).total_seconds()
            side = "ahead of" if seconds > 0 else "behind"
            raise MarketError(f"this machine's clock is {abs(seconds):.0f} s {side} Alpaca's: set it right")
        if told.get("is_open") is False and ours < calendar.session_close(ours.astimezone(NEW_YORK).date()):
            raise MarketError("Alpaca says that the exchange is closed now, in the hours of a session")

    async def _of_market(self, fetched: Awaitable[T]) -> T:
        try:
            return await fetched
        except (AlpacaRefused, AlpacaUnsure) as error:
            raise MarketError(str(error)) from error

    def _source(self, vix: IndexQuote | str) -> str:
        settings = self._api.settings
        whose = "Alpaca" if not self.synthetic else f"synthetic, a fake Alpaca ({self._api.synthetic or 'unknown'})"
        parts = [whose, f"{settings.option_feed} options", f"{settings.stock_feed} stocks"]
        if isinstance(vix, IndexQuote):
            parts.append(f"VIX of {vix.at.astimezone(NEW_YORK):%Y-%m-%d %H:%M} New York from Cboe")
        return ", ".join(parts)


def _of_one_session(vix: IndexQuote | str, vix_3_month: IndexQuote | str) -> IndexQuote | str:
    """Return the second, or why it cannot be held against the first: their ratio is of one session."""
    if isinstance(vix, str) or isinstance(vix_3_month, str):
        return vix_3_month
    dates = [one.at.astimezone(NEW_YORK).date() for one in (vix, vix_3_month)]
    return vix_3_month if dates[0] == dates[1] else f"Cboe's VIX3M is of {dates[1]} and its VIX of {dates[0]}"


def _level(name: str, found: IndexQuote | str, missing: dict[str, str]) -> float | None:
    """Return an index's level; name it in `missing` if there is none."""
    if isinstance(found, str):
        missing[name] = found
        return None
    return found.level
