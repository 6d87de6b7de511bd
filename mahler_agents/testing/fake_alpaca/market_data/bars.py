"""The fake Alpaca's market data, bars: what traded in an interval, and how the vendor writes it."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from mahler_agents.testing.fake_alpaca.market_data.horizon import stamp


@dataclass(frozen=True, kw_only=True, slots=True)
class Bar:
    """One bar, dollars per share; volume in shares or contracts."""

    start: dt.datetime
    """What the bar is dated: the first instant of its interval, UTC."""
    open: float
    high: float
    low: float
    close: float
    volume: int
    mean_size: int = 1
    """Shares or contracts of a trade: the count of trades is the volume over it."""

    @classmethod
    def of(cls, start: dt.datetime, prices: Sequence[float], volume: float, *, mean_size: int = 1) -> Self:
        """Return the bar of prices in the order of time, at least one."""
        return cls(
            start=start,
            open=prices[0],
            high=max(prices),
            low=min(prices),
            close=prices[-1],
            volume=int(volume),
            mean_size=mean_size,
        )

    def joined(self, later: "Bar") -> "Bar":
        """Return the bar of this interval and a later one."""
        return Bar(
            start=self.start,
            open=self.open,
            high=max(self.high, later.high),
            low=min(self.low, later.low),
            close=later.close,
            volume=self.volume + later.volume,
            mean_size=self.mean_size,
        )

    def scaled(self, factor: float) -> "Bar":
        """Return the bar with its prices times a factor, for dividends."""
        prices = (round(price * factor, 4) for price in (self.open, self.high, self.low, self.close))
        opened, high, low, closed = prices
        return Bar(
            start=self.start,
            open=opened,
            high=high,
            low=low,
            close=closed,
            volume=self.volume,
            mean_size=self.mean_size,
        )

    def json(self) -> dict[str, Any]:
        """Return it as the vendor writes it: schema `stock_bar` and `option_bar`."""
        return {
            "t": stamp(self.start),
            "o": self.open,
            "h": self.high,
            "l": self.low,
            "c": self.close,
            "v": self.volume,
            "n": max(1, self.volume // self.mean_size),
            "vw": round((self.open + self.high + self.low + self.close) / 4, 6),
        }
