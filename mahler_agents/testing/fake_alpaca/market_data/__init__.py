"""The fake Alpaca's market data, and Cboe's VIX beside it: all of it the sample market's, never later than now."""

from mahler_agents.testing.fake_alpaca.market_data import (
    cboe,
    contracts,
    corporate_actions,
    news,
    option_bars,
    snapshots,
    stock_bars,
    stocks,
)

ROUTES = (
    *contracts.ROUTES,
    *snapshots.ROUTES,
    *option_bars.ROUTES,
    *stocks.ROUTES,
    *stock_bars.ROUTES,
    *news.ROUTES,
    *corporate_actions.ROUTES,
    *cboe.ROUTES,
)
