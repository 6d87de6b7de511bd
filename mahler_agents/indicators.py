"""Stage 3, brief: indicators of daily bars; arrays oldest first in, one number for the last day out, NaN if too few."""

import numpy as np

from mahler_agents.market.snapshot import Floats

TRADING_DAYS_PER_YEAR = 252


def simple_moving_average(close: Floats, days: int) -> float:
    """Return the mean of the last `days` closes, in the closes' unit."""
    return float(np.mean(close[-days:])) if len(close) >= days else float("nan")


def relative_strength_index(close: Floats, days: int = 14) -> float:
    """Return Wilder's RSI in [0, 100]; 50 for closes that never moved.

    Source: Wilder, New Concepts in Technical Trading Systems (1978): the first averages are plain means of `days`
    gains and losses, later ones are smoothed by 1 / `days`.
    """
    if len(close) <= days:
        return float("nan")
    change = np.diff(close)
    gains, losses = np.maximum(change, 0.0), np.maximum(-change, 0.0)
    gain, loss = float(np.mean(gains[:days])), float(np.mean(losses[:days]))
    for up, down in zip(gains[days:].tolist(), losses[days:].tolist(), strict=True):
        gain += (up - gain) / days
        loss += (down - loss) / days
    return 50.0 if gain + loss == 0 else 100.0 * gain / (gain + loss)


def momentum(close: Floats, days: int) -> float:
    """Return the last close's change on the close `days` before, as a fraction."""
    return float(close[-1] / close[-1 - days] - 1.0) if len(close) > days else float("nan")


def realised_volatility(close: Floats, days: int = 20) -> float:
    """Return the annualised standard deviation of the last `days` daily log returns, as a fraction."""
    if len(close) <= days:
        return float("nan")
    returns = np.diff(np.log(close[-days - 1 :]))
    return float(np.std(returns, ddof=1) * np.sqrt(TRADING_DAYS_PER_YEAR))


def highest(high: Floats, days: int) -> float:
    """Return the highest of the last `days` highs; NaN if one of them is missing."""
    return float(np.max(high[-days:])) if len(high) >= days else float("nan")


def lowest(low: Floats, days: int) -> float:
    """Return the lowest of the last `days` lows; NaN if one of them is missing."""
    return float(np.min(low[-days:])) if len(low) >= days else float("nan")
