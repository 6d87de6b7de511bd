"""Indicators: each against a plain formula of its own, absent where bars are too few or broken, blind to the scale."""

import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mahler_agents import indicators
from mahler_agents.market.snapshot import Floats

SEEDS = st.integers(0, 2**32 - 1)
BARS = st.integers(251, 700)
QUICK = settings(max_examples=25, deadline=None)

Indicator = Callable[[Floats, Floats, Floats], float]
INDICATORS: dict[str, tuple[Indicator, int, int]] = {
    # name: the indicator of highs, lows and closes; bars it needs; the power of the prices' unit that it is in
    "sma": (lambda _high, _low, close: indicators.simple_moving_average(close, 20), 20, 1),
    "rsi": (lambda _high, _low, close: indicators.relative_strength_index(close), 251, 0),
    "macd": (lambda _high, _low, close: indicators.macd(close).line, 251, 1),
    "macd signal": (lambda _high, _low, close: indicators.macd(close).signal, 251, 1),
    "bollinger lower": (lambda _high, _low, close: indicators.bollinger_bands(close).lower, 20, 1),
    "bollinger upper": (lambda _high, _low, close: indicators.bollinger_bands(close).upper, 20, 1),
    "atr": (indicators.average_true_range, 251, 1),
    "momentum": (lambda _high, _low, close: indicators.momentum(close, 20), 21, 0),
    "realised volatility": (lambda _high, _low, close: indicators.realised_volatility(close, 20), 21, 0),
    "highest": (lambda high, _low, _close: indicators.highest(high, 20), 20, 1),
    "lowest": (lambda _high, low, _close: indicators.lowest(low, 20), 20, 1),
}
EVERY = pytest.mark.parametrize(("indicator", "needs", "power"), INDICATORS.values(), ids=INDICATORS)
RECURSIVE = pytest.mark.parametrize("indicator", [one for one, needs, _ in INDICATORS.values() if needs == 251])


def walk(seed: int, days: int = 400) -> tuple[Floats, Floats, Floats]:
    """Return highs, lows and closes of a random walk from 500 dollars."""
    rng = np.random.default_rng(seed)
    close = 500 * np.exp(np.cumsum(rng.normal(0.0003, 0.01, days)))
    return close * (1 + rng.uniform(0, 0.01, days)), close * (1 - rng.uniform(0, 0.01, days)), close


def wilder(values: list[float], days: int) -> float:
    """Return Wilder's average: the mean of the first `days`, then a `days`-th of every later value."""
    average = sum(values[:days]) / days
    for value in values[days:]:
        average += (value - average) / days
    return average


def plain_rsi(close: list[float], days: int = 14) -> float:
    """Return the RSI by the book."""
    changes = [late - early for early, late in pairwise(close)]
    gain, loss = (wilder([max(sign * change, 0.0) for change in changes], days) for sign in (1, -1))
    return 100 - 100 / (1 + gain / loss)


def plain_atr(high: list[float], low: list[float], close: list[float]) -> float:
    """Return the average true range by the book."""
    days = zip(high[1:], low[1:], close, strict=False)
    return wilder([max(h, before) - min(low_, before) for h, low_, before in days], 14)


def exponential(values: list[float], days: int) -> list[float]:
    """Return exponential averages, started at the first value."""
    averages = values[:1]
    for value in values[1:]:
        averages.append(averages[-1] + (value - averages[-1]) * 2 / (days + 1))
    return averages


def test_the_plain_rsi_agrees_with_a_worked_example() -> None:
    # Closes and results as in the well-known worked example of Wilder's method (StockCharts, 14 days).
    close = [44.3389, 44.0902, 44.1497, 43.6124, 44.3278, 44.8264, 45.0955, 45.4245, 45.8433, 46.0826, 45.8931]
    close += [46.0328, 45.6140, 46.2820, 46.2820]
    assert plain_rsi(close) == pytest.approx(70.53, abs=0.01)
    assert plain_rsi([*close, 46.0028, 46.0328]) == pytest.approx(66.55, abs=0.01)


@QUICK
@given(seed=SEEDS, days=BARS)
def test_every_recursive_indicator_agrees_with_the_book(seed: int, days: int) -> None:
    high, low, close = walk(seed, days)
    plain = close.tolist()
    line = [fast - slow for fast, slow in zip(exponential(plain, 12), exponential(plain, 26), strict=True)]
    macd = indicators.macd(close)
    assert indicators.relative_strength_index(close) == pytest.approx(plain_rsi(plain), abs=1e-9)
    assert indicators.average_true_range(high, low, close) == pytest.approx(
        plain_atr(high.tolist(), low.tolist(), plain), rel=1e-9
    )
    # TA-Lib starts its averages elsewhere; what is left of that after the warm-up is under a thousandth of a cent.
    assert macd.line == pytest.approx(line[-1], abs=1e-5)
    assert macd.signal == pytest.approx(exponential(line, 9)[-1], abs=1e-5)


@QUICK
@given(seed=SEEDS)
def test_every_windowed_indicator_agrees_with_the_book(seed: int) -> None:
    high, low, close = walk(seed, 260)
    last = close[-20:].tolist()
    mean = sum(last) / 20
    deviation = (sum((one - mean) ** 2 for one in last) / 20) ** 0.5
    bands = indicators.bollinger_bands(close)
    for days in (20, 50, 200):
        assert indicators.simple_moving_average(close, days) == pytest.approx(sum(close[-days:].tolist()) / days)
    assert bands.lower == pytest.approx(mean - 2 * deviation, rel=1e-9)
    assert bands.upper == pytest.approx(mean + 2 * deviation, rel=1e-9)
    assert bands.place_of(mean + deviation) == pytest.approx(0.75)
    assert indicators.momentum(close, 20) == pytest.approx(close[-1] / close[-21] - 1)
    assert indicators.highest(high, 20) == max(high[-20:].tolist())
    assert indicators.lowest(low, 20) == min(low[-20:].tolist())


def test_realised_volatility_of_alternating_one_percent_days() -> None:
    close = 100 * np.exp(np.cumsum(np.tile([0.01, -0.01], 20)))
    assert indicators.realised_volatility(close, 20) == pytest.approx(0.01 * np.sqrt(20 / 19 * 252))


@EVERY
def test_an_indicator_is_absent_with_one_bar_too_few(indicator: Indicator, needs: int, power: int) -> None:
    high, low, close = walk(power)
    assert np.isnan(indicator(high[:0], low[:0], close[:0]))
    assert np.isnan(indicator(high[1:needs], low[1:needs], close[1:needs]))
    assert np.isfinite(indicator(high[:needs], low[:needs], close[:needs]))


@EVERY
@pytest.mark.parametrize("nonsense", [np.nan, np.inf, 0.0, -5.0])
def test_an_indicator_looks_no_further_back_than_the_last_absent_bar(
    indicator: Indicator, needs: int, power: int, nonsense: float
) -> None:
    bars = [column.copy() for column in walk(power, 300)]
    for column in bars:
        column[-needs - 1] = nonsense
    assert indicator(*bars) == indicator(*(column[-needs:] for column in bars))
    for column in bars:
        column[-needs] = nonsense
    assert np.isnan(indicator(*bars))


@EVERY
@QUICK
@given(seed=SEEDS, scale=st.floats(0.01, 100))
def test_an_indicator_scales_with_the_prices(
    indicator: Indicator, needs: int, power: int, seed: int, scale: float
) -> None:
    high, low, close = walk(seed, needs + 9)
    expected = indicator(high, low, close) * scale**power
    assert indicator(high * scale, low * scale, close * scale) == pytest.approx(expected, rel=1e-8, abs=1e-9 * scale)


@RECURSIVE
@QUICK
@given(seed=SEEDS)
def test_after_the_warm_up_it_no_longer_matters_where_the_bars_began(indicator: Indicator, seed: int) -> None:
    bars = walk(seed, 900)
    assert indicator(*(column[-260:] for column in bars)) == pytest.approx(indicator(*bars), rel=1e-6, abs=1e-5)


@pytest.mark.parametrize(("step", "rsi"), [(1.0, 100.0), (-1.0, 0.0)])
def test_rsi_is_100_on_gains_and_0_on_losses(step: float, rsi: float) -> None:
    assert indicators.relative_strength_index(500 + step * np.arange(300)) == rsi


@pytest.mark.parametrize("days", [251, 800])
def test_closes_that_do_not_move_have_no_rsi(days: int) -> None:
    assert np.isnan(indicators.relative_strength_index(np.append(np.linspace(90, 100, 9), np.full(days, 100.0))))


def test_closes_that_do_not_move_have_bands_without_a_place_between_them() -> None:
    assert np.isnan(indicators.bollinger_bands(np.full(30, 500.1)).place_of(500.1))


@QUICK
@given(seed=SEEDS)
def test_mirrored_changes_mirror_the_rsi(seed: int) -> None:
    _, _, close = walk(seed)
    mirrored = close.max() + close.min() - close
    total = indicators.relative_strength_index(close) + indicators.relative_strength_index(mirrored)
    assert total == pytest.approx(100)


def test_a_high_below_its_low_is_a_broken_bar() -> None:
    high, low, close = walk(3, 300)
    high[100], low[100] = low[100], high[100]
    assert np.isnan(indicators.average_true_range(high, low, close))


# Swing points


def plain_levels(high: list[float], low: list[float], spot: float) -> tuple[float | None, float | None]:
    """Return support and resistance by the rule as written, bar by bar."""
    supports, resistances = [], []
    for day in range(max(len(high) - 120, 0) + 5, len(high) - 5):
        before, after = range(day - 5, day), range(day + 1, len(high))
        if all(low[day] < low[one] for one in before) and all(low[day] <= low[one] for one in after):
            supports.append(low[day])
        if all(high[day] > high[one] for one in before) and all(high[day] >= high[one] for one in after):
            resistances.append(high[day])
    return (
        max((one for one in supports if one < spot), default=None),
        min((one for one in resistances if one > spot), default=None),
    )


@given(seed=SEEDS, days=st.integers(0, 200), tick=st.sampled_from([0.01, 5.0]))
@settings(max_examples=60, deadline=None)
def test_swing_levels_follow_the_rule(seed: int, days: int, tick: float) -> None:
    high, low, close = walk(seed, days)
    high, low = np.ceil(high / tick) * tick, np.floor(low / tick) * tick  # wide ticks make ties
    spot = float(close[-1]) if days else 500.0
    found = indicators.swing_levels(high, low, spot)
    assert tuple(None if np.isnan(one) else one for one in found) == plain_levels(high.tolist(), low.tolist(), spot)


def test_the_nearest_turn_on_either_side_of_the_spot_counts() -> None:
    turns = np.interp(np.arange(81), np.arange(0, 81, 10), [100, 90, 120, 95, 110, 97, 105, 99, 101])
    assert indicators.swing_levels(turns + 1, turns - 1, 100.0) == (98.0, 106.0)
    assert indicators.swing_levels(turns + 1, turns - 1, 108.0) == (98.0, 111.0)
    assert indicators.swing_levels(turns + 1, turns - 1, 97.0) == (96.0, 106.0)


def test_a_level_that_was_broken_is_none() -> None:
    turns = np.interp(np.arange(61), np.arange(0, 61, 10), [100, 90, 110, 95, 112, 93, 100])
    # The low at 95 was undercut by the one at 93, the high at 110 exceeded by the one at 112.
    assert indicators.swing_levels(turns + 1, turns - 1, 100.0) == (92.0, 113.0)


def test_a_trend_without_a_turn_has_no_levels() -> None:
    rising = np.arange(100.0, 200.0)
    assert np.isnan(indicators.swing_levels(rising + 1, rising - 1, 150.0)).all()


def test_a_turn_beside_an_absent_bar_is_none_and_others_stay() -> None:
    turns = np.interp(np.arange(41), np.arange(0, 41, 10), [100, 90, 110, 95, 105])
    low = turns - 1
    low[28] = np.nan
    assert indicators.swing_levels(turns + 1, low, 104.0) == (89.0, 111.0)


@pytest.mark.parametrize("absent", [np.nan, np.inf, -np.inf, 0.0])
def test_columns_without_prices_have_no_levels(absent: float) -> None:
    column = np.full(200, absent)
    assert np.isnan(indicators.swing_levels(column, column, 100.0)).all()


def test_reading_the_analysts_does_not_pay_for_ta_lib() -> None:
    code = "import sys, mahler_agents.analysts; print('talib' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout == "False\n"
