"""Stage 1, market: what Alpaca shows of now, and Cboe's VIX beside it."""

from mahler_agents.market.alpaca.market import AlpacaMarket

__all__ = ["AlpacaMarket"]
