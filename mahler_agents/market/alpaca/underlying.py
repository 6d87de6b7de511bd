"""Below Alpaca's market, underlying: all questions about one underlying at once; what failed is absent, and named."""

import asyncio
import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mahler_agents.market.alpaca.chain import RawChain
from mahler_agents.market.alpaca.fetch import Fetch, told_or_why
from mahler_agents.market.snapshot import Bars, Dividend, Headline, MarketData


@dataclass(frozen=True, kw_only=True)
class RawUnderlying:
    """What was told of one underlying, or why it was not."""

    name: str
    chain: RawChain | str
    no_open_interest: str | None
    price: float | str
    bars: Bars | str
    headlines: tuple[Headline, ...] | str
    dividends: tuple[Dividend, ...] | str

    def at(self, as_of: dt.datetime) -> tuple[MarketData | None, Mapping[str, str]]:
        """Return it as it is at an instant, None without a chain and a price, and what is missing of it."""
        absent = self._absent()
        if isinstance(self.chain, str) or isinstance(self.price, str):
            return None, absent
        return MarketData(
            chain=self.chain.at(self.name, self.price, as_of),
            bars=_NO_BARS if isinstance(self.bars, str) else self.bars,
            headlines=None if isinstance(self.headlines, str) else self.headlines,
            dividends=None if isinstance(self.dividends, str) else self.dividends,
        ), absent

    def _absent(self) -> Mapping[str, str]:
        if isinstance(self.chain, str):
            return {f"underlyings.{self.name}": self.chain}
        if isinstance(self.price, str):
            return {f"underlyings.{self.name}": self.price}
        parts = {"bars": self.bars, "headlines": self.headlines, "dividends": self.dividends}
        told = {part: held for part, held in parts.items() if isinstance(held, str)}
        if self.no_open_interest is not None:
            told["open_interest"] = self.no_open_interest
        if not len(self.chain.quoted_at):
            told["chain"] = "Alpaca lists no contract of it"
        if isinstance(self.bars, Bars) and not len(self.bars):
            told["bars"] = "Alpaca has none of it"
        if self.chain.adjusted:
            told["adjusted"] = f"{self.chain.adjusted} adjusted contracts are left out: they deliver no 100 shares"
        if self.chain.strange:
            told["strange"] = f"{self.chain.strange} entries of its chain are left out: their symbols are no option's"
        return {f"{part}.{self.name}": why for part, why in told.items()}


async def fetch_underlying(fetch: Fetch, name: str, today: dt.date, max_age_seconds: float) -> RawUnderlying:
    """Ask for everything about one underlying at once; nothing that Alpaca does not give is raised."""
    (chain, no_open_interest), price, bars, headlines, dividends = await asyncio.gather(
        fetch.chain(name, today),
        told_or_why(fetch.price(name, max_age=dt.timedelta(seconds=max_age_seconds))),
        told_or_why(fetch.bars(name, today)),
        told_or_why(fetch.headlines(name)),
        told_or_why(fetch.coming_dividends(name, today)),
    )
    return RawUnderlying(
        name=name,
        chain=chain,
        no_open_interest=no_open_interest,
        price=price,
        bars=bars,
        headlines=headlines,
        dividends=dividends,
    )


_NONE = np.empty(0)
_NO_BARS = Bars(date=np.empty(0, dtype="datetime64[D]"), open=_NONE, high=_NONE, low=_NONE, close=_NONE, volume=_NONE)
