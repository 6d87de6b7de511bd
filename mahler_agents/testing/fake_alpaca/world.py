"""The fake Alpaca's world: the sample market at a simulated instant, one account, and the lock that both are under."""

import datetime as dt
import threading
from collections.abc import Callable, Collection, Coroutine, Mapping
from typing import Any, TypeVar

from mahler_agents.clock import SystemClock
from mahler_agents.market.sample import SampleMarket
from mahler_agents.market.sample.moment import new_york_date
from mahler_agents.market.sample.world import SYMBOLS
from mahler_agents.testing.fake_alpaca.books import Books
from mahler_agents.testing.fake_alpaca.faults import FaultBook
from mahler_agents.testing.fake_alpaca.limits import Keys
from mahler_agents.testing.fake_alpaca.settings import Settings
from mahler_agents.types import Quote

T = TypeVar("T")

_SHARES_HALF_WIDTH = 0.01
"""Between the price of shares and either side of their quote, dollars."""


class World:
    """What every handler is given; the server holds `lock` while one runs."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.seed = settings.seed
        self.market = SampleMarket(settings.seed)
        self.lock = threading.RLock()
        self.account_keys = Keys.of(settings.seed)
        self.faults = FaultBook()
        self.now = settings.start.astimezone(dt.UTC)
        """The simulated instant, timezone-aware UTC; only `venue.advance` sets it."""
        cash = round(100 * settings.cash)
        self.books = Books(seed=settings.seed, cash_cents=cash, opened_at=self.now, last_equity_cents=cash)
        self.on_the_way: list[tuple[dt.datetime, Callable[[], object]]] = []
        """Requests that are going to be carried out, and when."""
        self._real = SystemClock()
        self._flowed = self._real.seconds()

    def flow(self) -> None:
        """Let the clock run as far as real time has passed since it last did, if it is one that runs by itself."""
        seconds = self._real.seconds()
        passed, self._flowed = seconds - self._flowed, seconds
        if self.settings.flow:
            self.advance_to(self.now + dt.timedelta(seconds=passed))

    def advance_to(self, instant: dt.datetime) -> None:
        """Go to a later instant, and let happen what happens on the way; an earlier one changes nothing.

        Raises `InputError` for one without a zone, or outside the sample market's dates.
        """
        from mahler_agents.testing.fake_alpaca.venue import advance  # which reads this module

        new_york_date(instant)
        advance(self, instant.astimezone(dt.UTC))

    def quotes(self, symbols: Collection[str], at: dt.datetime | None = None) -> Mapping[str, Quote]:
        """Return the quotes of contracts and shares at an instant (now); one without a market is left out."""
        instant = self.now if at is None else at
        shares = self.prices({symbol for symbol in symbols if symbol in SYMBOLS}, instant)
        options = [symbol for symbol in symbols if symbol not in SYMBOLS]
        quotes = at_once(self.market.quotes(options, instant)) if options else {}
        return {
            **quotes,
            **{
                symbol: Quote(
                    bid=round(price - _SHARES_HALF_WIDTH, 2), ask=round(price + _SHARES_HALF_WIDTH, 2), at=instant
                )
                for symbol, price in shares.items()
            },
        }

    def prices(self, underlyings: Collection[str], at: dt.datetime | None = None) -> Mapping[str, float]:
        """Return the underlyings' prices at an instant (now), dollars per share; none while the market is closed."""
        if not underlyings:
            return {}
        return at_once(self.market.prices(sorted(underlyings), self.now if at is None else at))


def at_once(answer: Coroutine[Any, Any, T]) -> T:
    """Return what a coroutine that waits for nothing returns, as the sample market's are."""
    try:
        answer.send(None)
    except StopIteration as done:
        return done.value
    answer.close()
    raise RuntimeError("a coroutine of the sample market waited for something")
