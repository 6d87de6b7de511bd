"""For tests of the fake Alpaca: alpaca-py's own clients of it, and its handlers without HTTP."""

import datetime as dt
from collections.abc import Iterator
from typing import Any

import requests
from alpaca.data.historical.corporate_actions import CorporateActionsClient
from alpaca.data.historical.news import NewsClient
from alpaca.data.historical.option import OptionHistoricalDataClient
from alpaca.data.historical.stock import StockHistoricalDataClient
from alpaca.trading.client import TradingClient

from mahler_agents.clock import NEW_YORK
from mahler_agents.market.sample import SampleMarket
from mahler_agents.market.sample.world import SYMBOLS
from mahler_agents.market.snapshot import Snapshot
from mahler_agents.testing.fake_alpaca import FakeAlpaca
from mahler_agents.testing.fake_alpaca.http import RefusedError, Request, Response
from mahler_agents.testing.fake_alpaca.routing import all_routes, find_route
from mahler_agents.testing.fake_alpaca.settings import MarketDataSettings, Settings
from mahler_agents.testing.fake_alpaca.world import World, at_once

REAL_TIME = MarketDataSettings(real_time_data=True)


def new_york(text: str) -> dt.datetime:
    """Return a New York time, in UTC."""
    return dt.datetime.fromisoformat(text).replace(tzinfo=NEW_YORK).astimezone(dt.UTC)


class Clients:
    """The clients of one fake; raw ones return the JSON, the others alpaca-py's models."""

    def __init__(self, fake: FakeAlpaca, *, raw: bool = True) -> None:
        keys: dict[str, Any] = {
            "api_key": fake.environ["APCA_API_KEY_ID"],
            "secret_key": fake.environ["APCA_API_SECRET_KEY"],
            "url_override": fake.url,
            "raw_data": raw,
        }
        self.options: Any = OptionHistoricalDataClient(**keys)
        self.stocks: Any = StockHistoricalDataClient(**keys)
        self.news: Any = NewsClient(**keys)
        self.actions: Any = CorporateActionsClient(**keys)
        self.trading: Any = TradingClient(**keys)


def get(fake: FakeAlpaca, path: str, **params: Any) -> requests.Response:
    """Return the answer to a GET with the account's keys."""
    keys = {
        "APCA-API-KEY-ID": fake.environ["APCA_API_KEY_ID"],
        "APCA-API-SECRET-KEY": fake.environ["APCA_API_SECRET_KEY"],
    }
    return requests.get(fake.url + path, params=params, headers=keys, timeout=30)


def world_at(instant: dt.datetime, market_data: MarketDataSettings = REAL_TIME, **settings: Any) -> World:
    """Return a world at an instant, without a server."""
    return World(Settings(start=instant, market_data=market_data, **settings))


def ask(world: World, path: str, **params: Any) -> Response:
    """Return what the route of a path answers to a GET."""
    found = find_route(all_routes(), "GET", path)
    assert found is not None
    query = {name: [str(value)] for name, value in params.items()}
    try:
        return found.route.handler(Request(method="GET", path=path, params=query, args=found.args), world)
    except RefusedError as error:
        return error.response


def pages(world: World, path: str, key: str, **params: Any) -> Iterator[Any]:
    """Yield what stands under a key on each page, to the last one."""
    token: dict[str, str] = {}
    while True:
        response = ask(world, path, **params, **token)
        assert response.status == 200, response.json
        yield response.json[key]
        if response.json["next_page_token"] is None:
            return
        token = {"page_token": response.json["next_page_token"]}


def sample_at(instant: dt.datetime, seed: int = 22) -> Snapshot:
    """Return the sample market's snapshot of all that it has."""
    return at_once(SampleMarket(seed).snapshot(instant, SYMBOLS))
