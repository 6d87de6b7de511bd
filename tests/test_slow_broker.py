"""Orders on a live market where broker, reviews or feed are late: each price has its time, a lost answer its grace."""

import asyncio
import dataclasses
import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from trading_builders import (
    DECIDED_AT,
    LATER,
    QuotedMarket,
    a_ticket,
    executed,
    record_candidates,
    trading_on,
)

from mahler_agents.clock import SimulatedClock
from mahler_agents.errors import BrokerError
from mahler_agents.execution import (
    BrokerOrder,
    Close,
    Execution,
    Ledger,
    LegSettlement,
    OrderUpdate,
    PaperBroker,
    Ticket,
    Trading,
    close_positions,
    present_of,
)
from mahler_agents.market.snapshot import Account
from mahler_agents.record import open_database
from mahler_agents.record.trading_state import halt_file
from mahler_agents.types import Quote, Reason

STEP = 30.0


class LiveMarket(QuotedMarket):
    """Quotes of now, which may stand still."""

    live = True
    stands_still_since: dt.datetime | None = None

    async def quotes(self, symbols: Sequence[str], at: dt.datetime) -> Mapping[str, Quote]:
        quotes = await super().quotes(symbols, at)
        since = self.stands_still_since
        return quotes if since is None else {name: Quote(bid=q.bid, ask=q.ask, at=since) for name, q in quotes.items()}


class SlowBroker:
    """The embedded broker behind a line that takes its time, and loses the first answers that it is told to lose."""

    name = "paper"
    host = "embedded"

    def __init__(self, inner: PaperBroker, clock: SimulatedClock) -> None:
        self.account_id = inner.account_id
        self.seconds = 0.0
        self.lost = 0
        self.heard: list[tuple[str, dt.datetime]] = []
        """Requests, and when they really were sent."""
        self.meanwhile: Callable[[], None] = lambda: None
        """What happens when it is asked for an order."""
        self._inner, self._clock = inner, clock

    def _hear(self, what: str) -> None:
        self.heard.append((what, self._clock.now()))
        self._clock.advance_to(self._clock.now() + dt.timedelta(seconds=self.seconds))

    def sent(self, what: str) -> list[float]:
        """Return when requests of a kind were sent, seconds after the decision time."""
        return [(at - DECIDED_AT).total_seconds() for heard, at in self.heard if heard == what]

    async def submit(
        self, ticket: Ticket, *, number: int, contracts: int, limit_credit: float, at: dt.datetime
    ) -> OrderUpdate:
        self._hear("submit")
        if self.lost:
            self.lost -= 1
            raise BrokerError("it did not end in time")
        return await self._inner.submit(ticket, number=number, contracts=contracts, limit_credit=limit_credit, at=at)

    async def cancel(self, order_id: str, *, at: dt.datetime) -> OrderUpdate:
        self._hear("cancel")
        return await self._inner.cancel(order_id, at=at)

    async def find(self, order_id: str, *, at: dt.datetime) -> OrderUpdate | None:
        self.heard.append(("find", self._clock.now()))
        self.meanwhile()
        return await self._inner.find(order_id, at=at)

    async def account(self, at: dt.datetime) -> Account:
        return await self._inner.account(at)

    async def positions(self, at: dt.datetime) -> Mapping[str, int]:
        return await self._inner.positions(at)

    async def working(self, at: dt.datetime) -> tuple[BrokerOrder, ...]:
        return await self._inner.working(at)

    async def settlements(self, symbols: Sequence[str], *, at: dt.datetime) -> Mapping[str, LegSettlement]:
        return await self._inner.settlements(symbols, at=at)


class Bench:
    """A live market, its clock, a slow broker, and one reserved ticket."""

    def __init__(
        self, path: Path, market: LiveMarket, broker: SlowBroker, ledger: Ledger, clock: SimulatedClock
    ) -> None:
        self.path, self.market, self.broker, self.ledger, self.clock = path, market, broker, ledger, clock
        self.ticket = a_ticket()
        ledger.reserve(lambda _, __: (None, self.ticket), slot=self.ticket.slot)
        market.quote(self.ticket.spread, short=(1.05, 1.15), long=(0.10, 0.16))

    @property
    def trading(self) -> Trading:
        trading = trading_on(self.market, self.broker, self.ledger)
        return dataclasses.replace(trading, wait=self.clock.sleep_until, present=present_of(self.market, self.clock))

    def execute(self) -> Execution:
        return asyncio.run(executed(self.ticket, self.trading))

    def close(self, late: dt.timedelta = dt.timedelta()) -> None:
        """Close what the entry opened in a pass of `LATER`, so long after it began."""
        (position,) = self.ledger.open_positions(LATER)
        self.clock.advance_to(LATER + late)
        close = Close(position=position, contracts=position.contracts, rule="stop_loss", urgent=True)
        asyncio.run(close_positions([close], self.trading, slot="monitor-1", at=LATER))

    def halt(self) -> None:
        """Halt the desk, as another process does."""
        halt_file(self.path).touch()

    def goes_away(self, after: dt.datetime) -> None:
        """Let the market go where no price of an order fills."""
        self.market.quote_from(after, self.ticket.spread, short=(0.50, 0.60), long=(0.40, 0.50))


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    path, market, clock = open_database(tmp_path / "mahler.db", create=True), LiveMarket(), SimulatedClock(DECIDED_AT)
    record_candidates(path, "run.1")
    with (
        PaperBroker(path, market, concession=0.66, commission=0.0) as paper,
        Ledger(path, paper.account_id) as ledger,
    ):
        yield Bench(path, market, SlowBroker(paper, clock), ledger, clock)


def test_orders_that_begin_late_have_30_seconds_at_each_price_all_the_same(bench: Bench) -> None:
    bench.clock.advance_to(DECIDED_AT + dt.timedelta(seconds=40))
    bench.goes_away(DECIDED_AT + dt.timedelta(microseconds=1))
    assert bench.execute().reason is Reason.UNFILLED
    submitted, canceled = bench.broker.sent("submit"), bench.broker.sent("cancel")
    assert submitted[0] == 40
    assert [end - begin for begin, end in zip(submitted, canceled, strict=True)] == [STEP] * len(submitted)


def test_a_price_has_its_30_seconds_from_when_a_slow_broker_has_taken_it(bench: Bench) -> None:
    bench.broker.seconds = 20.0
    bench.goes_away(DECIDED_AT + dt.timedelta(microseconds=1))
    assert bench.execute().reason is Reason.UNFILLED
    submitted, canceled = bench.broker.sent("submit"), bench.broker.sent("cancel")
    assert [end - begin for begin, end in zip(submitted, canceled, strict=True)] == [20 + STEP] * len(submitted)


def test_an_urgent_exit_of_a_pass_that_began_minutes_ago_rests_before_it_is_canceled(bench: Bench) -> None:
    bench.execute()
    (position,) = bench.ledger.open_positions(LATER)
    bench.broker.heard.clear()
    bench.market.quote_from(LATER + dt.timedelta(microseconds=1), position.spread, short=(4.0, 4.5), long=(0.1, 0.2))
    bench.close(late=dt.timedelta(minutes=2))
    (submitted,), (canceled,) = bench.broker.sent("submit"), bench.broker.sent("cancel")
    assert canceled - submitted == STEP


def test_the_grace_of_a_lost_answer_begins_when_it_is_lost_and_not_when_it_was_asked_for(bench: Bench) -> None:
    bench.broker.seconds, bench.broker.lost = 10.0, 1
    bench.execute()
    assert bench.broker.sent("find")[:5] == [11, 12, 14, 18, 20]
    assert bench.broker.sent("submit")[:2] == [0, 20]


def test_an_entry_whose_answer_was_lost_is_not_sent_again_after_a_halt(bench: Bench) -> None:
    bench.broker.lost, bench.broker.meanwhile = 1, bench.halt
    with pytest.raises(BrokerError, match="is not sent again"):
        bench.execute()
    assert bench.broker.sent("submit") == [0]
    assert bench.broker.sent("find")[-1] == bench.trading.grace.total_seconds(), "it is looked for to the end"
    assert len(bench.ledger.exposures()) == 1, "it may be filled yet, and counts as risk"
    assert bench.ledger.open_positions(LATER) == ()


def test_an_exit_whose_answer_was_lost_is_sent_again_whatever_is_halted(bench: Bench) -> None:
    bench.execute()
    bench.broker.heard.clear()
    bench.broker.lost, bench.broker.meanwhile = 1, bench.halt
    bench.close()
    first, second = bench.broker.sent("submit")
    assert second - first == bench.trading.grace.total_seconds()
    assert bench.ledger.open_positions(LATER + dt.timedelta(hours=1)) == ()


def test_an_entry_is_not_priced_on_a_feed_that_stands_still(bench: Bench) -> None:
    bench.market.stands_still_since = DECIDED_AT - dt.timedelta(seconds=bench.market.max_quote_age_seconds + 1)
    assert bench.execute().reason is Reason.NO_QUOTE
    assert bench.broker.heard == []


def test_an_entry_whose_time_has_come_after_the_close_is_not_sent(bench: Bench) -> None:
    bench.clock.advance_to(dt.datetime(2026, 3, 16, 20, 0, tzinfo=dt.UTC))
    assert bench.execute().reason is Reason.EXPIRED
    assert bench.broker.heard == []
