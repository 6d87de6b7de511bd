"""Alpaca's orders as ours: every status, prices by their legs and signs, and no fact assumed that is missing."""

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
from alpaca.trading.enums import OrderStatus
from alpaca_answers import BROKER_ORDER_ID, ORDER_ID, an_order
from hypothesis import given
from hypothesis import strategies as st
from trading_builders import DECIDED_AT, a_closing_ticket, a_spread, a_ticket

from mahler_agents.alpaca import AlpacaRefused
from mahler_agents.errors import BrokerError
from mahler_agents.execution import OrderState, OrderUpdate, Position
from mahler_agents.execution.alpaca.answers import Answer
from mahler_agents.execution.alpaca.orders import STATES, SpreadOrder, update_of, update_of_row, working_order
from mahler_agents.execution.alpaca.refusals import is_duplicate, reason_of
from mahler_agents.types import Reason

WHAT = f"order {ORDER_ID}"
FILLED_AT = dt.datetime(2026, 3, 17, 14, 3, 4, 694_000, tzinfo=dt.UTC)


def update(raw: dict[str, Any]) -> OrderUpdate:
    return update_of(Answer.of(raw, WHAT))


# --- States -----------------------------------------------------------------------------------------------------------


def test_every_status_of_the_client_library_but_replaced_has_a_state() -> None:
    assert {status.value for status in OrderStatus} - set(STATES) == {"replaced"}
    assert set(STATES) <= {status.value for status in OrderStatus}


@pytest.mark.parametrize(
    ("status", "unfilled", "in_part", "whole"),
    [
        ("new", "accepted", "partial", "partial"),
        ("accepted", "accepted", "partial", "partial"),
        ("pending_new", "accepted", "partial", "partial"),
        ("accepted_for_bidding", "accepted", "partial", "partial"),
        ("pending_review", "accepted", "partial", "partial"),
        ("held", "accepted", "partial", "partial"),
        ("stopped", "accepted", "partial", "partial"),
        ("suspended", "accepted", "partial", "partial"),
        ("pending_cancel", "accepted", "partial", "partial"),
        ("pending_replace", "accepted", "partial", "partial"),
        ("partially_filled", None, "partial", "partial"),
        ("filled", None, None, "filled"),
        ("canceled", "canceled", "canceled", "canceled"),
        ("expired", "expired", "expired", "filled"),
        ("rejected", "rejected", "rejected", "rejected"),
        ("done_for_day", "expired", "expired", "filled"),
        ("calculated", "expired", "expired", "filled"),
    ],
)
def test_a_status_and_what_has_filled_make_the_state_or_contradict_each_other(
    status: str, unfilled: str | None, in_part: str | None, whole: str | None
) -> None:
    for filled, state in ((0, unfilled), (3, in_part), (4, whole)):
        raw = an_order(status, qty=4, filled=filled)
        if state is None:
            with pytest.raises(BrokerError, match="contradicts itself"):
                update(raw)
        else:
            told = update(raw)
            assert told.state is OrderState(state)
            assert told.contracts == filled
            assert told.broker_order_id == BROKER_ORDER_ID


def test_a_status_that_nobody_documents_is_refused() -> None:
    with pytest.raises(BrokerError, match="has the status `frozen`, which is none that Alpaca documents"):
        update(an_order("frozen"))


def row_of(*raw: dict[str, Any]) -> OrderUpdate:
    return update_of_row([Answer.of(one, WHAT) for one in raw])


@pytest.mark.parametrize(
    ("before", "status", "qty", "filled", "state", "contracts"),
    [
        (0, "new", 4, 0, OrderState.ACCEPTED, 0),
        (0, "filled", 4, 4, OrderState.FILLED, 4),
        (0, "canceled", 4, 1, OrderState.CANCELED, 1),
        (1, "new", 3, 0, OrderState.PARTIAL, 1),
        (1, "filled", 3, 3, OrderState.FILLED, 4),
        (1, "expired", 3, 0, OrderState.EXPIRED, 1),
        (1, "filled", 2, 2, OrderState.CANCELED, 3),  # made smaller by hand: what is left was given up
        (1, "canceled", 4, 3, OrderState.FILLED, 4),
        (0, "rejected", 4, 0, OrderState.REJECTED, 0),
    ],
)
def test_an_order_that_others_replaced_stands_as_its_successor_does_with_the_fills_of_both(  # noqa: PLR0917 - a table
    before: int, status: str, qty: int, filled: int, state: OrderState, contracts: int
) -> None:
    ours = an_order("replaced", filled=before, replaced_by="77aa")
    told = row_of(ours, an_order(status, qty=qty, filled=filled, id="77aa", short="1.25"))
    assert (told.state, told.contracts, told.broker_order_id) == (state, contracts, "77aa")
    if told.traded is not None:
        assert told.traded.credit * contracts == pytest.approx(0.95 * before + 1.15 * filled)
    assert told.detail == "replaced at Alpaca by 77aa, by hand or by a corporate action"


def test_a_replacement_of_other_legs_or_of_more_contracts_is_not_ours_to_book() -> None:
    ours = an_order("replaced", filled=1, replaced_by="77aa")
    with pytest.raises(BrokerError, match="replaced at Alpaca by one of other legs"):
        row_of(ours, an_order("filled", qty=3, filled=3, spread=a_spread("QQQ")))
    with pytest.raises(BrokerError, match="5 contracts filled where 4 were due"):
        row_of(ours, an_order("filled", filled=4))


def test_a_fill_of_which_a_leg_is_not_told_is_no_fill_to_book() -> None:
    whole = an_order("filled", filled=4)
    with pytest.raises(BrokerError, match="has no `legs`"):
        update(whole | {"legs": []})
    with pytest.raises(BrokerError, match="has not one leg bought and one sold: sell 1 SPY"):
        update(whole | {"legs": whole["legs"][:1]})


def test_a_field_of_a_shape_that_nobody_documents_is_told_and_breaks_nothing_else() -> None:
    with pytest.raises(BrokerError, match="is no JSON array"):
        update(an_order("filled", filled=4, legs={}))
    with pytest.raises(BrokerError, match="`status` in"):
        update(an_order() | {"status": {}})


# --- Fills ------------------------------------------------------------------------------------------------------------


def test_an_entry_has_the_credit_of_its_legs_and_an_exit_the_debit_below_zero() -> None:
    entry = update(an_order("filled", filled=4, short="1.05", long="0.10")).traded
    exit_ = update(an_order("filled", opens=False, filled=4, short="1.05", long="0.10")).traded
    assert entry is not None
    assert exit_ is not None
    assert (entry.contracts, entry.credit, entry.fees, entry.at) == (4, 0.95, 0.0, FILLED_AT)
    assert exit_.credit == -0.95


def test_the_vendors_own_example_of_a_filled_order_has_the_price_that_its_parent_tells() -> None:
    """3 x 0.43 paid and 0.01 received is 1.28, a debit above zero (docs.alpaca.markets, Get All Orders, mleg)."""
    raw = an_order("filled", qty=1, filled=1, short="0.43", long="0.01", opens=False, filled_avg_price="1.28")
    raw["legs"][0] |= {"ratio_qty": "3", "qty": "3", "filled_qty": "3"}
    told = update(raw)
    assert told.traded is not None
    assert told.traded.credit == -1.28
    assert told.detail is None


def test_the_price_is_that_of_the_legs_and_another_one_of_the_parent_is_told() -> None:
    told = update(an_order("filled", filled=4, short="1.05", long="0.10", filled_avg_price="-0.89"))
    assert told.traded is not None
    assert told.traded.credit == 0.95
    assert told.detail == "Alpaca's average price of the order is -0.89, of its legs -0.9500: the legs' is booked"


def test_the_limit_is_never_the_price() -> None:
    for limit in ("-0.01", "-4.99"):
        told = update(an_order("filled", filled=4, short="1.05", long="0.10", limit_price=limit)).traded
        assert told is not None
        assert told.credit == 0.95


@given(
    fills=st.lists(st.tuples(st.integers(1, 40), st.integers(5, 900), st.integers(1, 400)), min_size=1, max_size=5),
    digits=st.integers(6, 12),
)
def test_means_that_come_rounded_still_add_up_to_what_the_fills_brought(
    fills: list[tuple[int, int, int]], digits: int
) -> None:
    contracts = sum(count for count, _, _ in fills)
    short, long = (Decimal(sum(fill[0] * fill[leg] for fill in fills)) / contracts / 100 for leg in (1, 2))
    told = update(
        an_order("filled", qty=contracts, filled=contracts, short=f"{short:.{digits}f}", long=f"{long:.{digits}f}")
    ).traded
    assert told is not None
    assert told.hundredths == 100 * sum(count * (sold - bought) for count, sold, bought in fills)


def test_legs_that_have_not_filled_alike_are_no_fill_to_book() -> None:
    raw = an_order("partially_filled", filled=3)
    raw["legs"][1]["filled_qty"] = "2"
    with pytest.raises(BrokerError, match=r"P00535000 of order .* has filled 2 where 3 spreads of the order have"):
        update(raw)


def test_a_part_that_is_not_timed_yet_has_the_time_of_the_orders_last_change() -> None:
    raw = an_order("partially_filled", filled=3, filled_at=None)
    for leg in raw["legs"]:
        leg["filled_at"] = None
    told = update(raw).traded
    assert told is not None
    assert told.at == dt.datetime(2026, 3, 17, 14, 3, 5, 725_139, tzinfo=dt.UTC)


# --- Missing and wrong facts ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["id", "status", "qty", "filled_qty", "legs"])
@pytest.mark.parametrize("absence", ["left out", None, ""])
def test_a_field_that_is_missing_is_named(name: str, absence: str | None) -> None:
    raw = an_order("filled", filled=4)
    if absence == "left out":
        del raw[name]
    else:
        raw[name] = absence
    with pytest.raises(BrokerError, match=f"Alpaca's answer about {WHAT} has no `{name}`"):
        update(raw)


@pytest.mark.parametrize("name", ["symbol", "side", "ratio_qty", "filled_qty", "filled_avg_price"])
def test_a_field_that_is_missing_in_a_leg_is_named(name: str) -> None:
    raw = an_order("filled", filled=4)
    del raw["legs"][0][name]
    with pytest.raises(BrokerError, match=f"has no `{name}`"):
        update(raw)


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("filled_qty", "2.5", "a whole number"),
        ("filled_qty", "NaN", "a number"),
        ("filled_qty", "many", "a number"),
        ("filled_qty", True, "a number"),
        ("status", 7, "a text"),
        ("filled_at", "yesterday", "a time"),
        ("filled_at", "2026-03-17T14:03:00", "a time with its zone"),
    ],
)
def test_a_field_that_is_something_else_is_named_with_what_it_is(name: str, value: object, wanted: str) -> None:
    with pytest.raises(BrokerError, match=f"`{name}` in Alpaca's answer about {WHAT} is {value!r}, not {wanted}"):
        update(an_order("filled", filled=4) | {name: value})


@pytest.mark.parametrize("raw", [None, [], "ok", 5])
def test_an_answer_that_is_no_object_is_none(raw: object) -> None:
    with pytest.raises(BrokerError, match="is no JSON object, but"):
        Answer.of(raw, WHAT)


# --- What is sent -----------------------------------------------------------------------------------------------------


def sent(limit_credit: float = 0.89, *, opens: bool = True) -> SpreadOrder:
    entry = a_ticket()
    position = Position(
        entry_order_id=entry.client_order_id,
        spread=entry.spread,
        contracts=4,
        opened_contracts=4,
        entry_credit=0.95,
        fees=0.0,
        opened_at=DECIDED_AT,
        exit_params=entry.exit_params,
    )
    ticket = entry if opens else a_closing_ticket(position, limit_debit=1.2)
    return SpreadOrder.of(ticket, order_id=ORDER_ID, contracts=4, limit_credit=limit_credit)


def test_a_credit_is_asked_for_below_zero_and_a_debit_above() -> None:
    assert sent(0.89).limit_price == Decimal("-0.89")
    assert sent(-1.2, opens=False).limit_price == Decimal("1.20")
    assert str(sent(-0.0, opens=False).limit_price) == "0.00"


@given(st.integers(1, 1000))
def test_a_price_has_two_decimals_however_the_float_ends(cents: int) -> None:
    assert sent(cents / 100).limit_price == Decimal(-cents) / 100


def test_an_entry_opens_both_legs_and_an_exit_closes_them() -> None:
    spread = a_spread()
    entry, exit_ = sent().legs, sent(opens=False).legs
    assert [(leg.symbol, leg.side, leg.intent) for leg in entry] == [
        (spread.short_symbol, "sell", "sell_to_open"),
        (spread.long_symbol, "buy", "buy_to_open"),
    ]
    assert [(leg.symbol, leg.side, leg.intent) for leg in exit_] == [
        (spread.short_symbol, "buy", "buy_to_close"),
        (spread.long_symbol, "sell", "sell_to_close"),
    ]


def test_an_order_is_known_again_by_legs_quantity_and_limit() -> None:
    assert sent().differences(Answer.of(an_order(), WHAT)) == ()


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (an_order(opens=False), "its legs are "),
        (an_order(spread=a_spread(short=541.0)), "its legs are "),
        (an_order(qty=5), "its quantity is 5, not 4"),
        (an_order(limit_price="-0.88"), "its limit price is -0.88, not -0.89"),
        (an_order(limit_price="0.89"), "its limit price is 0.89, not -0.89"),
        (an_order(limit_price=None), "its limit price is None, not -0.89"),
    ],
)
def test_another_order_is_told_by_what_differs(raw: dict[str, Any], told: str) -> None:
    assert any(text.startswith(told) for text in sent().differences(Answer.of(raw, WHAT)))


def test_an_open_order_of_somebody_else_is_told_with_its_symbol() -> None:
    by_hand = {"id": "77", "client_order_id": "by-hand", "symbol": "SPY", "legs": None}
    assert working_order(Answer.of(by_hand, "an open order")).symbols == ("SPY",)
    ours = working_order(Answer.of(an_order(), "an open order"))
    assert (ours.order_id, ours.symbols) == (ORDER_ID, (a_spread().short_symbol, a_spread().long_symbol))


# --- Refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "message", "reason"),
    [
        (403, "insufficient options buying power", Reason.BUYING_POWER),
        (403, "insufficient qty available for order (requested: 1, available: 0)", Reason.NOT_HELD),
        (403, "position intent mismatch, inferred: sell_to_open, specified: sell_to_close", Reason.NOT_HELD),
        (403, "account not eligible to trade uncovered option contracts", Reason.REJECTED),
        (422, "invalid limit_price", Reason.REJECTED),
        (401, "unauthorized.", Reason.REJECTED),
    ],
)
def test_a_refusal_has_the_reason_that_its_words_say(status: int, message: str, reason: Reason) -> None:
    error = AlpacaRefused("submit", status=status, code=40310000, message=message)
    assert reason_of(error) is reason
    assert not is_duplicate(error)


def test_an_id_that_was_used_before_is_no_refusal() -> None:
    assert is_duplicate(AlpacaRefused("submit", status=422, code=40010001, message="client_order_id must be unique"))
