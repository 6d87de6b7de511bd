"""Execution: fresh quotes at the decision time, prices that concede, what is not sent, and what stays pending."""

import asyncio
import datetime as dt
from collections.abc import Iterator
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

from mahler_agents.errors import BrokerError, MarketError
from mahler_agents.execution import (
    Broker,
    ClosingTicket,
    Execution,
    Ledger,
    OrderState,
    OrderTicket,
    OrderUpdate,
    PaperBroker,
    close_position,
    execute,
    lowest_credit,
)
from mahler_agents.execution.execute import concession_steps
from mahler_agents.execution.orders import closing_debit, round_down_to_cent
from mahler_agents.market.snapshot import Account
from mahler_agents.record import connect, open_database
from mahler_agents.types import Reason

CONCESSION = 0.66
SHORT, LONG = (1.00, 1.10), (0.06, 0.14)
"""Mid 0.95, natural 0.86, two thirds of the way 0.89."""


class WatchedBroker:
    """An embedded broker that notes the state of the order when it hears of it, and can be told to fail."""

    name = "paper"

    def __init__(self, inner: PaperBroker, path: Path) -> None:
        self.account_id = inner.account_id
        self.heard: list[tuple[str, tuple[float, ...]]] = []
        self.answer: OrderUpdate | Exception | None = None
        self._inner = inner
        self._path = path

    async def account(self, at: dt.datetime) -> Account:
        return await self._inner.account(at)

    async def submit(self, ticket: OrderTicket, steps: tuple[float, ...]) -> OrderUpdate:
        self.heard.append((state_of(self._path, ticket.client_order_id), steps))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer or await self._inner.submit(ticket, steps)

    async def close(self, ticket: ClosingTicket) -> OrderUpdate:
        self.heard.append((state_of(self._path, ticket.client_order_id), (ticket.limit_debit,)))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer or await self._inner.close(ticket)


class Trading:
    """A market, a ledger and a broker on one record, with one reserved ticket at a limit of 0.80."""

    def __init__(self, path: Path, market: QuotedMarket, ledger: Ledger, broker: WatchedBroker) -> None:
        self.path, self.market, self.ledger, self.broker = path, market, ledger, broker
        self.ticket = a_ticket()
        ledger.reserve(lambda *_: (None, self.ticket), slot=self.ticket.slot)

    def quote(self, short: Side, long: Side) -> None:
        self.market.quote(self.ticket.spread, short=short, long=long)

    def execute(self) -> Execution:
        broker: Broker = self.broker
        return asyncio.run(
            execute(self.ticket, market=self.market, broker=broker, ledger=self.ledger, concession=CONCESSION)
        )

    def close(self, *, at: dt.datetime = LATER, slot: str = "monitor-1") -> OrderUpdate | None:
        (position,) = self.ledger.open_positions(LATER)
        return asyncio.run(
            close_position(
                position,
                rule="stop_loss",
                slot=slot,
                at=at,
                market=self.market,
                broker=self.broker,
                ledger=self.ledger,
            )
        )

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
def trading(tmp_path: Path) -> Iterator[Trading]:
    path = open_database(tmp_path / "mahler.db", create=True)
    record_candidates(path, "run.1")
    market = QuotedMarket()
    with (
        PaperBroker(path, market, concession=CONCESSION, commission=1.0) as paper,
        Ledger(path, paper.account_id) as ledger,
    ):
        trading = Trading(path, market, ledger, WatchedBroker(paper, path))
        trading.quote(SHORT, LONG)
        yield trading


# --- Entries ----------------------------------------------------------------------------------------------------------


def test_a_ticket_is_sent_on_the_quotes_of_its_decision_time_and_its_fill_is_booked(trading: Trading) -> None:
    execution = trading.execute()
    assert (execution.state, execution.reason, execution.ticket) == (
        OrderState.FILLED,
        Reason.FILLED,
        trading.ticket,
    )
    assert execution.quote == a_spread_quote(SHORT, LONG)
    assert execution.fill is not None
    assert (execution.fill.credit, execution.fill.contracts, execution.fill.fees) == (0.89, 4, 8.0)
    assert trading.market.asked[0] == (
        (trading.ticket.spread.short_symbol, trading.ticket.spread.long_symbol),
        DECIDED_AT,
    )
    (position,) = trading.ledger.open_positions(LATER)
    assert (position.entry_credit, position.contracts) == (0.89, 4)


def test_the_order_is_on_disk_as_sent_before_the_broker_hears_of_it(trading: Trading) -> None:
    trading.execute()
    assert trading.broker.heard == [("sent", (0.95, 0.93, 0.92, 0.91, 0.9, 0.89))]


@pytest.mark.parametrize("missing", [("short_symbol",), ("long_symbol",), ("short_symbol", "long_symbol")])
def test_a_leg_without_a_quote_ends_as_no_quote_and_nothing_is_sent(trading: Trading, missing: tuple[str, ...]) -> None:
    trading.market.unquote(*(getattr(trading.ticket.spread, leg) for leg in missing))
    execution = trading.execute()
    assert execution == Execution(ticket=trading.ticket, state=OrderState.CANCELED, reason=Reason.NO_QUOTE)
    assert (trading.state, trading.broker.heard, trading.ledger.exposures()) == ("canceled", [], ())


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
def test_where_the_quote_went_decides_how_the_order_ends(trading: Trading, short, long, reason: Reason) -> None:
    trading.quote(short, long)
    execution = trading.execute()
    assert execution.reason is reason
    assert execution.quote == a_spread_quote(short, long)
    assert len(trading.broker.heard) == (reason is not Reason.QUOTE_MOVED)
    assert rows(trading.path, "SELECT state, reason, short_bid FROM orders") == [
        ("filled" if reason is Reason.FILLED else "canceled", reason.value, short[0])
    ]
    assert len(trading.ledger.exposures()) == (reason is Reason.FILLED)


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


def test_an_order_that_the_broker_rejects_is_booked_as_rejected(trading: Trading) -> None:
    trading.broker.answer = OrderUpdate(state=OrderState.REJECTED, broker_order_id="b-1")
    execution = trading.execute()
    assert (execution.state, execution.reason, execution.fill) == (OrderState.REJECTED, Reason.REJECTED, None)
    assert rows(trading.path, "SELECT state, reason FROM orders") == [("rejected", "rejected")]


def test_an_order_of_which_nothing_is_known_stays_pending_and_keeps_counting_as_risk(trading: Trading) -> None:
    trading.broker.answer = BrokerError("timeout after acceptance")
    with pytest.raises(BrokerError, match="timeout after acceptance"):
        trading.execute()
    assert trading.state == "sent"
    (exposure,) = trading.ledger.exposures()
    assert exposure.pending
    assert exposure.risk_dollars == pytest.approx(1_680)


def test_a_market_that_is_down_cancels_the_intent_since_nothing_was_sent(trading: Trading) -> None:
    trading.market.down = True
    with pytest.raises(MarketError, match="the market is down"):
        trading.execute()
    assert (trading.state, trading.broker.heard) == ("canceled", [])
    assert trading.ledger.exposures() == ()


# --- Prices -----------------------------------------------------------------------------------------------------------


def test_an_entry_goes_in_five_equal_steps_from_mid_to_66_percent_of_the_way() -> None:
    quote = a_spread_quote((2.00, 2.50), (0.00, 0.50))  # mid 2.00, natural 1.50; a hundredth of the way is half a cent
    assert concession_steps(quote, concession=0.50, floor=0.01) == (2.00, 1.95, 1.90, 1.85, 1.80, 1.75)
    assert concession_steps(quote, concession=CONCESSION, floor=0.01) == (2.00, 1.93, 1.86, 1.80, 1.73, 1.67)
    assert concession_steps(quote, concession=1.0, floor=0.01)[-1] == 1.50
    assert concession_steps(quote, concession=0.0, floor=0.01) == (2.00,)


def test_steps_stop_at_the_floor_and_repeat_no_price() -> None:
    quote = a_spread_quote((2.00, 2.50), (0.00, 0.50))
    assert concession_steps(quote, concession=CONCESSION, floor=1.88) == (2.00, 1.93, 1.88)
    tight = a_spread_quote((1.00, 1.01), (0.10, 0.11))
    assert concession_steps(tight, concession=CONCESSION, floor=0.01) == (0.90, 0.89)


quotes = st.tuples(st.integers(0, 900), st.integers(0, 120), st.integers(0, 900), st.integers(0, 120)).map(
    lambda cents: a_spread_quote(
        (cents[0] / 100, (cents[0] + cents[1] + 1) / 100), (cents[2] / 100, (cents[2] + cents[3] + 1) / 100)
    )
)


@given(quotes, st.floats(0, 1), st.integers(1, 500))
def test_steps_fall_in_whole_cents_from_mid_and_never_below_floor_or_concession(quote, concession, floor_cents) -> None:
    floor = floor_cents / 100
    steps = concession_steps(quote, concession=concession, floor=floor)
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


# --- Exits ------------------------------------------------------------------------------------------------------------


def test_a_position_is_bought_back_at_the_natural_side_and_booked(trading: Trading) -> None:
    trading.execute()
    trading.quote((2.00, 2.20), (0.30, 0.40))
    update = trading.close()
    assert update is not None
    assert update.fill is not None
    assert update.fill.credit == -1.90
    assert trading.broker.heard[-1] == ("sent", (1.90,))
    assert trading.ledger.open_positions(LATER) == ()
    assert rows(trading.path, "SELECT rule, exit_debit, fees, pnl_dollars FROM outcomes") == [
        ("stop_loss", 1.90, 16.0, -420.0)  # (0.89 - 1.90) x 100 x 4 - 16
    ]


def test_an_outcome_is_what_the_account_gained(trading: Trading) -> None:
    trading.execute()
    trading.quote((0.20, 0.25), (0.02, 0.05))
    trading.close()
    cash = asyncio.run(trading.broker.account(LATER)).cash
    assert rows(trading.path, "SELECT pnl_dollars FROM outcomes") == [(pytest.approx(cash - 100_000),)]


def test_a_position_whose_leg_has_no_quote_is_not_closed_and_no_order_is_left_behind(trading: Trading) -> None:
    trading.execute()
    trading.market.unquote(trading.ticket.spread.long_symbol)
    assert trading.close() is None
    assert len(trading.ledger.open_positions(LATER)) == 1
    assert rows(trading.path, "SELECT COUNT(*) FROM orders") == [(1,)]


def test_an_exit_that_was_not_filled_leaves_the_position_open_for_the_next_pass(trading: Trading) -> None:
    trading.execute()
    trading.broker.answer = OrderUpdate(state=OrderState.CANCELED, broker_order_id="b-2")
    update = trading.close()
    assert update is not None
    assert update.outcome is Reason.UNFILLED
    assert len(trading.ledger.open_positions(LATER)) == 1
    trading.broker.answer = None
    assert trading.close(slot="monitor-2") is not None
    assert trading.ledger.open_positions(LATER) == ()
