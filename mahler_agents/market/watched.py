"""Stage 1, market: a market in, the same out, with every quote that it gives taken down.

A snapshot is recorded whole; these are all that a scan reads of its market beside it.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from mahler_agents.market.snapshot import Dividend, Market, Snapshot
from mahler_agents.tape import Tape
from mahler_agents.types import Quote


class Quoted(NamedTuple):
    """Quotes of options that were asked for, by symbol, None where there was none."""

    at: dt.datetime
    """The instant that they were asked for."""
    quotes: Mapping[str, Quote | None]


class WatchedMarket:
    """A market whose quotes are told to a tape."""

    def __init__(self, market: Market, tape: Tape[Quoted]) -> None:
        self._market = market
        self._tape = tape
        self.name = market.name
        self.live = market.live
        self.max_quote_age_seconds = market.max_quote_age_seconds

    @property
    def world(self) -> str:
        """The market's own."""
        return self._market.world

    @property
    def synthetic(self) -> bool:
        """As the market is."""
        return self._market.synthetic

    def default_as_of(self) -> dt.datetime:
        """Return the market's own."""
        return self._market.default_as_of()

    def instant_of(self, date: dt.date) -> dt.datetime:
        """Return the market's own; raises as it does."""
        return self._market.instant_of(date)

    async def snapshot(self, as_of: dt.datetime, underlyings: Sequence[str]) -> Snapshot:
        """Return the market's own; raises as it does."""
        return await self._market.snapshot(as_of, underlyings)

    async def quotes(self, symbols: Sequence[str], at: dt.datetime) -> Mapping[str, Quote]:
        """Return the market's own, on record by then; raises as it does.

        So a process that dies leaves no order whose quotes are lost: its successor would not ask for them again.
        """
        found = await self._market.quotes(symbols, at)
        self._tape.tell(Quoted(at, {symbol: found.get(symbol) for symbol in symbols}))
        await self._tape.kept()
        return found

    async def dividends(self, underlyings: Sequence[str], at: dt.datetime) -> Mapping[str, tuple[Dividend, ...]]:
        """Return the market's own; raises as it does."""
        return await self._market.dividends(underlyings, at)

    async def prices(self, underlyings: Sequence[str], at: dt.datetime) -> Mapping[str, float]:
        """Return the market's own; raises as it does."""
        return await self._market.prices(underlyings, at)

    async def vix(self, at: dt.datetime) -> float | None:
        """Return the market's own; raises as it does."""
        return await self._market.vix(at)
