"""The embedded broker: fills, refusals, second sendings, and an account that adds up to the cent."""

import asyncio
import datetime as dt
import itertools
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from builders import EXPIRATION, occ_symbol
from hypothesis import given, settings
from hypothesis import strategies as st
from trading_builders import (
    DECIDED_AT,
    LATER,
    QuotedMarket,
    a_closing_ticket,
    a_spread,
    a_spread_quote,
    a_ticket,
)

from mahler_agents.errors import BrokerError
from mahler_agents.execution import (
    BrokerOrder,
    ClosingTicket,
    Expiry,
    OrderState,
    OrderTicket,
    OrderUpdate,
    PaperBroker,
    Position,
    Settlement,
    Ticket,
    Traded,
    attempt_id,
    settled,
)
from mahler_agents.execution.paper_account import worst_payout_dollars
from mahler_agents.market.occ import parse_symbol
from mahler_agents.market.snapshot import Account
from mahler_agents.record import connect, open_database
from mahler_agents.types import Reason, Spread, SpreadType

CONCESSION = 0.66


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return open_database(tmp_path / "mahler.db", create=True)


@pytest.fixture
def market() -> QuotedMarket:
    """Quote the usual spread at a mid of 0.95 and a natural credit of 0.86: 0.8906 at 66 % of the way."""
    market = QuotedMarket()
    market.quote(a_spread(), short=(1.00, 1.10), long=(0.06, 0.14))
    return market


@pytest.fixture
def broker(path: Path, market: QuotedMarket) -> Iterator[PaperBroker]:
    with a_broker(path, market) as broker:
        yield broker


def a_broker(
    path: Path,
    market: QuotedMarket,
    *,
    commission: float = 1.0,
    account_id: str | None = None,
    largest_fill: int | None = None,
) -> PaperBroker:
    return PaperBroker(
        path,
        market,
        concession=CONCESSION,
        commission=commission,
        account_id=account_id,
        largest_fill=largest_fill,
    )


def account(broker: PaperBroker, at: dt.datetime = DECIDED_AT) -> Account:
    return asyncio.run(broker.account(at))


def submitted(broker: PaperBroker, ticket: Ticket, limit_credit: float = 0.89) -> OrderUpdate:
    return asyncio.run(
        broker.submit(ticket, number=1, contracts=ticket.contracts, limit_credit=limit_credit, at=ticket.decided_at)
    )


def closed(broker: PaperBroker, ticket: ClosingTicket) -> OrderUpdate:
    return submitted(broker, ticket, ticket.worst_credit)


def first_attempt(ticket: Ticket) -> str:
    return attempt_id(ticket.client_order_id, 1)


def found(broker: PaperBroker, ticket: Ticket, at: dt.datetime) -> OrderUpdate:
    update = asyncio.run(broker.find(first_attempt(ticket), at=at))
    assert update is not None
    return update


def position_of(ticket: OrderTicket, update: OrderUpdate) -> Position:
    traded = update.traded
    assert traded is not None
    return Position(
        entry_order_id=ticket.client_order_id,
        spread=ticket.spread,
        contracts=traded.contracts,
        opened_contracts=traded.contracts,
        entry_credit=traded.credit,
        fees=traded.fees,
        opened_at=traded.at,
        exit_params=ticket.exit_params,
    )


# --- The account ------------------------------------------------------------------------------------------------------


def test_an_account_begins_with_100_000_dollars_and_belongs_to_the_markets_world(broker: PaperBroker) -> None:
    assert account(broker) == Account(
        account_id="paper-quoted-test", equity=100_000, cash=100_000, buying_power=100_000
    )


def test_an_account_outlives_its_broker_and_accounts_do_not_mix(path: Path, market: QuotedMarket) -> None:
    with a_broker(path, market) as first:
        submitted(first, a_ticket())
        before = account(first)
    with a_broker(path, market) as again, a_broker(path, market, account_id="another") as another:
        assert account(again) == before
        assert account(another).equity == 100_000


def test_a_spread_of_which_a_leg_has_no_quote_is_marked_whole_at_its_last_one_and_named(
    broker: PaperBroker, market: QuotedMarket
) -> None:
    ticket, other = a_ticket(contracts=2), a_ticket(a_spread("TLT", short=90.0), slot="scan-2")
    market.quote(other.spread, short=(1.00, 1.10), long=(0.06, 0.14))
    submitted(broker, ticket)
    submitted(broker, other)
    marked = account(broker)
    market.unquote(ticket.spread.long_symbol)
    market.sides[ticket.spread.short_symbol] = (9.50, 9.60)  # a spread 5 wide that would cost 9.45
    market.quote(other.spread, short=(0.50, 0.60), long=(0.06, 0.14))
    later = account(broker, LATER)
    assert later.stale_marks == dict.fromkeys((ticket.spread.long_symbol, ticket.spread.short_symbol), DECIDED_AT)
    assert later.equity == marked.equity + 200  # the other spread fell by 0.50 on four contracts
    assert marked.stale_marks == {}


def test_an_older_quote_never_takes_the_place_of_a_newer_mark(broker: PaperBroker, market: QuotedMarket) -> None:
    ticket = a_ticket()
    submitted(broker, ticket)
    market.quote(ticket.spread, short=(5.00, 5.10), long=(4.00, 4.10))
    account(broker, DECIDED_AT - dt.timedelta(hours=1))
    market.unquote(ticket.spread.short_symbol, ticket.spread.long_symbol)
    assert account(broker, LATER).equity == 100_000 + 4 * (89 - 95) - 8


# --- Entries ----------------------------------------------------------------------------------------------------------


def test_an_entry_fills_at_its_limit_for_a_dollar_a_contract_and_leg(broker: PaperBroker) -> None:
    ticket = a_ticket(contracts=4)
    assert submitted(broker, ticket, 0.89) == OrderUpdate(
        state=OrderState.FILLED,
        broker_order_id=f"paper-{ticket.client_order_id}.1",
        traded=Traded(contracts=4, credit=0.89, fees=8.0, at=DECIDED_AT),
    )
    assert account(broker) == Account(
        account_id="paper-quoted-test",
        cash=100_348,  # 4 x 89 - 8
        equity=99_968,  # less 4 x 95, what the spread costs at mid
        buying_power=98_348,  # less 4 x 500, what it can owe
    )


@pytest.mark.parametrize(
    ("limit", "state"),
    [(0.88, OrderState.FILLED), (0.89, OrderState.FILLED), (0.90, OrderState.ACCEPTED), (0.95, OrderState.ACCEPTED)],
)
def test_an_entry_works_until_it_asks_for_no_more_than_66_percent_of_the_way_gives(
    broker: PaperBroker, limit: float, state: OrderState
) -> None:
    ticket = a_ticket()
    update = submitted(broker, ticket, limit)
    assert update.state is state
    if state is OrderState.FILLED:
        assert update.traded is not None
        assert update.traded.credit == limit  # at its limit, and not better
        return
    ended = asyncio.run(broker.cancel(first_attempt(ticket), at=LATER))
    assert (ended.state, ended.traded) == (OrderState.CANCELED, None)
    assert account(broker).equity == 100_000


def test_an_entry_whose_leg_has_no_quote_is_not_filled_until_it_has_one(
    broker: PaperBroker, market: QuotedMarket
) -> None:
    market.unquote(a_spread().long_symbol)
    ticket = a_ticket()
    assert submitted(broker, ticket).state is OrderState.ACCEPTED
    assert account(broker).cash == 100_000
    market.quote(ticket.spread, short=(1.00, 1.10), long=(0.06, 0.14))
    traded = found(broker, ticket, LATER).traded
    assert traded is not None
    assert traded.at == LATER


def test_quotes_are_those_of_the_instant_asked(broker: PaperBroker, market: QuotedMarket) -> None:
    ticket = a_ticket()
    submitted(broker, ticket)
    assert market.asked[-1] == ((ticket.spread.short_symbol, ticket.spread.long_symbol), DECIDED_AT)


def test_every_attempt_of_an_order_is_an_order_of_its_own_for_the_contracts_that_it_names(
    broker: PaperBroker,
) -> None:
    ticket = a_ticket()
    assert submitted(broker, ticket, 0.95).state is OrderState.ACCEPTED
    at = DECIDED_AT + dt.timedelta(seconds=30)
    asyncio.run(broker.cancel(first_attempt(ticket), at=at))
    update = asyncio.run(broker.submit(ticket, number=2, contracts=3, limit_credit=0.89, at=at))
    assert update.traded == Traded(contracts=3, credit=0.89, fees=6.0, at=at)
    assert found(broker, ticket, LATER).state is OrderState.CANCELED
    assert update == asyncio.run(broker.cancel(attempt_id(ticket.client_order_id, 2), at=LATER))


def test_positions_are_the_legs_held_and_working_orders_those_whose_day_has_not_ended(broker: PaperBroker) -> None:
    ticket, other = a_ticket(), a_ticket(slot="scan-2")
    submitted(broker, ticket)
    submitted(broker, other, 0.95)
    spread = ticket.spread
    assert asyncio.run(broker.positions(LATER)) == {spread.short_symbol: -4, spread.long_symbol: 4}
    assert asyncio.run(broker.working(LATER)) == (
        BrokerOrder(
            order_id=first_attempt(other),
            broker_order_id=f"paper-{other.client_order_id}.1",
            symbols=(spread.short_symbol, spread.long_symbol),
        ),
    )
    assert asyncio.run(broker.working(LATER + dt.timedelta(days=1))) == ()


def test_legs_that_have_expired_are_no_positions_any_more(broker: PaperBroker, market: QuotedMarket) -> None:
    submitted(broker, a_ticket())
    market.underlyings["SPY"] = 545.0
    assert asyncio.run(broker.positions(CLOSE)) == {}


def test_an_order_that_was_never_sent_is_not_found_and_cannot_be_canceled(broker: PaperBroker) -> None:
    assert asyncio.run(broker.find("nobody", at=LATER)) is None
    with pytest.raises(BrokerError, match="has no order nobody"):
        asyncio.run(broker.cancel("nobody", at=LATER))


def test_a_second_sending_trades_nothing_and_says_what_became_of_the_first(
    path: Path, broker: PaperBroker, market: QuotedMarket
) -> None:
    ticket = a_ticket(contracts=4)
    first = submitted(broker, ticket)
    before = account(broker)
    market.quote(ticket.spread, short=(2.00, 2.10), long=(0.06, 0.14))
    with a_broker(path, market) as restarted:
        assert submitted(broker, ticket) == submitted(restarted, ticket) == first
        for another in (ticket.model_copy(update={"contracts": 9}), ticket):
            with pytest.raises(BrokerError, match="has another order under the id"):
                submitted(restarted, another, 0.5 if another is ticket else 0.89)
        assert account(restarted).cash == before.cash


def test_a_second_sending_of_a_working_order_does_not_fill_it(broker: PaperBroker, market: QuotedMarket) -> None:
    ticket = a_ticket()
    first = submitted(broker, ticket, 0.95)
    market.quote(ticket.spread, short=(2.00, 2.10), long=(0.06, 0.14))
    assert submitted(broker, ticket, 0.95) == first
    assert account(broker).cash == 100_000


def test_the_market_takes_no_more_than_it_can_at_one_instant(path: Path, market: QuotedMarket) -> None:
    ticket = a_ticket(contracts=7)
    with a_broker(path, market, largest_fill=3) as broker:
        assert submitted(broker, ticket).state is OrderState.PARTIAL
        assert found(broker, ticket, DECIDED_AT).contracts == 3  # the same instant, looked at again
        assert account(broker).cash == 100_000 + 3 * 89 - 6
        assert found(broker, ticket, DECIDED_AT + dt.timedelta(seconds=30)).contracts == 6
        update = found(broker, ticket, LATER)
    assert update.state is OrderState.FILLED
    assert update.traded == Traded(contracts=7, credit=0.89, fees=14.0, at=LATER)


def test_what_had_filled_when_an_order_is_canceled_is_held(path: Path, market: QuotedMarket) -> None:
    ticket = a_ticket(contracts=7)
    with a_broker(path, market, largest_fill=3) as broker:
        submitted(broker, ticket)
        update = asyncio.run(broker.cancel(first_attempt(ticket), at=LATER))
        assert found(broker, ticket, LATER) == update
        assert account(broker).cash == 100_000 + 3 * 89 - 6
    assert (update.state, update.contracts) == (OrderState.CANCELED, 3)


# --- The day's end ----------------------------------------------------------------------------------------------------

HALF_DAY = dt.date(2026, 11, 27)
CLOSES = {EXPIRATION: 20, HALF_DAY: 18}
"""Dates and the hour, UTC, at which their sessions close: 16:00 New York, 13:00 the day after Thanksgiving."""


@pytest.mark.parametrize(("date", "hour"), CLOSES.items())
def test_an_order_works_to_the_sessions_close_and_then_expires(
    broker: PaperBroker, market: QuotedMarket, date: dt.date, hour: int
) -> None:
    close = dt.datetime.combine(date, dt.time(hour), dt.UTC)
    ticket = a_ticket(decided_at=close - dt.timedelta(minutes=1))
    assert submitted(broker, ticket, 0.95).state is OrderState.ACCEPTED
    assert found(broker, ticket, close).state is OrderState.ACCEPTED
    market.quote(ticket.spread, short=(2.00, 2.10), long=(0.06, 0.14))  # after the close it would be too late
    expired = found(broker, ticket, close + dt.timedelta(seconds=1))
    assert (expired.state, expired.traded) == (OrderState.EXPIRED, None)
    assert asyncio.run(broker.cancel(first_attempt(ticket), at=close + dt.timedelta(days=1))) == expired


def test_what_had_filled_when_the_day_ends_is_held(path: Path, market: QuotedMarket) -> None:
    ticket = a_ticket(contracts=7)
    with a_broker(path, market, largest_fill=3) as broker:
        submitted(broker, ticket)
        update = asyncio.run(broker.cancel(first_attempt(ticket), at=LATER + dt.timedelta(days=1)))
    assert (update.state, update.contracts) == (OrderState.EXPIRED, 3)


def test_an_order_sent_after_the_close_works_on_the_days_last_quotes(broker: PaperBroker) -> None:
    """A file of end-of-day quotes has no instant before the close."""
    ticket = a_ticket(decided_at=dt.datetime(2026, 3, 16, 20, 3, tzinfo=dt.UTC))
    assert submitted(broker, ticket).state is OrderState.FILLED


# --- Refusals ---------------------------------------------------------------------------------------------------------


def test_an_entry_needs_buying_power_for_all_its_contracts_at_its_lowest_credit(broker: PaperBroker) -> None:
    # A contract sets 500 - 80 + 2 dollars aside: 236 of them 99,592.
    refused = submitted(broker, a_ticket(contracts=237, limit_credit=0.80, slot="too many"), 0.95)
    assert (refused.state, refused.reason) == (OrderState.REJECTED, Reason.BUYING_POWER)
    assert submitted(broker, a_ticket(contracts=236, limit_credit=0.80), 0.95).state is OrderState.ACCEPTED
    assert account(broker).buying_power == 408
    other = submitted(broker, a_ticket(contracts=1, limit_credit=0.80, slot="beside it"), 0.95)
    assert other.reason is Reason.BUYING_POWER
    assert submitted(broker, a_ticket(contracts=237, slot="too many"), 0.95) == refused  # it stays refused


def test_an_exit_needs_contracts_that_are_held_and_not_being_closed_already(
    broker: PaperBroker,
) -> None:
    ticket = a_ticket(contracts=4)
    position = position_of(ticket, submitted(broker, ticket))
    working = a_closing_ticket(position, limit_debit=0.10, contracts=3)
    assert closed(broker, working).state is OrderState.ACCEPTED
    for number, contracts in enumerate((5, 4, 2)):
        refused = closed(broker, a_closing_ticket(position, limit_debit=2.0, contracts=contracts, slot=f"{number}"))
        assert (refused.state, refused.reason) == (OrderState.REJECTED, Reason.NOT_HELD)
    assert closed(broker, a_closing_ticket(position, limit_debit=2.0, contracts=1, slot="one")).contracts == 1
    asyncio.run(broker.cancel(first_attempt(working), at=LATER))
    assert closed(broker, a_closing_ticket(position, limit_debit=2.0, contracts=3, slot="rest")).contracts == 3
    assert account(broker).equity == account(broker).buying_power


# --- Exits ------------------------------------------------------------------------------------------------------------


def test_an_exit_buys_back_at_the_natural_side(broker: PaperBroker, market: QuotedMarket) -> None:
    ticket = a_ticket(contracts=4)
    position = position_of(ticket, submitted(broker, ticket))
    market.quote(ticket.spread, short=(0.30, 0.36), long=(0.02, 0.05))
    closing_ticket = a_closing_ticket(position, limit_debit=0.40)
    update = closed(broker, closing_ticket)
    assert update.traded == Traded(contracts=4, credit=-0.34, fees=8.0, at=LATER)
    assert account(broker, LATER) == Account(
        account_id="paper-quoted-test",
        cash=100_204,  # 4 x (89 - 34) - 16
        equity=100_204,
        buying_power=100_204,
    )
    assert closed(broker, closing_ticket) == update
    assert account(broker, LATER).cash == 100_204


@pytest.mark.parametrize(
    ("sides_of_legs", "limit", "paid"),
    [
        (((0.30, 0.36), (0.02, 0.05)), 0.33, None),  # natural 0.34 is dearer than the limit
        (((5.00, 6.00), (0.00, 0.10)), 5.00, 5.00),  # never more than the width
        (((0.00, 0.05), (0.04, 0.10)), 0.10, 0.01),
        (((0.00, 0.05), (0.05, 0.10)), 0.10, 0.00),  # a worthless spread costs nothing but fees
    ],
)
def test_an_exit_costs_natural_at_most_the_width_or_goes_on_working(
    broker: PaperBroker, market: QuotedMarket, sides_of_legs, limit, paid
) -> None:
    ticket = a_ticket()
    position = position_of(ticket, submitted(broker, ticket))
    market.quote(ticket.spread, short=sides_of_legs[0], long=sides_of_legs[1])
    update = closed(broker, a_closing_ticket(position, limit_debit=limit))
    if paid is None:
        assert (update.state, update.traded) == (OrderState.ACCEPTED, None)
    else:
        assert update.traded is not None
        assert update.traded.credit == pytest.approx(-paid)


# --- Expiry -----------------------------------------------------------------------------------------------------------

CLOSE = dt.datetime(2026, 4, 17, 20, 0, tzinfo=dt.UTC)
PUT = a_spread(short=540, width=5)
CALL = a_spread(spread_type=SpreadType.BEAR_CALL, short=560, width=5)


@pytest.mark.parametrize(
    ("spread", "price", "expected"),
    [
        (PUT, 545.00, (0.00, Expiry.WORTHLESS)),
        (PUT, 540.00, (0.00, Expiry.WORTHLESS)),  # at the money is not in it
        (PUT, 539.99, (0.01, Expiry.BETWEEN_STRIKES)),
        (PUT, 537.50, (2.50, Expiry.BETWEEN_STRIKES)),
        (PUT, 535.00, (5.00, Expiry.BETWEEN_STRIKES)),
        (PUT, 534.99, (5.00, Expiry.IN_THE_MONEY)),
        (PUT, 500.00, (5.00, Expiry.IN_THE_MONEY)),
        (CALL, 555.00, (0.00, Expiry.WORTHLESS)),
        (CALL, 561.25, (1.25, Expiry.BETWEEN_STRIKES)),
        (CALL, 570.00, (5.00, Expiry.IN_THE_MONEY)),
    ],
)
def test_legs_are_settled_once_at_the_close_of_their_last_session(
    broker: PaperBroker, market: QuotedMarket, spread: Spread, price: float, expected: tuple[float, Expiry]
) -> None:
    debit, expiry = expected
    market.quote(spread, short=(1.00, 1.10), long=(0.06, 0.14))
    submitted(broker, a_ticket(spread, contracts=4))
    symbols = [spread.short_symbol, spread.long_symbol]
    market.underlyings["SPY"] = price
    assert asyncio.run(broker.settlements(symbols, at=CLOSE - dt.timedelta(seconds=1))) == {}
    legs = asyncio.run(broker.settlements(symbols, at=CLOSE))
    assert market.priced == [(("SPY",), CLOSE)]
    settlement = Settlement.of(spread, legs)
    assert settlement == Settlement(at=CLOSE, underlying_price=price, debit=debit, expiry=expiry)
    market.underlyings["SPY"] = 550.0
    assert asyncio.run(broker.settlements(symbols, at=CLOSE + dt.timedelta(days=3))) == legs
    after = account(broker, CLOSE)
    assert (after.cash, after.equity, after.buying_power) == (pytest.approx(100_348 - 400 * debit),) * 3
    assert Settlement.of(CALL if spread is PUT else PUT, legs) is None


def test_a_leg_whose_closing_price_is_not_known_stays_and_is_named(broker: PaperBroker, market: QuotedMarket) -> None:
    submitted(broker, a_ticket())
    market.unquote(PUT.short_symbol, PUT.long_symbol)
    monday = CLOSE + dt.timedelta(days=3)
    assert asyncio.run(broker.settlements([PUT.short_symbol, PUT.long_symbol], at=monday)) == {}
    assert set(account(broker, monday).stale_marks) == {PUT.short_symbol, PUT.long_symbol}
    market.underlyings["SPY"] = 545.0
    assert account(broker, monday) == Account(
        account_id="paper-quoted-test", cash=100_348, equity=100_348, buying_power=100_348
    )


def test_a_leg_that_is_short_in_one_spread_and_long_in_another_is_settled_for_both(
    broker: PaperBroker, market: QuotedMarket
) -> None:
    above, below = a_spread(short=540.0), a_spread(short=535.0)
    for number, spread in enumerate((above, below)):
        market.quote(spread, short=(1.00, 1.10), long=(0.06, 0.14))
        submitted(broker, a_ticket(spread, slot=f"scan-{number}"))
    assert above.long_symbol == below.short_symbol
    market.underlyings["SPY"] = 532.0
    legs = asyncio.run(
        broker.settlements([above.short_symbol, above.long_symbol, below.short_symbol, below.long_symbol], at=CLOSE)
    )
    debits = [one and one.debit for one in (Settlement.of(above, legs), Settlement.of(below, legs))]
    assert debits == [5.0, 3.0]
    assert account(broker, CLOSE).cash == pytest.approx(100_000 + 2 * 348 - 400 * 8)
    assert asyncio.run(broker.settlements([above.long_symbol], at=CLOSE + dt.timedelta(days=1))) == {
        above.long_symbol: legs[above.long_symbol]
    }


@given(price=st.integers(5_300_000, 5_450_000).map(lambda hundredths: hundredths / 10_000))
def test_a_settlement_never_owes_more_than_the_width_whatever_the_price_has_behind_its_cents(price: float) -> None:
    for spread in (a_spread(short=540.0), a_spread(spread_type=SpreadType.BEAR_CALL, short=532.0)):
        legs = {leg: settled(leg, CLOSE, price) for leg in (spread.short_symbol, spread.long_symbol)}
        settlement = Settlement.of(spread, legs)
        assert settlement is not None
        assert 0 <= settlement.debit <= 5.0
        assert (settlement.debit == 5.0) or settlement.expiry is not Expiry.IN_THE_MONEY
        assert (settlement.debit == 0.0) == (settlement.expiry is Expiry.WORTHLESS)


def test_an_expiration_on_a_holiday_is_settled_at_the_close_before_it(
    broker: PaperBroker, market: QuotedMarket
) -> None:
    spread = a_spread(expiration=dt.date(2026, 4, 3))  # Good Friday
    market.quote(spread, short=(1.00, 1.10), long=(0.06, 0.14))
    market.underlyings["SPY"] = 545.0
    submitted(broker, a_ticket(spread))
    thursday = dt.datetime(2026, 4, 2, 20, 0, tzinfo=dt.UTC)
    symbols = [spread.short_symbol, spread.long_symbol]
    legs = asyncio.run(broker.settlements(symbols, at=thursday))
    assert legs == asyncio.run(broker.settlements(symbols, at=thursday + dt.timedelta(days=4)))
    assert {leg.at for leg in legs.values()} == {thursday}


# --- To the cent ------------------------------------------------------------------------------------------------------

cents = st.integers(0, 400)
SPREADS = [
    a_spread(underlying, spread_type=spread_type, short=short)
    for underlying in ("SPY", "TLT")
    for spread_type in SpreadType
    for short in (540.0, 545.0, 550.0)  # neighbours share strikes, so that legs net
]


@st.composite
def sides(draw: st.DrawFn) -> tuple[float, float]:
    bid = draw(cents)
    return bid / 100, (bid + draw(st.integers(1, 40))) / 100


entries = st.lists(
    st.tuples(st.sampled_from(SPREADS), sides(), sides(), st.integers(1, 40), st.booleans()), min_size=1, max_size=10
)


NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One record for all examples of a property, each of which has an account of its own."""
    return open_database(tmp_path_factory.mktemp("broker") / "shared.db", create=True)


@settings(max_examples=30, deadline=None)
@given(entries=entries, commission_cents=st.integers(0, 200))
def test_cash_is_start_plus_credits_less_debits_and_fees_and_equity_adds_the_marks(
    shared: Path, entries, commission_cents: int
) -> None:
    market = QuotedMarket()
    account_id = f"account-{next(NUMBERS)}"
    cash_cents = 10_000_000
    legs: dict[str, int] = {}
    with a_broker(shared, market, commission=commission_cents / 100, account_id=account_id) as broker:
        for number, (spread, short, long, contracts, closes) in enumerate(entries):
            market.quote(spread, short=short, long=long)
            ticket = a_ticket(spread, contracts=contracts, slot=f"{number}", account_id=account_id)
            credit = round_cents(a_spread_quote(short, long).credit_at(CONCESSION))
            update = submitted(broker, ticket, credit / 100)
            if update.reason is Reason.BUYING_POWER:
                continue
            assert update.traded is not None
            assert update.traded.fees == pytest.approx(commission_cents * 2 * contracts / 100)
            cash_cents += credit * 100 * contracts - commission_cents * 2 * contracts
            move(legs, spread.short_symbol, -contracts)
            move(legs, spread.long_symbol, contracts)
            if closes:
                position = position_of(ticket, update)
                closing_ticket = a_closing_ticket(position, limit_debit=spread.width, slot=f"{account_id}-{number}")
                debit = min(500, max(0, round(short[1] * 100) - round(long[0] * 100)))
                closed(broker, closing_ticket)
                cash_cents -= debit * 100 * contracts + commission_cents * 2 * contracts
                move(legs, spread.short_symbol, contracts)
                move(legs, spread.long_symbol, -contracts)
        said = account(broker)
    # Mids are half cents: times 100 shares they are whole cents again.
    marks = sum(count * round(100 * sum(market.sides[symbol])) * 50 for symbol, count in legs.items())
    assert said.cash == cash_cents / 100
    assert said.equity == (cash_cents + marks) / 100
    assert said.buying_power == pytest.approx(cash_cents / 100 - brute_force_payout(legs), abs=0.005)
    assert said.stale_marks == {}


def round_cents(dollars: float) -> int:
    """Return whole cents, rounded down, in decimal steps: 28.999999 is 29."""
    return int((dollars + 100) * 100 + 1e-6) - 10_000


def move(legs: dict[str, int], symbol: str, contracts: int) -> None:
    legs[symbol] = legs.get(symbol, 0) + contracts


# --- What legs can owe ------------------------------------------------------------------------------------------------


def brute_force_payout(held: dict[str, int]) -> float:
    """Return the most that the legs of each underlying, expiration and right can owe, at any dollar to 1,300."""
    groups: dict[tuple[str, dt.date, str], list[tuple[float, int]]] = {}
    for symbol, contracts in held.items():
        terms = parse_symbol(symbol)
        key = terms.underlying, terms.expiration, terms.right
        groups.setdefault(key, []).append((terms.strike, contracts))
    worst = 0.0
    for (_, _, right), legs in groups.items():
        sign = -1 if right == "put" else 1
        owed = [
            -sum(contracts * max(0.0, sign * (price - strike)) for strike, contracts in legs) for price in range(1_301)
        ]
        worst += max(0.0, *owed) * 100
    return worst


def test_a_spread_can_owe_its_width() -> None:
    spread = a_spread()
    assert worst_payout_dollars({}) == 0
    assert worst_payout_dollars({spread.short_symbol: -4, spread.long_symbol: 4}) == 2_000


def test_a_put_spread_and_a_call_spread_do_not_offset_each_other() -> None:
    put, call = a_spread(), a_spread(spread_type=SpreadType.BEAR_CALL, short=580, width=10)
    held = {put.short_symbol: -1, put.long_symbol: 1, call.short_symbol: -1, call.long_symbol: 1}
    assert worst_payout_dollars(held) == 1_500


def test_spreads_of_other_expirations_do_not_offset_each_other() -> None:
    near, far = a_spread(), a_spread(expiration=EXPIRATION + dt.timedelta(days=7))
    held = {near.short_symbol: -1, near.long_symbol: 1, far.short_symbol: 1, far.long_symbol: -1}
    assert worst_payout_dollars(held) == 500


@given(
    st.dictionaries(
        st.builds(
            lambda strike, is_put: occ_symbol("SPY", EXPIRATION, float(strike), is_put=is_put),
            st.integers(500, 600),
            st.booleans(),
        ),
        st.integers(-20, 20),
        max_size=8,
    )
)
def test_what_legs_can_owe_is_what_trying_every_price_says(held: dict[str, int]) -> None:
    calls = [contracts for symbol, contracts in held.items() if parse_symbol(symbol).right == "call"]
    if sum(calls) < 0:
        held = held | {occ_symbol("SPY", EXPIRATION, 601.0, is_put=False): -sum(calls)}  # naked calls owe without end
    assert worst_payout_dollars(held) == pytest.approx(brute_force_payout(held))


# --- Its books --------------------------------------------------------------------------------------------------------


def test_a_fill_is_written_whole_or_not_at_all(path: Path, broker: PaperBroker) -> None:
    with closing(connect(path)) as connection:
        connection.execute(
            "CREATE TRIGGER full BEFORE INSERT ON paper_positions BEGIN SELECT RAISE(ABORT, 'no room'); END"
        )
        with pytest.raises(Exception, match="no room"):
            submitted(broker, a_ticket())
        assert connection.execute("SELECT COUNT(*) FROM paper_orders").fetchone()[0] == 0
        connection.execute("DROP TRIGGER full")
    assert account(broker).cash == 100_000
    assert submitted(broker, a_ticket()).state is OrderState.FILLED
