"""Stage 1, market: where a `Snapshot` comes from."""

from mahler_agents.market.snapshot import (
    Account,
    Bars,
    Chain,
    Dividend,
    Exposure,
    Headline,
    Market,
    MarketData,
    Snapshot,
    VolatilityHistory,
)

__all__ = [
    "Account",
    "Bars",
    "Chain",
    "Dividend",
    "Exposure",
    "Headline",
    "Market",
    "MarketData",
    "Snapshot",
    "VolatilityHistory",
]
