"""A closing order that its owner changed at Alpaca, through real HTTP: it is ours still, and keeps no exit waiting."""

import asyncio
import datetime as dt
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from alpaca.trading.enums import QueryOrderStatus
from alpaca.trading.requests import GetOrdersRequest, ReplaceOrderRequest
from broker_worlds import START, Hands, World, an_api, an_entry, some_spread
from trading_builders import record_candidates

from mahler_agents.execution import (
    Close,
    Ledger,
    OrderState,
    OrderTicket,
    Position,
    Reconciled,
    Trading,
    attempt_id,
    close_positions,
    execute,
    reconcile,
)
from mahler_agents.execution.alpaca.broker import AlpacaBroker
from mahler_agents.execution.orders import ClosingTicket, client_order_id
from mahler_agents.market.sample import SampleMarket
from mahler_agents.record import open_database
from mahler_agents.remote_clock import RemoteClock
from mahler_agents.testing.fake_alpaca import FakeAlpaca
from mahler_agents.types import Reason


class Desk:
    """A ledger and Alpaca's broker on a fake server, with one position and an order to close it at work."""

    def __init__(self, fake: FakeAlpaca, path: Path, stack: ExitStack) -> None:
        self.fake, self.market, self.clock = fake, SampleMarket(), RemoteClock(fake.url)
        database = open_database(path / "mahler.db", create=True)
        record_candidates(database, "run.1")
        self.api = stack.enter_context(an_api(fake.environ))
        self.broker = asyncio.run(AlpacaBroker.open(self.api, self.market, self.clock))
        self.ledger = stack.enter_context(Ledger(database, self.broker.account_id))
        self.trading = Trading(
            market=self.market,
            broker=self.broker,
            ledger=self.ledger,
            wait=self.clock.sleep_until,
            concession=1.0,
            grace=dt.timedelta(seconds=10),
        )

    @property
    def position(self) -> Position:
        (position,) = self.ledger.open_positions(self.fake.now)
        return position

    def enter(self) -> None:
        world = World(self.broker, self.market, Hands(self.fake.now))
        ticket: OrderTicket = an_entry(world, some_spread(world), contracts=4)
        self.ledger.reserve(lambda *_: (None, ticket), slot=ticket.slot)

        async def worked() -> None:
            async for _ in execute([ticket], self.trading):
                pass

        asyncio.run(worked())

    def leave_an_exit_at_work(self) -> str:
        """Send a closing order that nobody fills, as a process that then dies; return its id."""
        position, at = self.position, self.fake.now
        order_id = client_order_id(
            account_id=self.broker.account_id, slot="died", spread=position.spread, purpose="exit", attempt=1
        )
        ticket = ClosingTicket(
            client_order_id=order_id,
            account_id=self.broker.account_id,
            slot="died",
            entry_order_id=position.entry_order_id,
            spread=position.spread,
            contracts=position.contracts,
            limit_debit=position.spread.width,
            rule="profit_target",
            decided_at=at,
        )
        self.ledger.intend_close(position, lambda _: ticket)
        attempt = self.ledger.attempt(ticket, limit_credit=-0.01, at=at)
        assert attempt is not None
        told = asyncio.run(self.broker.submit(ticket, number=1, contracts=4, limit_credit=-0.01, at=at))
        self.ledger.book(attempt, told, over=True)
        return attempt_id(order_id, 1)

    def change_by_hand(self, order_id: str, debit: float) -> None:
        """Change an order's limit, as its owner does in the dashboard."""
        self.fake.advance_to(self.fake.now + dt.timedelta(seconds=5))
        ours = self.api.trading.get_order_by_client_id(order_id)
        assert isinstance(ours, dict)
        self.api.trading.replace_order_by_id(
            ours["id"], ReplaceOrderRequest(limit_price=debit, client_order_id="by-hand")
        )
        self.fake.advance_to(self.fake.now + dt.timedelta(seconds=5))

    def reconcile(self) -> Reconciled:
        (ended,) = asyncio.run(reconcile(self.trading, at=self.fake.now))
        return ended

    def open_at_the_server(self) -> int:
        told = self.api.trading.get_orders(GetOrdersRequest(status=QueryOrderStatus.OPEN, nested=True))
        return len(told)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with FakeAlpaca(start=START) as fake, ExitStack() as stack:
        one = Desk(fake, tmp_path, stack)
        one.enter()
        yield one


def test_one_that_trades_at_the_owners_price_is_booked_at_that_price(desk: Desk) -> None:
    desk.change_by_hand(desk.leave_an_exit_at_work(), desk.position.spread.width - 0.01)
    assert desk.reconcile().outcome is Reason.FILLED
    assert desk.ledger.open_positions(desk.fake.now) == ()
    assert asyncio.run(desk.broker.positions(desk.fake.now)) == {}


def test_one_that_does_not_trade_is_canceled_and_the_next_exit_is_sent(desk: Desk) -> None:
    desk.change_by_hand(desk.leave_an_exit_at_work(), 0.02)
    ended = desk.reconcile()
    assert (ended.outcome, ended.error) == (Reason.UNFILLED, None)
    assert desk.open_at_the_server() == 0
    close = Close(position=desk.position, contracts=4, rule="stop_loss", urgent=True)
    (status,) = asyncio.run(close_positions([close], desk.trading, slot="next", at=desk.fake.now))
    assert getattr(status, "state", status) is OrderState.FILLED
    assert asyncio.run(desk.broker.positions(desk.fake.now)) == {}
