"""Doctor, answers: what Alpaca answers to a few questions, each asked once and kept; nothing is asked twice or retried.

A desk asks again where it may; a doctor wants to know how Alpaca answers now. Importing this module imports alpaca-py.
"""

import datetime as dt
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from alpaca.common.rest import RESTClient

from mahler_agents.alpaca import AlpacaSettings, AlpacaUnsure, Credentials
from mahler_agents.alpaca.api import AlpacaApi
from mahler_agents.clock import Clock
from mahler_agents.execution.alpaca.answers import Answer
from mahler_agents.market.alpaca import AlpacaMarket

NEAREST_DAYS, FARTHEST_DAYS = 30, 45
"""Days to expiration of the contracts whose quotes are looked at: those that the screen reads."""
_MOST = 1000
"""Contracts on one page, at most."""


@dataclass(frozen=True, kw_only=True)
class ClockAnswer:
    """Alpaca's clock, and this machine's halfway between the question and the answer."""

    fields: Mapping[str, Any]
    ours: dt.datetime
    seconds: float
    """Between question and answer."""


class AlpacaAnswers:
    """Alpaca, asked with the desk's keys. Every method raises `AlpacaRefused` or `AlpacaUnsure`."""

    def __init__(
        self, settings: AlpacaSettings, credentials: Credentials, clock: Clock, stopwatch: Callable[[], float]
    ) -> None:
        """Open no connection yet. Raises `ConfigError` if the keys are of the other environment."""
        self._api = AlpacaApi(settings, credentials, clock)
        self._clock = clock
        self._stopwatch = stopwatch
        self._kept: dict[str, Any] = {}
        self.market = AlpacaMarket(self._api, clock)

    def close(self) -> None:
        """Close the connections, once what was asked has ended."""
        self._api.__exit__(None, None, None)

    @property
    def synthetic(self) -> str | None:
        """Whose made-up figures the server's are; None if it has not said so."""
        return self._api.synthetic

    async def clock(self) -> ClockAnswer:
        """Return the server's clock, and the time here when it was read."""

        async def ask() -> ClockAnswer:
            before, began = self._clock.now(), self._stopwatch()
            fields = await self._asked(self._api.trading, "/clock", {}, what="the clock")
            after, ended = self._clock.now(), self._stopwatch()
            return ClockAnswer(fields=fields, ours=before + (after - before) / 2, seconds=ended - began)

        return await self._once("clock", ask)

    async def account(self) -> Answer:
        """Return the account."""

        async def ask() -> Answer:
            what = "the account"
            return Answer.of(await self._asked(self._api.trading, "/account", {}, what=what), what)

        return await self._once("account", ask)

    @property
    def known_account(self) -> Answer:
        """The account, which must have been asked for."""
        return self._kept["account"]

    async def chain(self, underlying: str, today: dt.date) -> Mapping[str, Any]:
        """Return the snapshots of an underlying's contracts that a screen would read, by symbol: the first page."""
        params = {
            "feed": self._api.settings.option_feed,
            "limit": _MOST,
            "expiration_date_gte": (today + dt.timedelta(days=NEAREST_DAYS)).isoformat(),
            "expiration_date_lte": (today + dt.timedelta(days=FARTHEST_DAYS)).isoformat(),
        }

        async def ask() -> Mapping[str, Any]:
            path = f"/options/snapshots/{underlying}"
            page = await self._asked(self._api.options, path, params, what=f"the chain of {underlying}")
            snapshots = page.get("snapshots")
            return snapshots if isinstance(snapshots, dict) else {}

        return await self._once(f"chain {underlying}", ask)

    async def shares(self, underlying: str) -> Mapping[str, Any]:
        """Return the snapshot of an underlying's shares."""
        params = {"symbols": underlying, "feed": self._api.settings.stock_feed}

        async def ask() -> Mapping[str, Any]:
            page = await self._asked(self._api.stocks, "/stocks/snapshots", params, what=f"the price of {underlying}")
            found = page.get(underlying)
            return found if isinstance(found, dict) else {}

        return await self._once(f"shares {underlying}", ask)

    async def _once(self, name: str, ask: Callable[[], Awaitable[Any]]) -> Any:
        if name not in self._kept:
            self._kept[name] = await ask()
        return self._kept[name]

    async def _asked(self, client: RESTClient, path: str, params: Mapping[str, Any], *, what: str) -> Mapping[str, Any]:
        def call() -> Any:
            return client.get(path, dict(params))

        answer = await self._api.ask_once(call, what=what)
        if not isinstance(answer, dict):
            raise AlpacaUnsure(what, f"the answer is not an object but {type(answer).__name__}")
        return answer
