"""Below stage 1, Alpaca: its own clients, each request sent once, and over our session.

As they come, they send an order up to four times on a 504 and wait for an answer for ever.
"""

import warnings
from typing import Any

import orjson
import requests

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

    def _one_request(self, method: str, url: str, opts: dict[str, Any], retry: int) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride] - any JSON, as it says itself
        """Return the JSON that one request is answered with, None for an answer without a body. Raises `APIError`."""
        del retry
        response = self._session.request(method, url, **opts)
        try:
            response.raise_for_status()
        except requests.HTTPError as error:
            raise APIError(response.text, error) from error
        return _json_of(response) if response.content else None


def _json_of(response: requests.Response) -> Any:
    try:
        return orjson.loads(response.content)  # half the time of a chain
    except orjson.JSONDecodeError:  # a NaN, or another encoding: what Python takes is taken
        return response.json()


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
