"""Orders happen once: whatever a broker loses, delays, part-fills or races, the ledger ends equal to its book."""

import asyncio
import datetime as dt
import itertools
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest
from broker_model import Chance, ModelBroker
from hypothesis import given, settings
from hypothesis import strategies as st
from trading_builders import LATER, QuotedMarket, a_spread, a_ticket, record_candidates, trading_on

from mahler_agents.execution import Close, Ledger, Trading, close_positions, execute, reconcile
from mahler_agents.record import connect, open_database

NUMBERS = itertools.count(1)
SPREADS = (a_spread(short=540.0), a_spread(short=530.0))


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One record for all examples, each of which has an account of its own."""
    path = open_database(tmp_path_factory.mktemp("once") / "shared.db", create=True)
    record_candidates(path, "run.1", "run.2")
    return path


class Desk:
    """A ledger of an account of its own, and a broker whose whims the example draws."""

    def __init__(self, path: Path, chance: Chance) -> None:
        self.path, self.account = path, f"account-{next(NUMBERS)}"
        self.broker = ModelBroker(chance)
        self.market = QuotedMarket()
        self.at = LATER
        for spread in SPREADS:
            self.market.quote(spread, short=(1.00, 1.10), long=(0.06, 0.14))

    def trading(self, ledger: Ledger) -> Trading:
        return trading_on(self.market, self.broker, ledger)

    def enter(self, ledger: Ledger) -> None:
        """Work entries in both spreads, whatever becomes of them."""
        tickets = [
            a_ticket(
                spread, contracts=4, slot=f"{self.account}-{rank}", account_id=self.account, candidate_id=f"run.{rank}"
            )
            for rank, spread in enumerate(SPREADS, 1)
        ]
        for ticket in tickets:
            ledger.reserve(lambda *_, ticket=ticket: (None, ticket), slot=ticket.slot)

        async def work() -> None:
            async for _ in execute(tickets, self.trading(ledger)):
                pass

        asyncio.run(work())

    def close(self, ledger: Ledger) -> None:
        """Close what is open, one spread of it patiently."""
        closes = [
            Close(position=one, contracts=one.contracts, rule="stop_loss", urgent=place == 0)
            for place, one in enumerate(ledger.open_positions(self.at))
        ]
        ended = asyncio.run(close_positions(closes, self.trading(ledger), slot=f"{self.at}", at=self.at))
        assert all(order is not None for order in ended)

    def put_right(self, ledger: Ledger) -> None:
        self.at += dt.timedelta(minutes=5)
        asyncio.run(reconcile(self.trading(ledger), at=self.at))

    def rows(self, sql: str) -> list[tuple[object, ...]]:
        with closing(connect(self.path)) as connection:
            return [tuple(row) for row in connection.execute(sql, (self.account,))]

    def holds(self) -> None:
        """Assert what must be so at any moment."""
        assert all(live <= 1 for live in self.broker.live_at_once.values())
        assert not self.rows(
            "SELECT client_order_id FROM orders JOIN fills USING (client_order_id) WHERE account_id = ?"
            " GROUP BY 1 HAVING SUM(fills.contracts) > MAX(orders.contracts)"
        )

    def agrees(self) -> None:
        """Assert that the ledger's fills are the broker's, attempt by attempt, and its positions what they make."""
        ours = self.rows(
            "SELECT client_order_id || '.' || attempt, SUM(fills.contracts),"
            " SUM(CAST(round(credit * 10000 * fills.contracts) AS INTEGER)), SUM(fees)"
            " FROM fills JOIN orders USING (client_order_id) WHERE account_id = ? GROUP BY 1 ORDER BY 1"
        )
        traded = {order_id: held.update.traded for order_id, held in sorted(self.broker.book.items())}
        assert ours == [
            (order_id, one.contracts, one.hundredths, one.fees) for order_id, one in traded.items() if one is not None
        ]
        assert not any(held.live for held in self.broker.book.values())


@settings(max_examples=60, deadline=None)
@given(draw=st.data())
def test_whatever_a_broker_does_there_is_one_live_order_and_no_fill_is_lost(shared: Path, draw: st.DataObject) -> None:
    left = 150

    def chance(question: str, words: Sequence[str]) -> str:
        nonlocal left
        left -= 1
        return draw.draw(st.sampled_from(words), label=question) if left > 0 else words[0]

    desk = Desk(shared, chance)
    with Ledger(shared, desk.account) as ledger:
        for phase in (desk.enter, desk.put_right, desk.close, desk.put_right, desk.close):
            desk.broker.requests_until_outage = draw.draw(st.none() | st.integers(0, 12), label="outage")
            if phase != desk.close or not ledger.pending():
                phase(ledger)
            desk.holds()
        left, desk.broker.requests_until_outage = 0, None  # it calms down
        for _ in range(2):
            desk.put_right(ledger)
        assert ledger.pending() == ()
    desk.holds()
    desk.agrees()
