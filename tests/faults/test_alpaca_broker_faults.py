"""Faults of Alpaca at every request that an order needs: one intent, one order, and books that agree in the end."""

import asyncio
import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from alpaca.trading.enums import QueryOrderStatus
from alpaca.trading.requests import GetOrdersRequest
from broker_worlds import START, Hands, World, an_api, an_entry, some_spread
from conftest import SOAK
from trading_builders import record_candidates

from mahler_agents.execution import Close, Ledger, OrderTicket, Trading, close_positions, execute, reconcile
from mahler_agents.execution.alpaca.broker import AlpacaBroker
from mahler_agents.execution.orders import PENDING_STATES
from mahler_agents.market.sample import SampleMarket
from mahler_agents.record import connect, open_database
from mahler_agents.remote_clock import RemoteClock
from mahler_agents.testing.fake_alpaca import FAULTS, FakeAlpaca
from mahler_agents.testing.fake_alpaca.faults import OF_AN_ORDER, Fault

ROUTES = {
    "submit": "POST /v2/orders",
    "cancel": "DELETE /v2/orders/{}",
    "find": "GET /v2/orders:by_client_order_id",
    "ask": "GET /v2/orders/{}",
}
TABLE = [
    (fault, request)
    for fault in FAULTS
    for request, route in ROUTES.items()
    if OF_AN_ORDER.get(Fault(fault), route) == route
]
TIMEOUT = 0.3
CONTRACTS = 6
FAULTS_THAT_LAST = ["reset_after", "500", "html", *(["timeout_after", "slow_drip", "429"] if SOAK else [])]
"""Without the slow ones in `make test`: each of many requests would be waited for."""


class FaultyDesk:
    """The ledger and the broker of one account on a fake server whose faults are scripted, and both their books."""

    def __init__(self, fake: FakeAlpaca, path: Path, stack: ExitStack) -> None:
        self.fake, self.market = fake, SampleMarket()
        self.database = open_database(path / "mahler.db", create=True)
        record_candidates(self.database, "run.1")
        self.clock = RemoteClock(fake.url)
        self.api = stack.enter_context(an_api(fake.environ, timeout=TIMEOUT))
        self.broker = asyncio.run(AlpacaBroker.open(self.api, self.market, self.clock))
        self.ledger = stack.enter_context(Ledger(self.database, self.broker.account_id))
        self.trading = Trading(
            market=self.market,
            broker=self.broker,
            ledger=self.ledger,
            wait=self.clock.sleep_until,
            concession=0.66,
            grace=dt.timedelta(seconds=10),
        )

    def enter(self) -> OrderTicket:
        """Reserve and work an entry; whatever goes wrong with it stays in the ledger."""
        world = World(self.broker, self.market, Hands(self.fake.now))
        ticket = an_entry(world, some_spread(world), contracts=CONTRACTS)
        reserved = self.ledger.reserve(lambda *_: (None, ticket), slot=ticket.slot)
        assert reserved.ticket is not None

        async def worked() -> None:
            async for _ in execute([ticket], self.trading):
                pass

        asyncio.run(worked())
        return ticket

    def close(self) -> None:
        """Buy back whatever is open, and as slowly as a target may."""
        open_now = self.ledger.open_positions(self.fake.now)
        closes = [Close(position=one, contracts=one.contracts, rule="target", urgent=False) for one in open_now]
        asyncio.run(close_positions(closes, self.trading, slot="exit", at=self.fake.now))

    def put_right(self) -> None:
        """Reconcile once nothing fails any more."""
        self.fake.forget_faults()
        self.fake.advance_to(self.fake.now + dt.timedelta(seconds=30))
        asyncio.run(reconcile(self.trading, at=self.fake.now))

    def rows(self, query: str) -> Sequence[Any]:
        """Return rows of the ledger."""
        connection = connect(self.database)
        try:
            return connection.execute(query).fetchall()
        finally:
            connection.close()

    def orders(self) -> list[dict[str, Any]]:
        """Return all orders at the server, oldest first."""
        wanted = GetOrdersRequest(status=QueryOrderStatus.ALL, limit=500, nested=True)
        return self.api.trading.get_orders(wanted)[::-1]

    def check_books(self) -> None:
        """Assert that the ledger's books are the server's, to the contract and to the cent."""
        books = self.fake.books()
        pending = ", ".join(f"'{state.value}'" for state in PENDING_STATES)
        assert self.rows(f"SELECT * FROM orders WHERE state IN ({pending})") == []
        assert [order for order in books["orders"] if order["status"] in {"new", "partially_filled"}] == []
        assert self.held() == books["positions"]
        received = sum(
            round(contracts * credit * 10_000) - round(fees * 100)
            for contracts, credit, fees in self.rows("SELECT contracts, credit, fees FROM fills")
        )
        assert 10_000_000 + received == books["cash_cents"]

    def held(self) -> Mapping[str, int]:
        """Return the ledger's legs, signed."""
        held: dict[str, int] = {}
        for one in self.ledger.open_positions(self.fake.now + dt.timedelta(days=1)):
            held[one.spread.short_symbol] = held.get(one.spread.short_symbol, 0) - one.contracts
            held[one.spread.long_symbol] = held.get(one.spread.long_symbol, 0) + one.contracts
        return dict(sorted(held.items()))

    def check_one_order(self, prefix: str, contracts: int) -> None:
        """Assert that an intent never had two live orders, and never more contracts than it asked for."""
        ours = [order for order in self.orders() if order["client_order_id"].startswith(prefix)]
        assert sum(int(order["filled_qty"]) for order in ours) <= contracts
        assert len({order["client_order_id"] for order in ours}) == len(ours)
        for before, after in pairwise(ours):
            ends = [before[name] for name in ("filled_at", "canceled_at", "expired_at", "failed_at") if before[name]]
            ended = max(dt.datetime.fromisoformat(end) for end in ends)
            assert ended <= dt.datetime.fromisoformat(after["created_at"])


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[FaultyDesk]:
    with ExitStack() as stack:
        # Halfway to natural an order fills: it has to be worked, and has been canceled some times by then.
        fake = stack.enter_context(FakeAlpaca(start=START, fill_at=0.5))
        yield FaultyDesk(fake, tmp_path, stack)


@pytest.mark.parametrize("skip", [0, 1, 2] if SOAK else [0])
@pytest.mark.parametrize(("fault", "request_"), TABLE)
def test_whatever_fails_an_intent_is_one_order_and_the_books_agree(
    desk: FaultyDesk, fault: str, request_: str, skip: int
) -> None:
    desk.fake.fail(ROUTES[request_], fault, skip=skip)
    ticket = desk.enter()
    desk.put_right()
    desk.check_one_order(ticket.client_order_id, CONTRACTS)
    desk.check_books()
    desk.fake.fail(ROUTES[request_], fault, skip=skip)
    desk.close()
    desk.put_right()
    desk.check_books()


@pytest.mark.parametrize("request_", ROUTES)
@pytest.mark.parametrize("fault", FAULTS_THAT_LAST)
def test_a_fault_that_lasts_leaves_a_pending_order_that_is_put_right_when_it_has_passed(
    desk: FaultyDesk, fault: str, request_: str
) -> None:
    desk.fake.fail(ROUTES[request_], fault, times=1000)
    ticket = desk.enter()
    desk.put_right()
    desk.check_one_order(ticket.client_order_id, CONTRACTS)
    desk.check_books()


def test_the_table_names_every_fault_of_the_fake() -> None:
    assert {fault for fault, _ in TABLE} == set(FAULTS)
