"""Exit policies: the fixed one, the dynamic table of the house, what it refuses and where it gives way."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mahler_agents.errors import InputError
from mahler_agents.exits import ExitParams, ExitPolicy, TradingGroup, resolve
from mahler_agents.exits.policy import LARGEST_TARGET, dynamic_exits
from mahler_agents.market.snapshot import Bars

CONSERVATIVE, NEUTRAL, AGGRESSIVE = TradingGroup
HOUSE = ExitParams()


def bars(closes: list[float]) -> Bars:
    column = np.asarray(closes, dtype=np.float64)
    days = np.arange(len(closes)).astype("datetime64[D]")
    return Bars(date=days, open=column, high=column, low=column, close=column, volume=column)


def swinging(daily: float, days: int = 11, start: float = 500.0) -> Bars:
    """Closes whose log returns are `daily` up and down in turn: their deviation is known by hand."""
    moves = itertools.accumulate((daily * (-1) ** day for day in range(days - 1)), initial=math.log(start))
    return bars([math.exp(one) for one in moves])


def params(group: TradingGroup, volatility: float) -> tuple[float, float]:
    found = dynamic_exits(group, volatility, time_exit_dte=21).params
    return found.profit_target, found.stop_loss


@pytest.mark.parametrize(
    ("group", "volatility", "target", "stop"),
    [
        (CONSERVATIVE, 0.15, 0.40, 1.00),
        (NEUTRAL, 0.15, 0.50, 1.25),
        (AGGRESSIVE, 0.15, 0.60, 1.50),
        (CONSERVATIVE, 0.30, 0.20, 2.00),
        (NEUTRAL, 0.30, 0.25, 2.50),
        (AGGRESSIVE, 0.30, 0.30, 3.00),
        (NEUTRAL, 0.90, 0.25, 2.50),  # r is 2 at most
        (CONSERVATIVE, 0.075, 0.80, 0.50),
        (CONSERVATIVE, 0.03, 0.80, 0.50),  # and 0.5 at least
        (NEUTRAL, 0.20, 0.375, 1.25 * 4 / 3),
    ],
)
def test_thresholds_scale_with_the_annualised_volatility(
    group: TradingGroup, volatility: float, target: float, stop: float
) -> None:
    assert params(group, volatility) == pytest.approx((target, stop), abs=1e-6)


@pytest.mark.parametrize(
    ("name", "dynamic", "said"),
    [
        ("fixed", None, "fixed: target 65 %, stop 125 % of the credit, time exit at 21 days"),
        ("conservative", CONSERVATIVE, "dynamic, conservative: target and stop by"),
        ("neutral", NEUTRAL, "dynamic, neutral: target and stop by"),
        ("aggressive", AGGRESSIVE, "dynamic, aggressive: target and stop by"),
    ],
)
def test_a_policy_has_a_name_and_says_what_it_is(name: str, dynamic: TradingGroup | None, said: str) -> None:
    policy = ExitPolicy.named(name)
    assert policy == ExitPolicy(dynamic=dynamic)
    assert policy.text.startswith(said)


@pytest.mark.parametrize("name", ["", "dynamic", "Neutral", "off"])
def test_another_name_is_refused_with_those_that_there_are(name: str) -> None:
    with pytest.raises(InputError, match="use one of fixed, conservative, neutral, aggressive"):
        ExitPolicy.named(name)


@pytest.mark.parametrize("group", [NEUTRAL, AGGRESSIVE])
def test_a_target_of_the_whole_credit_or_more_is_cut_to_what_a_positive_cost_can_reach_and_said(
    group: TradingGroup,
) -> None:
    found = dynamic_exits(group, 0.05, time_exit_dte=21)
    assert found.params.profit_target == LARGEST_TARGET
    assert found.params.target_cost(0.20) == pytest.approx(0.01)
    assert found.note is not None
    assert "out of reach of a positive cost: 95 % instead" in found.note


@pytest.mark.parametrize("volatility", [0.15 / math.sqrt(252), 0.0199, 0.0, math.nan, math.inf, -0.2])
def test_a_volatility_that_looks_daily_is_refused_in_one_line(volatility: float) -> None:
    with pytest.raises(InputError, match=r"looks daily: give it annualised \(0\.02 or more\)"):
        dynamic_exits(NEUTRAL, volatility, time_exit_dte=21)


@given(group=st.sampled_from(TradingGroup), volatility=st.floats(0.02, 5), more=st.floats(0, 5))
def test_a_wilder_market_has_a_nearer_target_and_a_wider_stop_within_what_params_allow(
    group: TradingGroup, volatility: float, more: float
) -> None:
    calm, wild = params(group, volatility), params(group, volatility + more)
    assert wild[0] <= calm[0] <= LARGEST_TARGET
    assert calm[1] <= wild[1]


def test_the_fixed_policy_is_the_default_and_asks_no_bars() -> None:
    found = resolve(ExitPolicy(), None)
    assert (found.params, found.policy, found.note) == (HOUSE, "fixed", None)


def test_the_dynamic_policy_annualises_the_deviation_of_ten_daily_returns() -> None:
    daily = (
        0.15 / math.sqrt(252) * math.sqrt(9 / 10)
    )  # five up, five down: the sample deviation is daily * sqrt(10 / 9)
    found = resolve(ExitPolicy(dynamic=NEUTRAL), swinging(daily))
    assert found.volatility == pytest.approx(0.15)
    assert (found.params.profit_target, found.params.stop_loss) == pytest.approx((0.5, 1.25), abs=1e-5)
    assert found.policy == "dynamic"


@pytest.mark.parametrize("given_bars", [None, swinging(0.01, days=10), bars([])])
def test_with_too_few_bars_the_fixed_policy_holds_and_says_why(given_bars: Bars | None) -> None:
    fixed = ExitParams(profit_target=0.5)
    found = resolve(ExitPolicy(dynamic=AGGRESSIVE, fixed=fixed), given_bars)
    assert (found.params, found.policy) == (fixed, "fixed")
    assert found.note is not None
    assert "too few bars: 11 daily closes without a gap are needed" in found.note


def test_bars_that_hardly_move_are_no_ground_for_the_dynamic_policy() -> None:
    found = resolve(ExitPolicy(dynamic=AGGRESSIVE), swinging(0.0001))
    assert (found.params, found.policy) == (HOUSE, "fixed")
    assert found.note is not None
    assert "looks daily" in found.note


def test_the_time_exit_is_the_fixed_policys_in_both() -> None:
    policy = ExitPolicy(dynamic=NEUTRAL, fixed=ExitParams(time_exit_dte=14))
    assert resolve(policy, swinging(0.01)).params.time_exit_dte == 14
