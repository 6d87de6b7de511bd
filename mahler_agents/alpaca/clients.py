"""Below stage 1, Alpaca: its own clients, each request sent once, and over our session.

As they come, they send an order up to four times on a 504 and wait for an answer for ever.
"""

import warnings

from mahler_agents.alpaca.session import ThreadSession

with warnings.catch_warnings():
    # It imports a part of websockets that warns of its own end: neither the user nor a test can act on it.
    warnings.simplefilter("ignore", DeprecationWarning)
    from alpaca.common.exceptions import APIError
    from alpaca.common.rest import RESTClient
    from alpaca.data.historical.corporate_actions import CorporateActionsClient
    from alpaca.data.historical.news import NewsClient
    from alpaca.data.historical.option import OptionHistoricalDataClient
    from alpaca.data.historical.stock import StockHistoricalDataClient
    from alpaca.trading.client import TradingClient

__all__ = ["APIError", "CorporateActions", "News", "Options", "Stocks", "Trading"]


class _Once(RESTClient):
    def sent_over(self, session: ThreadSession) -> None:
        self._session = session
        self._retry = 0
        self._retry_codes = []


class Trading(_Once, TradingClient):
    """Orders, positions, the account, contracts, clock and calendar."""


class Options(_Once, OptionHistoricalDataClient):
    """Chains, quotes and bars of options."""


class Stocks(_Once, StockHistoricalDataClient):
    """Bars and quotes of shares."""


class News(_Once, NewsClient):
    """Headlines."""


class CorporateActions(_Once, CorporateActionsClient):
    """Dividends."""
