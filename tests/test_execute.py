"""Execution: fresh quotes at the decision time, prices that concede, what is not sent, and what stays pending."""

import asyncio
import datetime as dt
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trading_builders import (
    DECIDED_AT,
    LATER,
    QuotedMarket,
    Side,
    a_spread_quote,
    a_ticket,
    record_candidates,
)

from mahler_agents.errors import BrokerError, MahlerError, MarketError
from mahler_agents.execution import (
    Broker,
    BrokerOrder,
    Close,
    Execution,
    Ledger,
    LegSettlement,
    OrderState,
    OrderStatus,
    OrderTicket,
    OrderUpdate,
    PaperBroker,
    Ticket,
    Trading,
    close_positions,
    execute,
    lowest_credit,
    reconcile,
)
from mahler_agents.execution.orders import closing_debit, round_down_to_cent, round_up_to_cent
from mahler_agents.execution.prices import entry_prices, exit_prices
from mahler_agents.market.snapshot import Account
from mahler_agents.record import connect, open_database
from mahler_agents.types import Reason

CONCESSION = 0.66
SHORT, LONG = (1.00, 1.10), (0.06, 0.14)
"""Mid 0.95, natural 0.86, two thirds of the way 0.89."""


GRACE = dt.timedelta(seconds=10)


class WatchedBroker:
    """An embedded broker that notes the state of the order when it hears of it, and can be told to fail."""

    name = "paper"
    host = "embedded"

    def __init__(self, inner: PaperBroker, path: Path) -> None:
        self.account_id = inner.account_id
        self.heard: list[tuple[str, str, float | None, dt.datetime]] = []
        self.answer: OrderUpdate | Exception | None = None
        self.lost: dict[tuple[str, int], str] = {}
        """Request and its number, from 1 -> what of it is lost: the `answer`, or the `request`."""
        self.away = False
        """It cannot be asked for an order."""
        self._inner = inner
        self._path = path

    async def account(self, at: dt.datetime) -> Account:
        return await self._inner.account(at)

    async def positions(self, at: dt.datetime) -> Mapping[str, int]:
        return await self._inner.positions(at)

    async def working(self, at: dt.datetime) -> tuple[BrokerOrder, ...]:
        return await self._inner.working(at)

    async def submit(
        self, ticket: Ticket, *, number: int, contracts: int, limit_credit: float, at: dt.datetime
    ) -> OrderUpdate:
        self._hear("submit", ticket.client_order_id, limit_credit, at)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer or await self._or_lost(
            "submit",
            self._inner.submit(ticket, number=number, contracts=contracts, limit_credit=limit_credit, at=at),
        )

    async def cancel(self, order_id: str, *, at: dt.datetime) -> OrderUpdate:
        self._hear("cancel", order_id.rpartition(".")[0], None, at)
        return await self._or_lost("cancel", self._inner.cancel(order_id, at=at))

    async def find(self, order_id: str, *, at: dt.datetime) -> OrderUpdate | None:
        if self.away:
            raise BrokerError("connection refused")
        return await self._inner.find(order_id, at=at)

    async def settlements(self, symbols: Sequence[str], *, at: dt.datetime) -> Mapping[str, LegSettlement]:
        return await self._inner.settlements(symbols, at=at)

    async def _or_lost(self, what: str, request: Coroutine[Any, Any, OrderUpdate]) -> OrderUpdate:
        number = sum(heard[0] == what for heard in self.heard)
        lost = self.lost.get((what, number))
        if lost == "request":
            request.close()
        answer = None if lost == "request" else await request
        if answer is None or lost:
            raise BrokerError("connection reset")
        return answer

    def _hear(self, what: str, client_order_id: str, price: float | None, at: dt.datetime) -> None:
        self.heard.append((what, state_of(self._path, client_order_id), price, at))


class Bench:
    """A market, a ledger and a broker on one record, with one reserved ticket at a limit of 0.80."""

    def __init__(self, path: Path, market: QuotedMarket, ledger: Ledger, broker: WatchedBroker) -> None:
        self.path, self.market, self.ledger, self.broker = path, market, ledger, broker
        self.ticket = a_ticket()
        self.waited: list[dt.datetime] = []
        ledger.reserve(lambda *_: (None, self.ticket), slot=self.ticket.slot)

    def quote(self, short: Side, long: Side) -> None:
        self.market.quote(self.ticket.spread, short=short, long=long)

    @property
    def trading(self) -> Trading:
        broker: Broker = self.broker
        return Trading(
            market=self.market,
            broker=broker,
            ledger=self.ledger,
            wait=self.wait,
            concession=CONCESSION,
            grace=GRACE,
        )

    def execute(self) -> Execution:
        [ended] = self.execute_all(self.ticket)
        if isinstance(ended, MahlerError):
            raise ended
        return ended

    def execute_all(self, *tickets: OrderTicket) -> list[Execution | MahlerError]:
        async def run() -> list[Execution | MahlerError]:
            return [ended async for _, ended in execute(tickets, self.trading)]

        return asyncio.run(run())

    async def wait(self, instant: dt.datetime) -> None:
        self.waited.append(instant)

    def close(
        self, *, slot: str = "monitor-1", urgent: bool = True, contracts: int | None = None
    ) -> OrderStatus | None:
        (position,) = self.ledger.open_positions(LATER)
        close = Close(
            position=position,
            contracts=contracts or position.contracts,
            rule="stop_loss" if urgent else "profit_target",
            urgent=urgent,
        )
        [ended] = asyncio.run(close_positions([close], self.trading, slot=slot, at=LATER))
        if isinstance(ended, MahlerError):
            raise ended
        return ended

    @property
    def state(self) -> str:
        return state_of(self.path, self.ticket.client_order_id)


def state_of(path: Path, client_order_id: str) -> str:
    with closing(connect(path)) as connection:
        row = connection.execute("SELECT state FROM orders WHERE client_order_id = ?", (client_order_id,)).fetchone()
    return row["state"]


def rows(path: Path, sql: str) -> list[tuple[Any, ...]]:
    with closing(connect(path)) as connection:
        return [tuple(row) for row in connection.execute(sql)]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    path = open_database(tmp_path / "mahler.db", create=True)
    record_candidates(path, "run.1")
    market = QuotedMarket()
    with (
        PaperBroker(path, market, concession=CONCESSION, commission=1.0) as paper,
        Ledger(path, paper.account_id) as ledger,
    ):
        bench = Bench(path, market, ledger, WatchedBroker(paper, path))
        bench.quote(SHORT, LONG)
        yield bench


# --- Entries ----------------------------------------------------------------------------------------------------------


def test_a_ticket_is_sent_on_the_quotes_of_its_decision_time_and_its_fill_is_booked(bench: Bench) -> None:
    execution = bench.execute()
    assert (execution.state, execution.reason, execution.ticket) == (
        OrderState.FILLED,
        Reason.FILLED,
        bench.ticket,
    )
    assert execution.quote == a_spread_quote(SHORT, LONG)
    assert execution.traded is not None
    assert (execution.traded.credit, execution.traded.contracts, execution.traded.fees) == (0.89, 4, 8.0)
    assert bench.market.asked[0] == (
        (bench.ticket.spread.short_symbol, bench.ticket.spread.long_symbol),
        DECIDED_AT,
    )
    (position,) = bench.ledger.open_positions(LATER)
    assert (position.entry_credit, position.contracts) == (0.89, 4)


def after(seconds: int, since: dt.datetime = DECIDED_AT) -> dt.datetime:
    return since + dt.timedelta(seconds=seconds)


def test_an_order_concedes_every_30_seconds_from_the_decision_time_on(bench: Bench) -> None:
    bench.execute()
    prices = (0.95, 0.93, 0.92, 0.91, 0.90, 0.89)
    submitted = [("submit", "sent", price, after(30 * step)) for step, price in enumerate(prices)]
    canceled = [("cancel", "accepted", None, after(30 * step)) for step in range(1, len(prices))]
    heard = sorted([*submitted, *canceled], key=lambda one: (one[3], one[0]))
    assert bench.broker.heard == heard  # each is canceled before the next is sent
    assert bench.waited == [after(seconds) for seconds in (30, 60, 90, 120, 150)]
    assert rows(bench.path, "SELECT number, contracts, limit_credit, state FROM order_attempts ORDER BY number") == [
        (number, 4, price, "filled" if price == 0.89 else "canceled") for number, price in enumerate(prices, 1)
    ]


def test_a_price_is_on_disk_before_the_broker_hears_of_it(bench: Bench) -> None:
    bench.broker.answer = BrokerError("timeout after acceptance")
    with pytest.raises(BrokerError):
        bench.execute()
    assert rows(bench.path, "SELECT limit_credit, state FROM order_attempts") == [(0.95, "unknown")]


def test_quotes_that_come_towards_an_order_fill_it_before_it_has_conceded(bench: Bench) -> None:
    better = {"short": (1.10, 1.20), "long": (0.06, 0.14)}  # 0.99 at 66 %
    bench.market.quote_from(after(60), bench.ticket.spread, **better)
    execution = bench.execute()
    assert execution.traded is not None
    assert (execution.traded.credit, execution.traded.at) == (0.93, after(60))
    assert [heard[0] for heard in bench.broker.heard] == ["submit", "cancel", "submit"]


def test_quotes_that_go_away_from_an_order_leave_it_unfilled_30_seconds_after_its_last_price(bench: Bench) -> None:
    worse = {"short": (0.95, 1.05), "long": (0.06, 0.14)}  # 0.84 at 66 %
    bench.market.quote_from(after(30), bench.ticket.spread, **worse)
    execution = bench.execute()
    assert (execution.state, execution.reason, execution.traded) == (OrderState.CANCELED, Reason.UNFILLED, None)
    assert execution.lowest_asked == 0.89
    assert bench.broker.heard[-1] == ("cancel", "accepted", None, after(180))
    assert bench.ledger.exposures() == ()


@pytest.mark.parametrize("missing", [("short_symbol",), ("long_symbol",), ("short_symbol", "long_symbol")])
def test_a_leg_without_a_quote_ends_as_no_quote_and_nothing_is_sent(bench: Bench, missing: tuple[str, ...]) -> None:
    bench.market.unquote(*(getattr(bench.ticket.spread, leg) for leg in missing))
    execution = bench.execute()
    assert execution == Execution(ticket=bench.ticket, state=OrderState.CANCELED, reason=Reason.NO_QUOTE)
    assert (bench.state, bench.broker.heard, bench.ledger.exposures()) == ("canceled", [], ())


@pytest.mark.parametrize(
    ("short", "long", "reason"),
    [
        ((0.91, 1.01), (0.06, 0.14), Reason.FILLED),  # mid 0.86, 0.8006 at 66 %: filled at the floor
        ((0.90, 1.00), (0.06, 0.14), Reason.UNFILLED),  # mid 0.85, 0.7906 at 66 %: the floor is out of reach
        ((0.85, 0.95), (0.06, 0.14), Reason.UNFILLED),  # mid 0.80: at the floor
        ((0.84, 0.94), (0.06, 0.14), Reason.QUOTE_MOVED),  # mid 0.79
        ((0.00, 0.05), (0.00, 0.05), Reason.QUOTE_MOVED),  # mid 0
        ((0.06, 0.14), (0.90, 1.00), Reason.QUOTE_MOVED),  # the long leg is the dearer one
        ((5.00, 5.20), (0.06, 0.14), Reason.QUOTE_MOVED),  # 5.00 for a width of 5: a quote is wrong
        ((6.00, 6.20), (0.06, 0.14), Reason.QUOTE_MOVED),
    ],
)
def test_where_the_quote_went_decides_how_the_order_ends(bench: Bench, short, long, reason: Reason) -> None:
    bench.quote(short, long)
    execution = bench.execute()
    assert execution.reason is reason
    assert execution.quote == a_spread_quote(short, long)
    assert bool(bench.broker.heard) == (reason is not Reason.QUOTE_MOVED)
    assert rows(bench.path, "SELECT state, reason, short_bid FROM orders") == [
        ("filled" if reason is Reason.FILLED else "canceled", reason.value, short[0])
    ]
    assert len(bench.ledger.exposures()) == (reason is Reason.FILLED)


@given(
    bid=st.integers(1, 500),
    short_spread=st.integers(0, 30),
    long_bid=st.integers(0, 300),
    long_spread=st.integers(0, 30),
)
def test_a_mid_of_exactly_the_limit_has_not_moved_below_it(bid, short_spread, long_bid, long_spread) -> None:
    """Binary fractions: 1.15 - 0.70 is less than 0.45."""
    short, long = (
        (bid / 100, (bid + 2 * short_spread + 1) / 100),
        (long_bid / 100, (long_bid + 2 * long_spread + 1) / 100),
    )
    exact_cents = (bid + short_spread) - (long_bid + long_spread)  # the two half cents cancel out
    assert round_down_to_cent(a_spread_quote(short, long).mid_credit) == exact_cents / 100


def test_an_order_that_the_broker_rejects_is_booked_as_rejected(bench: Bench) -> None:
    bench.broker.answer = OrderUpdate(state=OrderState.REJECTED, broker_order_id="b-1")
    execution = bench.execute()
    assert (execution.state, execution.reason, execution.traded) == (OrderState.REJECTED, Reason.REJECTED, None)
    assert rows(bench.path, "SELECT state, reason FROM orders") == [("rejected", "rejected")]


def test_an_order_of_which_nothing_is_known_stays_pending_and_keeps_counting_as_risk(bench: Bench) -> None:
    bench.broker.answer = BrokerError("timeout after acceptance")
    with pytest.raises(BrokerError, match="timeout after acceptance"):
        bench.execute()
    assert bench.state == "unknown"
    assert bench.waited == [after(seconds) for seconds in (1, 2, 4, 8, 10, 11, 12, 14, 18, 20)]
    assert [heard[0] for heard in bench.broker.heard] == ["submit", "submit"]  # once more, under the same id
    (exposure,) = bench.ledger.exposures()
    assert exposure.pending
    assert exposure.risk_dollars == pytest.approx(1_680)


@pytest.mark.parametrize("lost", ["request", "answer"])
@pytest.mark.parametrize("what", [("submit", 1), ("submit", 2), ("submit", 6), ("cancel", 1), ("cancel", 5)])
def test_a_lost_request_or_answer_is_asked_after_and_nothing_is_assumed(
    bench: Bench, what: tuple[str, int], lost: str
) -> None:
    bench.broker.lost[what] = lost
    execution = bench.execute()
    assert bench.state == execution.state.value == "filled"
    assert execution.traded is not None
    assert (execution.traded.contracts, execution.traded.credit) == (4, 0.89)
    cash = asyncio.run(bench.broker.account(LATER)).cash
    assert cash == pytest.approx(100_000 + 4 * 89 - 8)  # once, however often it was sent


def test_an_order_that_will_not_be_canceled_stays_pending(bench: Bench) -> None:
    bench.market.quote_from(after(30), bench.ticket.spread, short=(0.95, 1.05), long=(0.06, 0.14))
    bench.broker.lost = {("cancel", number): "request" for number in range(1, 9)}
    with pytest.raises(
        BrokerError, match=r"was asked to cancel order .*\.1, which is accepted still \(connection reset\)"
    ):
        bench.execute()
    assert bench.state == "accepted"
    assert len(bench.ledger.exposures()) == 1


def test_a_pending_order_that_cannot_be_reconciled_keeps_no_other_pending(bench: Bench) -> None:
    unknown, sent = a_ticket(slot="lost", attempt=2), bench.ticket
    bench.ledger.reserve(lambda *_: (None, unknown), slot="lost")
    quote = a_spread_quote(SHORT, LONG)
    attempts = [
        bench.ledger.attempt(ticket, limit_credit=0.9, at=DECIDED_AT, quote=quote) for ticket in (unknown, sent)
    ]
    accepted = OrderUpdate(state=OrderState.ACCEPTED, broker_order_id="of another account")
    bench.ledger.book(attempts[0], accepted, over=True)
    [first, second] = asyncio.run(reconcile(bench.trading, at=LATER))
    by_id = {one.client_order_id: one for one in (first, second)}
    assert by_id[sent.client_order_id].outcome is Reason.ABANDONED
    assert "does not know order" in (by_id[unknown.client_order_id].error or "")
    assert [one.ticket for one in bench.ledger.pending()] == [unknown]


def test_a_market_that_is_down_cancels_the_intent_since_nothing_was_sent(bench: Bench) -> None:
    bench.market.down = True
    with pytest.raises(MarketError, match="the market is down"):
        bench.execute()
    assert (bench.state, bench.broker.heard) == ("canceled", [])
    assert bench.ledger.exposures() == ()


# --- Prices -----------------------------------------------------------------------------------------------------------


def test_an_entry_goes_in_five_equal_steps_from_mid_to_66_percent_of_the_way() -> None:
    quote = a_spread_quote((2.00, 2.50), (0.00, 0.50))  # mid 2.00, natural 1.50; a hundredth of the way is half a cent
    assert entry_prices(quote, concession=0.50, floor=0.01) == (2.00, 1.95, 1.90, 1.85, 1.80, 1.75)
    assert entry_prices(quote, concession=CONCESSION, floor=0.01) == (2.00, 1.93, 1.86, 1.80, 1.73, 1.67)
    assert entry_prices(quote, concession=1.0, floor=0.01)[-1] == 1.50
    assert entry_prices(quote, concession=0.0, floor=0.01) == (2.00,)


def test_steps_stop_at_the_floor_and_repeat_no_price() -> None:
    quote = a_spread_quote((2.00, 2.50), (0.00, 0.50))
    assert entry_prices(quote, concession=CONCESSION, floor=1.88) == (2.00, 1.93, 1.88)
    tight = a_spread_quote((1.00, 1.01), (0.10, 0.11))
    assert entry_prices(tight, concession=CONCESSION, floor=0.01) == (0.90, 0.89)


quotes = st.tuples(st.integers(0, 900), st.integers(0, 120), st.integers(0, 900), st.integers(0, 120)).map(
    lambda cents: a_spread_quote(
        (cents[0] / 100, (cents[0] + cents[1] + 1) / 100), (cents[2] / 100, (cents[2] + cents[3] + 1) / 100)
    )
)


@given(quotes, st.floats(0, 1), st.integers(1, 500))
def test_steps_fall_in_whole_cents_from_mid_and_never_below_floor_or_concession(quote, concession, floor_cents) -> None:
    floor = floor_cents / 100
    steps = entry_prices(quote, concession=concession, floor=floor)
    assert 1 <= len(steps) <= 6
    assert list(steps) == sorted(set(steps), reverse=True)
    assert all(step == round(step, 2) for step in steps)
    assert steps[-1] >= floor
    assert steps[0] == max(floor, round_down_to_cent(quote.mid_credit))
    assert steps[-1] == floor or abs(steps[-1] - quote.credit_at(concession)) < 0.010001


@given(st.floats(0.01, 10), st.floats(0.01, 1))
def test_the_lowest_credit_is_in_whole_cents_and_never_above_its_share(credit: float, share: float) -> None:
    lowest = lowest_credit(credit, share)
    assert lowest == round(lowest, 2)
    assert lowest >= 0.01
    assert lowest <= max(0.01, credit * share + 1e-6)
    assert lowest > credit * share - 0.01


def test_a_credit_of_0_80_may_concede_to_0_60() -> None:
    assert lowest_credit(0.80, 0.75) == 0.60
    assert lowest_credit(0.01, 0.75) == 0.01


@given(st.integers(-100_000, 100_000))
def test_whole_cents_stay_what_they_are(cents: int) -> None:
    assert round_down_to_cent(cents / 100) == cents / 100
    assert round_down_to_cent(cents / 100 + 0.0049) == cents / 100


@given(quotes)
def test_a_closing_order_pays_natural_rounded_up_within_zero_and_the_width(quote) -> None:
    natural = quote.short.ask - quote.long.bid
    debit = closing_debit(quote, 5.0)
    assert 0 <= debit <= 5
    assert debit == round(debit, 2)
    if 0 <= natural <= 5:
        assert natural - 1e-6 <= debit < natural + 0.01


@given(quotes)
def test_a_patient_exit_goes_from_mid_to_natural_in_whole_cents_and_an_urgent_one_begins_there(quote) -> None:
    patient, urgent = (exit_prices(quote, 5.0, urgent=urgent) for urgent in (False, True))
    natural = 0.0 - closing_debit(quote, 5.0)
    assert urgent == (natural,)
    assert patient[-1] == natural
    assert 1 <= len(patient) <= 6
    assert list(patient) == sorted(set(patient), reverse=True)
    assert all(price == round(price, 2) and -5 <= price <= 0 for price in patient)
    assert patient[0] == max(natural, min(0.0, -round_up_to_cent(quote.mid_credit)))


def test_a_target_exit_at_a_mid_of_0_15_and_a_natural_of_0_25_pays_two_cents_more_at_each_step() -> None:
    quote = a_spread_quote((0.20, 0.30), (0.05, 0.15))
    assert exit_prices(quote, 5.0, urgent=False) == (-0.15, -0.17, -0.19, -0.21, -0.23, -0.25)


# --- Exits ------------------------------------------------------------------------------------------------------------


def test_a_target_exit_concedes_and_is_filled_where_the_market_comes_to_it(bench: Bench) -> None:
    bench.execute()
    bench.broker.heard.clear()
    bench.quote((0.20, 0.30), (0.05, 0.15))  # mid 0.15, natural 0.25
    bench.market.quote_from(after(90, LATER), bench.ticket.spread, short=(0.20, 0.28), long=(0.08, 0.15))
    update = bench.close(urgent=False)
    assert update is not None
    assert update.traded is not None
    assert (update.traded.credit, update.traded.at) == (-0.20, after(90, LATER))
    prices = [heard[2] for heard in bench.broker.heard if heard[0] == "submit"]
    assert prices == [-0.15, -0.17, -0.19, -0.21]  # and pays no more than natural
    assert rows(bench.path, "SELECT rule, exit_debit FROM outcomes") == [("profit_target", 0.20)]


def test_half_of_a_position_is_closed_and_then_the_rest(bench: Bench) -> None:
    bench.execute()
    half = bench.close(contracts=2)
    assert half is not None
    assert half.contracts == 2
    [left] = bench.ledger.open_positions(LATER)
    assert (left.contracts, left.opened_contracts) == (2, 4)
    bench.close(slot="monitor-2")
    assert bench.ledger.open_positions(LATER) == ()
    cash = asyncio.run(bench.broker.account(LATER)).cash
    assert rows(bench.path, "SELECT COUNT(*), SUM(pnl_dollars) FROM outcomes") == [(2, pytest.approx(cash - 100_000))]


def test_a_position_is_bought_back_at_the_natural_side_and_booked(bench: Bench) -> None:
    bench.execute()
    bench.quote((2.00, 2.20), (0.30, 0.40))
    update = bench.close()
    assert update is not None
    assert update.traded is not None
    assert update.traded.credit == -1.90
    assert bench.broker.heard[-1] == ("submit", "sent", -1.90, LATER)
    assert bench.ledger.open_positions(LATER) == ()
    assert rows(bench.path, "SELECT rule, exit_debit, fees, pnl_dollars FROM outcomes") == [
        ("stop_loss", 1.90, 16.0, -420.0)  # (0.89 - 1.90) x 100 x 4 - 16
    ]


def test_an_outcome_is_what_the_account_gained(bench: Bench) -> None:
    bench.execute()
    bench.quote((0.20, 0.25), (0.02, 0.05))
    bench.close()
    cash = asyncio.run(bench.broker.account(LATER)).cash
    assert rows(bench.path, "SELECT pnl_dollars FROM outcomes") == [(pytest.approx(cash - 100_000),)]


def test_a_position_whose_leg_has_no_quote_is_not_closed_and_no_order_is_left_behind(bench: Bench) -> None:
    bench.execute()
    bench.market.unquote(bench.ticket.spread.long_symbol)
    assert bench.close() is None
    assert len(bench.ledger.open_positions(LATER)) == 1
    assert rows(bench.path, "SELECT COUNT(*) FROM orders") == [(1,)]


def test_an_exit_that_was_not_filled_leaves_the_position_open_for_the_next_pass(bench: Bench) -> None:
    bench.execute()
    bench.broker.answer = OrderUpdate(state=OrderState.CANCELED, broker_order_id="b-2")
    update = bench.close()
    assert update is not None
    assert update.reason is Reason.UNFILLED
    assert len(bench.ledger.open_positions(LATER)) == 1
    bench.broker.answer = None
    assert bench.close(slot="monitor-2") is not None
    assert bench.ledger.open_positions(LATER) == ()
