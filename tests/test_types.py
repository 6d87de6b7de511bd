"""The shared words: what a spread is, what it is called, and what its quotes are worth."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mahler_agents.types import ASSET_CLASSES, UNIVERSE, Quote, Spread, SpreadQuote, SpreadType
from mahler_agents.wording import spread_label

AT = dt.datetime(2026, 3, 16, 14, 3, tzinfo=dt.UTC)


def a_spread(spread_type: SpreadType = SpreadType.BULL_PUT, *, short: float = 540, long: float = 535) -> Spread:
    return Spread(
        underlying="SPY",
        spread_type=spread_type,
        expiration=dt.date(2026, 4, 17),
        short_strike=short,
        long_strike=long,
        short_symbol="short",
        long_symbol="long",
    )


def a_quote(short: tuple[float, float], long: tuple[float, float]) -> SpreadQuote:
    return SpreadQuote(short=Quote(bid=short[0], ask=short[1], at=AT), long=Quote(bid=long[0], ask=long[1], at=AT))


def test_a_spread_knows_its_width_and_its_legs_type() -> None:
    put, call = a_spread(), a_spread(SpreadType.BEAR_CALL, short=580, long=585)
    assert (put.width, call.width) == (5, 5)
    assert (put.right, call.right) == ("put", "call")


def test_a_spread_has_a_name_for_traders_and_one_for_keys() -> None:
    assert a_spread().label == "SPY 540/535 put spread, 2026-04-17"
    assert a_spread().key == "SPY-20260417-P-540-535"
    assert a_spread(SpreadType.BEAR_CALL, short=580.5, long=585).key == "SPY-20260417-C-580.5-585"


@pytest.mark.parametrize(
    ("spread_type", "short", "long"),
    [
        (SpreadType.BULL_PUT, 535, 540),
        (SpreadType.BULL_PUT, 540, 540),
        (SpreadType.BEAR_CALL, 585, 580),
        (SpreadType.BEAR_CALL, 580, 580),
    ],
)
def test_legs_that_would_cost_a_debit_are_no_credit_spread(spread_type: SpreadType, short: float, long: float) -> None:
    with pytest.raises(ValidationError, match=r"long strike .* is not (below|above) its short strike"):
        a_spread(spread_type, short=short, long=long)


thousandths = st.integers(1, 99_999_999)


@given(st.tuples(thousandths, thousandths), st.tuples(thousandths, thousandths))
def test_no_two_spreads_have_one_key(one: tuple[int, int], other: tuple[int, int]) -> None:
    first, second = (
        a_spread(
            SpreadType.BULL_PUT if short > long else SpreadType.BEAR_CALL,
            short=short / 1000,
            long=(long if short != long else long + 1) / 1000,
        )
        for short, long in (one, other)
    )
    assert (first.key == second.key) is (first == second)


def test_strikes_that_differ_in_their_seventh_digit_have_keys_of_their_own() -> None:
    assert a_spread(short=1234.57, long=1230).key != a_spread(short=1234.565, long=1230).key
    assert a_spread(short=99_999.999, long=10).label == "SPY 99999.999/10 put spread, 2026-04-17"


def test_the_credit_goes_from_mid_to_the_natural_side() -> None:
    quote = a_quote((1.10, 1.20), (0.28, 0.32))
    assert quote.mid_credit == pytest.approx(0.85)
    assert quote.natural_credit == pytest.approx(0.78)
    assert quote.credit_at(0) == quote.mid_credit
    assert quote.credit_at(1) == pytest.approx(quote.natural_credit)
    assert quote.credit_at(0.66) == pytest.approx(0.85 - 0.66 * 0.07)


def test_a_zero_bid_with_a_positive_ask_is_a_quote() -> None:
    assert Quote(bid=0, ask=0.05, at=AT).mid == pytest.approx(0.025)


@pytest.mark.parametrize(
    "changes",
    [
        {"bid": -0.01},
        {"bid": 1.11},
        {"ask": 0},
        {"ask": float("nan")},
        {"bid": float("inf")},
        {"at": AT.replace(tzinfo=None)},
    ],
    ids=str,
)
def test_a_quote_of_impossible_figures_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(changes))):
        Quote.model_validate({"bid": 1.0, "ask": 1.1, "at": AT} | changes)


def test_every_underlying_of_the_universe_has_a_class() -> None:
    assert set(UNIVERSE) == set(ASSET_CLASSES)


def test_the_record_labels_a_spread_as_the_desk_does() -> None:
    spread = a_spread(short=99_999.999, long=10)
    said = spread_label(
        underlying="SPY", spread_type="bull_put", short_strike=99_999.999, long_strike=10, expiration="2026-04-17"
    )
    assert said == spread.label
