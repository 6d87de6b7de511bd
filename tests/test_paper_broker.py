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

from mahler_agents.execution import Fill, OrderState, OrderTicket, OrderUpdate, PaperBroker, Position
from mahler_agents.execution.execute import concession_steps
from mahler_agents.execution.paper import worst_payout_dollars
from mahler_agents.market.occ import parse_symbol
from mahler_agents.market.snapshot import Account
from mahler_agents.record import connect, open_database
from mahler_agents.types import Reason, SpreadType

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
    path: Path, market: QuotedMarket, *, commission: float = 1.0, account_id: str | None = None
) -> PaperBroker:
    return PaperBroker(path, market, concession=CONCESSION, commission=commission, account_id=account_id)


def account(broker: PaperBroker, at: dt.datetime = DECIDED_AT) -> Account:
    return asyncio.run(broker.account(at))


def submitted(broker: PaperBroker, ticket: OrderTicket, *steps: float) -> OrderUpdate:
    return asyncio.run(broker.submit(ticket, steps or (0.95, 0.89)))


def position_of(ticket: OrderTicket, update: OrderUpdate) -> Position:
    assert update.fill is not None
    return Position(
        entry_order_id=ticket.client_order_id,
        spread=ticket.spread,
        contracts=update.fill.contracts,
        entry_credit=update.fill.credit,
        fees=update.fill.fees,
        opened_at=update.fill.at,
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


def test_a_leg_without_a_quote_is_marked_at_its_last_one_and_named(broker: PaperBroker, market: QuotedMarket) -> None:
    ticket = a_ticket(contracts=2)
    submitted(broker, ticket)
    marked = account(broker)
    market.unquote(ticket.spread.long_symbol)
    market.sides[ticket.spread.short_symbol] = (0.50, 0.60)
    later = account(broker, LATER)
    assert later.stale_marks == {ticket.spread.long_symbol: DECIDED_AT}
    assert later.equity == marked.equity + 100  # the short leg fell by 0.50 on two contracts
    assert marked.stale_marks == {}


def test_an_older_quote_never_takes_the_place_of_a_newer_mark(broker: PaperBroker, market: QuotedMarket) -> None:
    ticket = a_ticket()
    submitted(broker, ticket)
    market.quote(ticket.spread, short=(5.00, 5.10), long=(4.00, 4.10))
    account(broker, DECIDED_AT - dt.timedelta(hours=1))
    market.unquote(ticket.spread.short_symbol, ticket.spread.long_symbol)
    assert account(broker, LATER).equity == 100_000 + 4 * (89 - 95) - 8


# --- Entries ----------------------------------------------------------------------------------------------------------


def test_an_entry_fills_at_its_last_step_for_a_dollar_a_contract_and_leg(broker: PaperBroker) -> None:
    ticket = a_ticket(contracts=4)
    assert submitted(broker, ticket, 0.95, 0.93, 0.89) == OrderUpdate(
        state=OrderState.FILLED,
        broker_order_id=f"paper-{ticket.client_order_id}",
        fill=Fill(client_order_id=ticket.client_order_id, contracts=4, credit=0.89, fees=8.0, at=DECIDED_AT),
    )
    assert account(broker) == Account(
        account_id="paper-quoted-test",
        cash=100_348,  # 4 x 89 - 8
        equity=99_968,  # less 4 x 95, what the spread costs at mid
        buying_power=98_348,  # less 4 x 500, what it can owe
    )


def test_the_steps_of_the_desk_end_66_percent_of_the_way_to_the_natural_side(broker: PaperBroker) -> None:
    quote = a_spread_quote((1.00, 1.10), (0.06, 0.14))
    update = submitted(broker, a_ticket(), *concession_steps(quote, concession=CONCESSION, floor=0.80))
    assert update.fill is not None
    assert update.fill.credit == 0.89  # 0.95 - 0.66 x 0.09 = 0.8906, rounded down


@pytest.mark.parametrize(
    ("last", "outcome"), [(0.88, "filled"), (0.89, "filled"), (0.90, "unfilled"), (0.95, "unfilled")]
)
def test_an_entry_whose_floor_is_above_66_percent_of_the_way_is_not_filled(
    broker: PaperBroker, last: float, outcome: str
) -> None:
    update = submitted(broker, a_ticket(), 0.95, last)
    assert update.outcome == outcome
    if outcome == "unfilled":
        assert (update.state, update.reason, update.fill) == (OrderState.CANCELED, Reason.UNFILLED, None)
        assert account(broker).equity == 100_000


def test_an_entry_whose_leg_has_no_quote_is_not_filled(broker: PaperBroker, market: QuotedMarket) -> None:
    market.unquote(a_spread().long_symbol)
    assert submitted(broker, a_ticket()).outcome is Reason.UNFILLED
    assert account(broker).cash == 100_000


def test_quotes_are_those_of_the_decision_time(broker: PaperBroker, market: QuotedMarket) -> None:
    ticket = a_ticket()
    submitted(broker, ticket)
    assert market.asked[-1] == ((ticket.spread.short_symbol, ticket.spread.long_symbol), DECIDED_AT)


def test_a_second_sending_trades_nothing_and_says_what_became_of_the_first(
    path: Path, broker: PaperBroker, market: QuotedMarket
) -> None:
    ticket = a_ticket(contracts=4)
    first = submitted(broker, ticket)
    before = account(broker)
    market.quote(ticket.spread, short=(2.00, 2.10), long=(0.06, 0.14))
    other = ticket.model_copy(update={"contracts": 9, "decided_at": LATER})
    with a_broker(path, market) as restarted:
        assert submitted(broker, ticket) == submitted(restarted, ticket, 0.5) == submitted(broker, other) == first
        assert account(restarted).cash == before.cash


def test_a_second_sending_of_an_unfilled_order_does_not_fill_it(broker: PaperBroker, market: QuotedMarket) -> None:
    ticket = a_ticket()
    first = submitted(broker, ticket, 0.95)
    market.quote(ticket.spread, short=(2.00, 2.10), long=(0.06, 0.14))
    assert submitted(broker, ticket, 0.95) == first
    assert account(broker).cash == 100_000


# --- Exits ------------------------------------------------------------------------------------------------------------


def test_an_exit_buys_back_at_the_natural_side(broker: PaperBroker, market: QuotedMarket) -> None:
    ticket = a_ticket(contracts=4)
    position = position_of(ticket, submitted(broker, ticket))
    market.quote(ticket.spread, short=(0.30, 0.36), long=(0.02, 0.05))
    closing_ticket = a_closing_ticket(position, limit_debit=0.34)
    update = asyncio.run(broker.close(closing_ticket))
    assert update.fill == Fill(
        client_order_id=closing_ticket.client_order_id, contracts=4, credit=-0.34, fees=8.0, at=LATER
    )
    assert account(broker, LATER) == Account(
        account_id="paper-quoted-test",
        cash=100_204,  # 4 x (89 - 34) - 16
        equity=100_204,
        buying_power=100_204,
    )
    assert asyncio.run(broker.close(closing_ticket)) == update
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
def test_an_exit_costs_natural_at_most_the_width_or_is_canceled(
    broker: PaperBroker, market: QuotedMarket, sides_of_legs, limit, paid
) -> None:
    ticket = a_ticket()
    position = position_of(ticket, submitted(broker, ticket))
    market.quote(ticket.spread, short=sides_of_legs[0], long=sides_of_legs[1])
    update = asyncio.run(broker.close(a_closing_ticket(position, limit_debit=limit)))
    if paid is None:
        assert update.outcome is Reason.UNFILLED
    else:
        assert update.fill is not None
        assert update.fill.credit == pytest.approx(-paid)


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
            assert update.fill is not None
            assert update.fill.fees == pytest.approx(commission_cents * 2 * contracts / 100)
            cash_cents += credit * 100 * contracts - commission_cents * 2 * contracts
            move(legs, spread.short_symbol, -contracts)
            move(legs, spread.long_symbol, contracts)
            if closes:
                position = position_of(ticket, update)
                closing_ticket = a_closing_ticket(position, limit_debit=spread.width, slot=f"{account_id}-{number}")
                debit = min(500, max(0, round(short[1] * 100) - round(long[0] * 100)))
                asyncio.run(broker.close(closing_ticket))
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
