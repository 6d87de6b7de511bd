"""For the tests of the fake Alpaca: requests over HTTP, a spread of its market, and bodies of orders."""

import datetime as dt
import json
from collections.abc import Mapping
from http.client import HTTPConnection
from itertools import count
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from alpaca.trading.client import TradingClient

from mahler_agents.clock import NEW_YORK
from mahler_agents.testing.fake_alpaca import FakeAlpaca

SHORT, LONG = "SPY260417P00570000", "SPY260417P00565000"
CALL, HIGHER_CALL = "SPY260417C00630000", "SPY260417C00635000"
_NUMBERS = count(1)


class Answer(NamedTuple):
    """What the fake answered."""

    status: int
    headers: Mapping[str, str]
    json: Any


def ask(
    fake: FakeAlpaca,
    method: str,
    path: str,
    body: Any = None,
    *,
    headers: Mapping[str, str] | None = None,
    timeout: float = 5,
) -> Answer:
    """Return the answer to one request, with the fake's own keys unless other headers are given."""
    address = urlsplit(fake.url)
    connection = HTTPConnection(address.hostname or "", address.port, timeout=timeout)
    keys = {
        "APCA-API-KEY-ID": fake.environ["APCA_API_KEY_ID"],
        "APCA-API-SECRET-KEY": fake.environ["APCA_API_SECRET_KEY"],
    }
    sent = None if body is None else json.dumps(body)
    try:
        connection.request(method, path, body=sent, headers=dict(keys if headers is None else headers))
        response = connection.getresponse()
        content = response.read()
        return Answer(response.status, dict(response.headers), json.loads(content) if content else None)
    finally:
        connection.close()


def client_of(fake: FakeAlpaca, *, raw_data: bool = False) -> TradingClient:
    """Return alpaca-py's own client of the fake."""
    keys = fake.environ
    return TradingClient(keys["APCA_API_KEY_ID"], keys["APCA_API_SECRET_KEY"], url_override=fake.url, raw_data=raw_data)


def at(text: str) -> dt.datetime:
    """Return a New York time."""
    return dt.datetime.fromisoformat(text).replace(tzinfo=NEW_YORK)


def leg(symbol: str, intent: str, ratio: Any = "1", **more: Any) -> dict[str, Any]:
    """Return a leg of a body."""
    return {"symbol": symbol, "ratio_qty": ratio, "side": intent.partition("_")[0], "position_intent": intent, **more}


def entry(limit: float | str | None = -0.40, *, units: Any = 1, **more: Any) -> dict[str, Any]:
    """Return the body of an order that opens the put spread; a keyword of None leaves the field out."""
    legs = [leg(SHORT, "sell_to_open"), leg(LONG, "buy_to_open")]
    return _body(limit, units, legs, more)


def exit_(limit: float | str | None = 2.0, *, units: Any = 1, **more: Any) -> dict[str, Any]:
    """Return the body of an order that closes the put spread."""
    legs = [leg(SHORT, "buy_to_close"), leg(LONG, "sell_to_close")]
    return _body(limit, units, legs, more)


def simple(symbol: str, side: str, limit: float | str | None = None, *, units: Any = 1, **more: Any) -> dict[str, Any]:
    """Return the body of an order of one contract or of shares."""
    body = {
        "symbol": symbol,
        "side": side,
        "qty": units,
        "type": "market" if limit is None else "limit",
        "limit_price": limit,
        "time_in_force": "day",
        "client_order_id": f"simple-{next(_NUMBERS)}",
        **more,
    }
    return {name: value for name, value in body.items() if value is not None}


def _body(limit: float | str | None, units: Any, legs: list[dict[str, Any]], more: Mapping[str, Any]) -> dict[str, Any]:
    body = {
        "order_class": "mleg",
        "qty": units,
        "type": "market" if limit is None else "limit",
        "limit_price": limit,
        "time_in_force": "day",
        "client_order_id": f"test-{next(_NUMBERS)}",
        "legs": legs,
        **more,
    }
    return {name: value for name, value in body.items() if value is not None}


def place(fake: FakeAlpaca, body: Mapping[str, Any]) -> dict[str, Any]:
    """Place an order that is taken, and return it."""
    answer = ask(fake, "POST", "/v2/orders", dict(body))
    assert answer.status == 200, answer.json
    return answer.json


def order(fake: FakeAlpaca, placed: Mapping[str, Any]) -> dict[str, Any]:
    """Return how an order stands."""
    return ask(fake, "GET", f"/v2/orders/{placed['id']}").json


def pass_(fake: FakeAlpaca, **time: float) -> None:
    """Let the fake's clock move on."""
    fake.advance_to(fake.now + dt.timedelta(**time))
