"""The fake Alpaca's world: the sample market at a simulated instant, one account, and the lock that both are under."""

import datetime as dt
import threading
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, TypeVar

from mahler_agents.clock import SystemClock
from mahler_agents.errors import InputError
from mahler_agents.market.sample import SampleMarket
from mahler_agents.testing.fake_alpaca.faults import FaultBook
from mahler_agents.testing.fake_alpaca.limits import Keys
from mahler_agents.testing.fake_alpaca.settings import Settings
from mahler_agents.types import Quote

T = TypeVar("T")


class World:
    """What every handler is given; the server holds `lock` while one runs."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.seed = settings.seed
        self.market = SampleMarket(settings.seed)
        self.lock = threading.RLock()
        self.account_keys = Keys.of(settings.seed)
        self.faults = FaultBook()
        self._now = settings.start.astimezone(dt.UTC)
        self._real = SystemClock()
        self._flowed = self._real.seconds()

    @property
    def now(self) -> dt.datetime:
        """The simulated instant, timezone-aware UTC."""
        return self._now

    def flow(self) -> None:
        """Let the clock run as far as real time has passed since it last did, if it is one that runs by itself."""
        seconds = self._real.seconds()
        passed, self._flowed = seconds - self._flowed, seconds
        if self.settings.flow:
            self.advance_to(self._now + dt.timedelta(seconds=passed))

    def advance_to(self, instant: dt.datetime) -> None:
        """Go to a later instant; an earlier one changes nothing.

        Raises `InputError` for one without a zone.
        """
        if instant.tzinfo is None:
            raise InputError(f"{instant} has no time zone: give an aware time")
        self._now = max(self._now, instant.astimezone(dt.UTC))

    def quotes(self, symbols: Sequence[str]) -> Mapping[str, Quote]:
        """Return the quotes of option contracts now; one without a market is left out, all are while it is closed."""
        return at_once(self.market.quotes(symbols, self._now))

    def prices(self, underlyings: Sequence[str]) -> Mapping[str, float]:
        """Return the underlyings' prices now, dollars per share; all are left out while the market is closed."""
        return at_once(self.market.prices(underlyings, self._now))


def at_once(answer: Coroutine[Any, Any, T]) -> T:
    """Return what a coroutine that waits for nothing returns, as the sample market's are."""
    try:
        answer.send(None)
    except StopIteration as done:
        return done.value
    answer.close()
    raise RuntimeError("a coroutine of the sample market waited for something")
