"""For tests: an Alpaca market on a fake Alpaca, whose clock it shares, and what each of its requests was."""

import asyncio
import datetime as dt
from collections.abc import Coroutine, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from mahler_agents.alpaca import AlpacaSettings, alpaca_settings, find_credentials
from mahler_agents.alpaca.api import AlpacaApi
from mahler_agents.clock import Clock
from mahler_agents.market.alpaca import AlpacaMarket
from mahler_agents.market.snapshot import Snapshot
from mahler_agents.remote_clock import RemoteClock
from mahler_agents.testing.fake_alpaca import FakeAlpaca
from mahler_agents.types import UNIVERSE, Environment

T = TypeVar("T")


@dataclass
class Alpaca:
    """A market, the fake behind it and the clock of both."""

    fake: FakeAlpaca
    clock: Clock
    market: AlpacaMarket

    def move(self, instant: dt.datetime) -> None:
        """Move both to an instant."""
        asyncio.run(self.clock.sleep_until(instant))

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Return what a coroutine returns."""
        return asyncio.run(work)

    def snapshot(self, underlyings: Sequence[str] = UNIVERSE) -> Snapshot:
        """Return the snapshot of now."""
        return self.do(self.market.snapshot(self.clock.now(), underlyings))


@contextmanager
def alpaca(
    *, timeout: float = 5.0, variables: dict[str, str] | None = None, clock: Clock | None = None, **fake: Any
) -> Generator[Alpaca]:
    """Start a fake Alpaca and open a market on it."""
    with FakeAlpaca(**fake) as server:
        clock = clock or RemoteClock(server.url)
        environ = {**server.environ, **(variables or {})}
        base = alpaca_settings(environ, Environment.PAPER)
        settings = AlpacaSettings.model_validate({**base.model_dump(), "timeout_seconds": timeout})
        with AlpacaApi(settings, find_credentials(environ), clock) as api:
            api.connect()
            yield Alpaca(fake=server, clock=clock, market=AlpacaMarket(api, clock))
