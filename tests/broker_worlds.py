"""Worlds in which a broker can be tried: the embedded one, Alpaca's on the fake server, and a real paper account."""

import asyncio
import datetime as dt
import os
from collections import defaultdict
from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from mahler_agents.alpaca import alpaca_settings, find_credentials
from mahler_agents.alpaca.api import AlpacaApi
from mahler_agents.clock import NEW_YORK
from mahler_agents.execution import (
    Broker,
    ClosingTicket,
    OrderTicket,
    OrderUpdate,
    PaperBroker,
    Ticket,
    client_order_id,
)
from mahler_agents.execution.alpaca.broker import AlpacaBroker
from mahler_agents.execution.orders import attempt_id, round_down_to_cent, round_up_to_cent
from mahler_agents.exits import ExitParams
from mahler_agents.market import calendar
from mahler_agents.market.alpaca import AlpacaMarket
from mahler_agents.market.occ import format_symbol
from mahler_agents.market.sample import DEFAULT_AS_OF, SampleMarket
from mahler_agents.market.snapshot import Market
from mahler_agents.record import open_database
from mahler_agents.remote_clock import RemoteClock, clock_from
from mahler_agents.testing.fake_alpaca import FakeAlpaca
from mahler_agents.types import Environment, Quote, Spread, SpreadQuote, SpreadType

T = TypeVar("T")

OPT_IN = "MAHLER_TEST_ALPACA"
"""Set to `paper`, with a paper account's keys: the suite then also trades there, far from the market."""
REAL = os.environ.get(OPT_IN) == "paper"

START = DEFAULT_AS_OF


class Clock(Protocol):
    """Where a world is in time, and how it is moved on."""

    def now(self) -> dt.datetime: ...

    def advance_to(self, instant: dt.datetime) -> None: ...


@dataclass
class Hands:
    """A clock that a test moves."""

    instant: dt.datetime = START

    def now(self) -> dt.datetime:
        return self.instant

    def advance_to(self, instant: dt.datetime) -> None:
        self.instant = max(self.instant, instant)


@dataclass
class FakesClock:
    """The clock of a fake server."""

    fake: FakeAlpaca

    def now(self) -> dt.datetime:
        return self.fake.now

    def advance_to(self, instant: dt.datetime) -> None:
        self.fake.advance_to(instant)


@dataclass
class World:
    """A broker, the market that it trades on, and the time there."""

    broker: Broker
    market: Market
    clock: Clock
    fake: FakeAlpaca | None = None

    @property
    def now(self) -> dt.datetime:
        return self.clock.now()

    def ask(self, request: Awaitable[T]) -> T:
        async def asked() -> T:
            return await request

        return asyncio.run(asked())

    def later(self, **how: float) -> None:
        """Move the time on."""
        self.clock.advance_to(self.now + dt.timedelta(**how))

    def submit(self, ticket: Ticket, credit: float, *, number: int = 1, contracts: int | None = None) -> OrderUpdate:
        """Send an attempt at a ticket."""
        contracts = contracts or ticket.contracts
        return self.ask(
            self.broker.submit(ticket, number=number, contracts=contracts, limit_credit=credit, at=self.now)
        )

    def find(self, ticket: Ticket, number: int = 1) -> OrderUpdate | None:
        """Ask how an attempt stands."""
        return self.ask(self.broker.find(attempt_id(ticket.client_order_id, number), at=self.now))

    def cancel(self, ticket: Ticket, number: int = 1) -> OrderUpdate:
        """Cancel an attempt."""
        return self.ask(self.broker.cancel(attempt_id(ticket.client_order_id, number), at=self.now))

    def positions(self) -> Mapping[str, int]:
        """Ask what is held."""
        return self.ask(self.broker.positions(self.now))

    def working(self) -> set[str]:
        """Ask which orders are open."""
        return {order.order_id for order in self.ask(self.broker.working(self.now))}

    def cash(self) -> float:
        """Ask for the account's cash, dollars."""
        return self.ask(self.broker.account(self.now)).cash

    def quote(self, spread: Spread) -> SpreadQuote:
        """Return the spread's quote now."""
        quotes: Mapping[str, Quote] = self.ask(self.market.quotes([spread.short_symbol, spread.long_symbol], self.now))
        quote = SpreadQuote.of(quotes, spread)
        assert quote is not None
        return quote

    def natural_credit(self, spread: Spread) -> float:
        """Return the credit at which a sale trades at once, whole cents per share."""
        return round_down_to_cent(self.quote(spread).natural_credit)

    def natural_debit(self, spread: Spread) -> float:
        """Return the debit at which a purchase trades at once, whole cents per share."""
        quote = self.quote(spread)
        return round_up_to_cent(quote.short.ask - quote.long.bid)


@contextmanager
def paper(path: Path, *, partial_fills: bool = False) -> Generator[World]:
    """Make a world of the embedded broker."""
    database, market = open_database(path / "mahler.db", create=True), SampleMarket()
    largest = 2 if partial_fills else None
    with PaperBroker(database, market, concession=0.66, commission=0.0, largest_fill=largest) as broker:
        yield World(broker, market, Hands())


@contextmanager
def faked(path: Path, *, partial_fills: bool = False) -> Generator[World]:
    """Make a world of Alpaca's broker on the fake server."""
    del path
    with FakeAlpaca(partial_fills=partial_fills, start=START) as fake, an_api(fake.environ) as api:
        market, clock = SampleMarket(), RemoteClock(fake.url)
        broker = asyncio.run(AlpacaBroker.open(api, market, clock))
        yield World(broker, market, FakesClock(fake), fake)


@contextmanager
def real(path: Path) -> Generator[World]:
    """Make a world of a real paper account at Alpaca: whose time nobody moves."""
    del path
    with an_api(os.environ) as api:
        clock = clock_from(os.environ)
        market = AlpacaMarket(api, clock)
        broker = asyncio.run(AlpacaBroker.open(api, market, clock))
        yield World(broker, market, Hands(clock.now()))


def an_api(environ: Mapping[str, str], *, timeout: float = 20.0) -> AlpacaApi:
    """Return the way to the Alpaca that some variables name, at any pace."""
    settings = alpaca_settings(environ, Environment.PAPER)
    quick = settings.model_copy(update={"timeout_seconds": timeout, "requests_per_minute": 10_000})
    return AlpacaApi(quick if settings.loopback else settings, find_credentials(environ), clock_from(environ))


MOVING: Mapping[str, Callable[..., AbstractContextManager[World]]] = {"embedded": paper, "fake": faked}
"""Worlds whose time a test moves, and whose orders may trade."""
ALL = {**MOVING, **({"alpaca": real} if REAL else {})}


def a_vertical(expiration: dt.date, short: float, long: float, *, underlying: str = "SPY") -> Spread:
    """Return the credit spread of two strikes: puts if the long one is below, else calls."""
    is_put = long < short
    right = "put" if is_put else "call"
    return Spread(
        underlying=underlying,
        spread_type=SpreadType.BULL_PUT if is_put else SpreadType.BEAR_CALL,
        expiration=expiration,
        short_strike=short,
        long_strike=long,
        short_symbol=format_symbol(underlying, expiration, right, short),
        long_symbol=format_symbol(underlying, expiration, right, long),
    )


def an_entry(world: World, spread: Spread, *, contracts: int = 4, worst: float = 0.01, slot: str = "a") -> OrderTicket:
    """Return the ticket of a sale."""
    return OrderTicket(
        client_order_id=_order_id(world, spread, slot, "entry"),
        account_id=world.broker.account_id,
        slot=slot,
        candidate_id="run.1",
        spread=spread,
        contracts=contracts,
        limit_credit=worst,
        decided_at=world.now,
        exit_params=ExitParams(),
    )


def an_exit(world: World, entry: OrderTicket, *, contracts: int | None = None, slot: str = "b") -> ClosingTicket:
    """Return the ticket that buys a sale back."""
    return ClosingTicket(
        client_order_id=_order_id(world, entry.spread, slot, "exit"),
        account_id=world.broker.account_id,
        slot=slot,
        entry_order_id=entry.client_order_id,
        spread=entry.spread,
        contracts=contracts or entry.contracts,
        limit_debit=entry.spread.width,
        rule="stop_loss",
        decided_at=world.now,
    )


def close_of_day(world: World) -> dt.datetime:
    """Return the close of the session that a world is in."""
    return calendar.session_close(world.now.astimezone(NEW_YORK).date())


def _order_id(world: World, spread: Spread, slot: str, purpose: str) -> str:
    # A real account keeps every id for ever: there the second in which the suite ran is in it.
    unique = f"{slot}-{world.now:%Y%m%dT%H%M%S}" if REAL else slot
    return client_order_id(account_id=world.broker.account_id, slot=unique, spread=spread, purpose=purpose, attempt=1)


def some_spread(world: World) -> Spread:
    """Return a put spread of SPY, five dollars wide and out of the money, a month or more from its expiration."""
    today = world.now.astimezone(NEW_YORK).date()
    spot, listed = listed_puts(world)
    expiration = min(date for date in listed if date >= today + dt.timedelta(days=30))
    strikes = listed[expiration]
    short = max(strike for strike in strikes if strike < 0.97 * spot and strike - 5.0 in strikes)
    return a_vertical(expiration, short, short - 5.0)


def listed_puts(world: World) -> tuple[float, Mapping[dt.date, set[float]]]:
    """Return SPY's price, and by expiration the strikes of its puts that are quoted."""
    chain = world.ask(world.market.snapshot(world.now, ["SPY"])).underlyings["SPY"].chain
    listed: dict[dt.date, set[float]] = defaultdict(set)
    for date, strike, bid, is_put in zip(chain.expiration, chain.strike, chain.bid, chain.is_put, strict=True):
        if is_put and bid > 0:
            listed[date.astype(dt.date)].add(float(strike))
    return chain.spot, listed
