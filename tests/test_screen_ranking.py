"""What the screen hands on: ranks, who is reviewed, nearest misses, and the greeks of the position as held."""

import dataclasses

import numpy as np
import pytest
from builders import AS_OF, EXPIRATION, RATE, SPOT, make_candidate, make_chain, make_snapshot
from screen_builders import first_row, put_chain, snapshot_of

from mahler_agents import pricing
from mahler_agents.market.snapshot import Exposure
from mahler_agents.screen import ScreenParams, screen, select_for_review
from mahler_agents.types import UNIVERSE, SpreadType

MONEY = {  # net greek of the held position, dollars per contract -> (column that moves, step)
    "delta": ("spot", 0.01),
    "theta_per_day": ("years", -1 / 365 / 1000),
    "vega_per_vol_point": ("volatility", 0.0001),
}


@pytest.mark.parametrize("spread_type", SpreadType)
@pytest.mark.parametrize("greek", MONEY)
def test_greeks_as_held_are_the_change_of_the_positions_worth(spread_type, greek):
    candidate = make_candidate(spread_type=spread_type)
    column, step = MONEY[greek]

    def worth(shift):
        """Return the dollars that the position of one contract is worth: long the long leg, short the short one."""
        total = 0.0
        for leg, sign in ((candidate.long_leg, 1), (candidate.short_leg, -1)):
            contract = {
                "spot": SPOT,
                "years": float(pricing.years_to_expiry(AS_OF, EXPIRATION)),
                "volatility": leg.implied_volatility,
            }
            contract[column] += shift
            is_put = spread_type is SpreadType.BULL_PUT
            total += sign * 100 * float(pricing.price(is_put=is_put, strike=leg.strike, rate=RATE, **contract))
        return total

    per_unit = {"delta": 1 / step, "theta_per_day": 1000, "vega_per_vol_point": 0.01 / step}[greek]
    change = (worth(step) - worth(-step)) / 2 * per_unit
    assert getattr(candidate.greeks, greek) == pytest.approx(change, rel=1e-4)


@pytest.mark.parametrize("spread_type", SpreadType)
def test_gamma_as_held_is_the_change_of_delta_as_held(spread_type):
    candidate = make_candidate(spread_type=spread_type)
    legs = (candidate.long_leg, candidate.short_leg)

    def delta(spot):
        is_put = spread_type is SpreadType.BULL_PUT
        values = pricing.value(
            is_put=is_put,
            spot=spot,
            strike=[leg.strike for leg in legs],
            years=pricing.years_to_expiry(AS_OF, EXPIRATION),
            rate=RATE,
            volatility=[leg.implied_volatility for leg in legs],
        )
        return 100 * float(values.delta[0] - values.delta[1])

    assert candidate.greeks.gamma == pytest.approx((delta(SPOT + 0.01) - delta(SPOT - 0.01)) / 0.02, rel=1e-4)


def test_a_bull_put_held_gains_from_rises_and_time_and_a_bear_call_from_falls_and_time():
    put, call = (make_candidate(spread_type=spread_type).greeks for spread_type in SpreadType)
    assert put.delta > 0 > call.delta
    for held in (put, call):
        assert held.theta_per_day > 0 > held.vega_per_vol_point
        assert held.gamma < 0


# --- ranks and review ------------------------------------------------------------------------------------------------


MANY = {"max_width": 40, "min_credit_to_width": 0.02}  # lets a few dozen pairs pass


def all_underlyings(params=None):
    return screen(make_snapshot(("GLD", "TLT", "IWM", "QQQ", "SPY")), params or ScreenParams(**MANY))[0]


def test_equal_scores_go_by_the_universe_then_by_strikes_whatever_order_the_market_is_in():
    candidates = all_underlyings()  # five equal chains, so that every score occurs five times
    for start in range(0, len(candidates), 5):
        tied = candidates[start : start + 5]
        assert len({one.score for one in tied}) == 1
        assert tuple(one.spread.underlying for one in tied) == UNIVERSE
    assert [one.rank for one in candidates] == list(range(1, len(candidates) + 1))


def test_the_order_of_the_chains_rows_changes_nothing():
    chain = make_chain()
    shuffled = np.random.default_rng(3).permutation(len(chain))
    columns = {name: column[shuffled] for name, column in vars(chain).items() if isinstance(column, np.ndarray)}
    assert screen(snapshot_of(dataclasses.replace(chain, **columns))) == screen(snapshot_of(chain))


def test_at_most_so_many_are_listed_of_each_direction_and_they_are_the_best_while_all_are_counted():
    snapshot = make_snapshot()
    everything, full = screen(snapshot, ScreenParams(**MANY, max_listed=1000))
    few, report = screen(snapshot, ScreenParams(**MANY, max_listed=2))
    assert report == full
    assert full.passed == len(everything) > 6
    for spread_type in SpreadType:
        best = [one.spread for one in everything if one.spread.spread_type is spread_type][:2]
        assert [one.spread for one in few if one.spread.spread_type is spread_type] == best


def test_the_best_of_each_underlying_and_direction_is_reviewed_ten_at_most():
    candidates = all_underlyings()
    shuffled = [candidates[place] for place in np.random.default_rng(5).permutation(len(candidates))]
    reviewed, ranked_out = select_for_review(shuffled)
    assert len(reviewed) == len({(one.spread.underlying, one.spread.spread_type) for one in reviewed}) == 10
    assert sorted((*reviewed, *ranked_out), key=lambda one: one.rank) == list(candidates)
    for group in (reviewed, ranked_out):
        assert [one.rank for one in group] == sorted(one.rank for one in group)
    for one in ranked_out:
        better = [other for other in reviewed if other.rank < one.rank]
        assert (one.spread.underlying, one.spread.spread_type) in {
            (other.spread.underlying, other.spread.spread_type) for other in better
        }


@pytest.mark.parametrize("most", [0, 1, 3])
def test_no_more_than_the_asked_number_is_reviewed(most):
    candidates = all_underlyings()
    reviewed, ranked_out = select_for_review(candidates, most)
    assert len(reviewed) == most
    assert len(ranked_out) == len(candidates) - most
    assert list(reviewed) == [one for one in candidates if one in reviewed]


def test_a_candidate_carries_its_quotes_with_their_time():
    chain = first_row(put_chain(), quote_age_seconds=600.0)
    (candidate,), _ = screen(snapshot_of(chain))
    assert (AS_OF - candidate.quote.short.at).total_seconds() == 600
    assert candidate.quote.mid_credit == candidate.credit == pytest.approx(0.60)
    assert candidate.quote.natural_credit == pytest.approx(0.58)
    assert candidate.dte == 32


# --- nearest misses --------------------------------------------------------------------------------------------------

NO_LONG_LEG = {"strikes": (530.0,), "mids": (1.00,)}
MISSES = {
    # how the chain of puts is made, what changes in its first row -> (reason, text)
    "credit": ({"mids": (0.82, 0.40)}, {}, "credit", "credit 8.4 % of width, needs 10 %"),
    "credit by a hair": ({"mids": (0.8999, 0.40)}, {}, "credit", "credit 9.998 % of width, needs 10 %"),
    "debit": ({"mids": (0.30, 0.40)}, {}, "credit_not_positive", "credit -0.100, needs to be above 0"),
    "too good": (
        {"mids": (6.00, 0.40)},
        {},
        "credit_not_below_width",
        "credit 5.600, needs to be below the width 5",
    ),
    "delta above": (NO_LONG_LEG | {"delta": -0.18}, {}, "short_delta", "short |delta| 0.18, needs 0.05-0.15"),
    "delta below": ({"delta": -0.04}, {}, "short_delta", "short |delta| 0.04, needs 0.05-0.15"),
    "no long leg": (NO_LONG_LEG, {}, "width", "no eligible long leg 2-10 dollars below"),
    "bid-ask": ({}, {"bid": 0.93, "ask": 1.07}, "bid_ask", "bid-ask 14 % of mid, needs at most 12 %"),
    "open interest": ({}, {"open_interest": 12}, "open_interest", "open interest 12, needs 50"),
    "open interest unknown": (
        {},
        {"open_interest": np.nan},
        "open_interest",
        "open interest unknown, needs 50",
    ),
    "volume": ({}, {"volume": 0}, "volume", "volume 0, needs 1"),
    "infinite volume": ({}, {"volume": np.inf}, "volume", "volume unknown, needs 1"),
    "stale": ({}, {"quote_age_seconds": 1500}, "stale_quote", "quote age 1500 s, needs at most 1200 s"),
    "dte": (NO_LONG_LEG, {"expiration": np.datetime64("2026-05-07")}, "dte", "DTE 52, needs 30-45"),
    "crossed": ({}, {"bid": 1.10}, "crossed", "crossed"),
}


@pytest.mark.parametrize(("puts", "changes", "reason", "text"), MISSES.values(), ids=MISSES)
def test_the_nearest_miss_names_the_filter_that_binds_and_by_how_much(puts, changes, reason, text):
    _, report = screen(snapshot_of(first_row(put_chain(**puts), **changes)))
    (miss,) = report.nearest_misses
    assert (miss.reason, miss.text) == (reason, text)
    assert miss.what.startswith("SPY 530")


def test_a_spread_that_only_an_open_position_stops_is_the_nearest_miss():
    exposure = Exposure(
        underlying="SPY",
        spread_type=SpreadType.BULL_PUT,
        expiration=EXPIRATION,
        contracts=1,
        max_loss_dollars=440.0,
        pending=False,
    )
    _, report = screen(snapshot_of(put_chain(), exposures=(exposure,)))
    (miss,) = report.nearest_misses
    assert (miss.reason, miss.text) == ("duplicate_position", "a bull put of this expiration is open")
    assert miss.what == "SPY 530/525 put spread, 2026-04-17"


def test_the_nearest_of_several_pairs_is_told():
    chain = put_chain((530.0, 527.0, 525.0), mids=(0.80, 0.60, 0.40))
    (miss,) = screen(snapshot_of(chain))[1].nearest_misses
    assert (miss.what, miss.text) == (
        "SPY 530/525 put spread, 2026-04-17",
        "credit 8 % of width, needs 10 %",
    )


def test_a_direction_with_a_candidate_has_no_miss_and_one_without_contracts_none_either():
    assert screen(make_snapshot())[1].nearest_misses == ()
    assert screen(snapshot_of(put_chain()))[1].nearest_misses == ()
    assert screen(snapshot_of(make_chain(strikes=())))[1].nearest_misses == ()
