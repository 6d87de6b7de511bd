"""Volatility context: the standing in a year of history, and the at-the-money volatility of a chain."""

import dataclasses
import datetime as dt

import numpy as np
import pytest
from builders import AS_OF, RATE, SPOT, make_chain
from hypothesis import given
from hypothesis import strategies as st

from mahler_agents.market.snapshot import VolatilityHistory
from mahler_agents.volatility import MIN_HISTORY_DAYS, at_the_money_volatility, standing

TODAY = AS_OF.date()
FACTS = ("implied_volatility", "delta", "gamma", "theta_per_day", "vega_per_vol_point")


def history(volatilities, *, last=TODAY - dt.timedelta(days=1)):
    """Return a history of one volatility a day, the last of them on `last`."""
    days = np.datetime64(last, "D") - np.arange(len(volatilities))[::-1]
    return VolatilityHistory(date=days, implied_volatility=np.asarray(volatilities, dtype=float))


def test_rank_is_the_place_between_the_extremes_and_percentile_the_share_of_lower_days():
    found = standing(history([0.10] * 150 + [0.20] * 50 + [0.50] * 50), 0.20, TODAY)
    assert found.rank == pytest.approx(25)
    assert found.percentile == pytest.approx(60)
    assert found.days == 250


@pytest.mark.parametrize(("now", "rank", "percentile"), [(0.05, 0, 0), (0.10, 0, 0), (0.30, 100, 50), (0.90, 100, 100)])
def test_beyond_the_years_extremes_the_rank_stays_between_0_and_100(now, rank, percentile):
    found = standing(history([0.10, 0.30] * 150), now, TODAY)
    assert (found.rank, found.percentile) == (rank, percentile)


def test_a_year_that_never_moved_ranks_in_the_middle():
    assert standing(history([0.2] * 300), 0.2, TODAY).rank == 50


def test_only_the_year_before_the_day_counts():
    spike_then_calm = [0.90] * 100 + [0.10, 0.20] * 183
    assert standing(history(spike_then_calm), 0.20, TODAY).rank == pytest.approx(100)
    with_tomorrow = history([0.10, 0.20] * 150 + [0.90], last=TODAY)
    assert standing(with_tomorrow, 0.20, TODAY).rank == pytest.approx(100)


@pytest.mark.parametrize(
    ("past", "now"),
    [
        (None, 0.2),
        (history([]), 0.2),
        (history([0.2] * (MIN_HISTORY_DAYS - 1)), 0.2),
        (history([0.1, 0.2] * 150), None),
        (history([0.1, 0.2] * 150), float("nan")),
        (history([0.1, 0.2] * 150), 0.0),
        (history([0.1, 0.2] * 150, last=TODAY - dt.timedelta(days=400)), 0.2),
        (history([np.nan, -1.0, 0.0, np.inf, 1e300] * 60), 0.2),
    ],
)
def test_without_the_facts_there_is_no_standing(past, now):
    assert standing(past, now, TODAY) is None


@given(st.lists(st.floats(0.01, 2), min_size=MIN_HISTORY_DAYS, max_size=260), st.floats(0.01, 2), st.floats(0.01, 2))
def test_a_higher_volatility_never_stands_lower(past, one, other):
    low, high = (standing(history(past), now, TODAY) for now in sorted((one, other)))
    assert 0 <= low.rank <= high.rank <= 100
    assert 0 <= low.percentile <= high.percentile <= 100


# --- at the money ----------------------------------------------------------------------------------------------------


def flat_chain(terms, **changes):
    """Return a chain whose volatility is the same at all strikes: days to expiration -> volatility."""
    parts = []
    for days, volatility in terms.items():
        part = make_chain(expirations=(TODAY + dt.timedelta(days=days),))
        parts.append(dataclasses.replace(part, implied_volatility=np.full(len(part), volatility)))
    columns = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name, column in vars(parts[0]).items()
        if isinstance(column, np.ndarray)
    }
    return dataclasses.replace(parts[0], **(columns | changes))


@pytest.mark.parametrize(
    ("terms", "days", "volatility"),
    [
        ({30: 0.20}, 30, 0.20),
        ({25: 0.20, 46: 0.20}, 30, 0.20),
        ({20: 0.20, 40: 0.30}, 30, ((0.5 * 0.04 * 20 + 0.5 * 0.09 * 40) / 30) ** 0.5),
        ({4: 0.90, 20: 0.20, 40: 0.30, 95: 0.9}, 30, ((0.5 * 0.04 * 20 + 0.5 * 0.09 * 40) / 30) ** 0.5),
        ({35: 0.25, 60: 0.5}, 30, 0.25),  # the nearest, within a quarter of the term
        ({38: 0.25, 60: 0.5}, 30, None),
        ({4: 0.25, 11: 0.5}, 30, None),
        ({80: 0.25}, 90, 0.25),
    ],
)
def test_total_variance_is_linear_in_time_between_expirations(terms, days, volatility):
    found = at_the_money_volatility(flat_chain(terms), AS_OF, days=days, rate=RATE, dividends=None)
    assert found == (None if volatility is None else pytest.approx(volatility))


def test_volatility_is_interpolated_to_the_spot_over_puts_and_calls():
    chain = make_chain(strikes=(555.0, 565.0), expirations=(TODAY + dt.timedelta(days=30),))
    by_strike = np.where(chain.strike == 555, 0.22, 0.18) + np.where(chain.is_put, 0.01, -0.01)
    chain = dataclasses.replace(chain, implied_volatility=by_strike, spot=557.5)
    assert at_the_money_volatility(chain, AS_OF, days=30, rate=RATE, dividends=None) == pytest.approx(0.21)


def test_a_chain_without_volatilities_gives_what_its_mids_imply():
    chain = make_chain(expirations=(TODAY + dt.timedelta(days=30),), volatility=0.18)
    absent = dataclasses.replace(chain, **{name: np.full(len(chain), np.nan) for name in FACTS})
    assert at_the_money_volatility(absent, AS_OF, days=30, rate=RATE, dividends=None) == pytest.approx(0.18, abs=0.001)


@pytest.mark.parametrize("missing", [{"spot": np.nan}, {"spot": 0.0}, {"spot": 5000.0}, {"spot": 1.0}])
def test_without_strikes_around_a_spot_there_is_none(missing):
    assert at_the_money_volatility(flat_chain({30: 0.2}, **missing), AS_OF, days=30, rate=RATE, dividends=None) is None


def test_an_expiration_whose_contracts_are_all_garbage_is_passed_over():
    chain = flat_chain({20: 0.20, 29: 0.5, 40: 0.30})
    days = (chain.expiration - np.datetime64(TODAY, "D")).astype(int)
    garbage = {name: np.where(days == 29, bad, getattr(chain, name)) for name, bad in (("bid", -1.0), ("ask", np.inf))}
    garbage["implied_volatility"] = np.where(days == 29, 1e300, chain.implied_volatility)
    found = at_the_money_volatility(dataclasses.replace(chain, **garbage), AS_OF, days=30, rate=RATE, dividends=None)
    assert found == pytest.approx(
        at_the_money_volatility(flat_chain({20: 0.2, 40: 0.3}), AS_OF, days=30, rate=RATE, dividends=None)
    )
    assert at_the_money_volatility(make_chain(strikes=()), AS_OF, days=30, rate=RATE, dividends=None) is None
    assert chain.spot == SPOT
