"""Stage 3, brief: indicators of daily bars; arrays oldest first in, figures of the last day out, NaN if too few.

By TA-Lib, after Wilder, *New Concepts in Technical Trading Systems* (1978: RSI, ATR), Appel (MACD) and Bollinger. It
is imported where it is called, since it brings pandas along. Three of its habits are kept out of a brief: it carries
one absent bar to the end of every later value (and makes a plausible 0 of an RSI), so it gets the unbroken bars at
the end only; its recursive indicators begin with values that depend on where the bars begin, so those are absent; and
its RSI of closes that never moved is 0.
"""

from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from mahler_agents.market.snapshot import Floats

TRADING_DAYS_PER_YEAR = 252

WARM_UP_DAYS = 250
"""Bars before the first value of RSI, MACD and ATR: what the first bar still weighs in it is below 1e-7."""

SWING_REACH_DAYS = 5
"""A swing low is the lowest of this many days on either side, so it is known this many days later."""

SWING_DAYS = 120
"""How far back swing points are looked for: half a year."""


class Macd(NamedTuple):
    """Moving average convergence divergence, dollars per share; above its signal, momentum is rising."""

    line: float
    """12-day less 26-day exponential average of the closes."""
    signal: float
    """9-day exponential average of the line."""


class BollingerBands(NamedTuple):
    """Moving average less and plus standard deviations (of the population) of the closes, dollars per share."""

    lower: float
    upper: float

    def place_of(self, spot: float) -> float:
        """Return where `spot` (dollars per share) lies: 0 at the lower band, 1 at the upper; NaN if they are one."""
        width = self.upper - self.lower
        return (spot - self.lower) / width if width > 1e-9 * self.upper else float("nan")


class SwingLevels(NamedTuple):
    """The nearest levels at which the price turned, dollars per share; NaN where there is none."""

    support: float
    """Highest swing low below the spot that still stands."""
    resistance: float
    """Lowest swing high above the spot that still stands."""


def simple_moving_average(close: Floats, days: int) -> float:
    """Return the mean of the last `days` closes, in the closes' unit."""
    import talib

    return _last(talib.SMA(_unbroken(close)[-days:], days))


def relative_strength_index(close: Floats, days: int = 14) -> float:
    """Return Wilder's RSI in [0, 100]; NaN with up to `WARM_UP_DAYS` closes, or if none of those moved."""
    import talib

    run = _unbroken(close)
    if not np.any(np.diff(run[-WARM_UP_DAYS:])):
        return float("nan")
    return _settled(talib.RSI(run, days))


def macd(close: Floats) -> Macd:
    """Return the 12/26/9 MACD; NaN with up to `WARM_UP_DAYS` closes."""
    import talib

    line, signal, _ = talib.MACD(_unbroken(close), 12, 26, 9)
    return Macd(_settled(line), _settled(signal))


def bollinger_bands(close: Floats, days: int = 20, deviations: float = 2.0) -> BollingerBands:
    """Return the bands of the last `days` closes."""
    import talib

    upper, _, lower = talib.BBANDS(_unbroken(close)[-days:], days, deviations, deviations)
    return BollingerBands(_last(lower), _last(upper))


def average_true_range(high: Floats, low: Floats, close: Floats, days: int = 14) -> float:
    """Return Wilder's average true range, dollars per share; NaN with up to `WARM_UP_DAYS` bars."""
    import talib

    return _settled(talib.ATR(*_unbroken_bars(high, low, close), days))


def momentum(close: Floats, days: int) -> float:
    """Return the last close's change on the close `days` before, as a fraction."""
    import talib

    return _last(talib.ROCP(_unbroken(close)[-days - 1 :], days))


def realised_volatility(close: Floats, days: int = 20) -> float:
    """Return the annualised standard deviation of the last `days` daily log returns, as a fraction."""
    window = _unbroken(close)[-days - 1 :]
    if len(window) <= days:
        return float("nan")
    return float(np.std(np.diff(np.log(window)), ddof=1) * np.sqrt(TRADING_DAYS_PER_YEAR))


def highest(high: Floats, days: int) -> float:
    """Return the highest of the last `days` highs; NaN if one of them is absent."""
    import talib

    return _last(talib.MAX(_unbroken(high)[-days:], days))


def lowest(low: Floats, days: int) -> float:
    """Return the lowest of the last `days` lows; NaN if one of them is absent."""
    import talib

    return _last(talib.MIN(_unbroken(low)[-days:], days))


def swing_levels(high: Floats, low: Floats, spot: float) -> SwingLevels:
    """Return support and resistance around `spot` (dollars per share) from the swing points of `SWING_DAYS` days.

    A swing high is a day whose high is above the highs of the `SWING_REACH_DAYS` days before and not below those of as
    many days after (so that a flat top counts once). It stands until a later day's high is above it. A swing low
    likewise. A day within that reach of an absent bar, or of either end of the bars, is none.
    """
    highs, lows = _standing_swing_highs(_prices(high)), -_standing_swing_highs(-_prices(low))
    below, above = lows[lows < spot], highs[highs > spot]
    return SwingLevels(
        support=float(below.max()) if below.size else float("nan"),
        resistance=float(above.min()) if above.size else float("nan"),
    )


def _standing_swing_highs(price: Floats) -> Floats:
    """Return the prices of the swing highs that nothing later is above."""
    price = price[-SWING_DAYS:]
    if len(price) <= 2 * SWING_REACH_DAYS:
        return price[:0]
    around = sliding_window_view(price, 2 * SWING_REACH_DAYS + 1)
    before, after = around[:, :SWING_REACH_DAYS], around[:, SWING_REACH_DAYS + 1 :]
    day = price[SWING_REACH_DAYS:-SWING_REACH_DAYS]
    highest_yet = np.fmax.accumulate(price[::-1])[::-1][SWING_REACH_DAYS:-SWING_REACH_DAYS]  # of the day and later
    turned = (day > before.max(axis=1)) & (day >= after.max(axis=1))  # false beside a NaN
    return day[turned & (day >= highest_yet)]


def _prices(price: Floats) -> Floats:
    """Return the prices, NaN for what is none."""
    return np.where((price > 0) & (price < np.inf), price, np.nan)


def _unbroken(price: Floats) -> Floats:
    """Return the prices after the last that is absent or no price."""
    return price[_start(price) :]


def _unbroken_bars(high: Floats, low: Floats, close: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the bars after the last that lacks one of the three, or whose high is below its low."""
    start = max(_start(high), _start(low), _start(close), _start(np.where(high < low, np.nan, high)))
    return high[start:], low[start:], close[start:]


def _start(price: Floats) -> int:
    """Return the row after the last that is absent or no price; 0 without one."""
    broken = np.flatnonzero(np.isnan(_prices(price)))
    return int(broken[-1]) + 1 if broken.size else 0


def _last(values: Floats) -> float:
    """Return the last day's value; NaN without days."""
    return float(values[-1]) if len(values) else float("nan")


def _settled(values: Floats) -> float:
    """Return the last day's value of a recursive indicator; NaN within its warm-up."""
    return _last(values[WARM_UP_DAYS:])
