"""Evaluation: forecasts of many cases and their outcomes in, scores that only many have out: calibration, and AUC.

Each is computed for all draws of a resampling at once: of weights of the cases, and of forecasts taken case by case
from one variant or the other.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mahler_agents.evaluation.scorers import Better
from mahler_agents.statistics.paired import FEWEST_GROUPS, Interval
from mahler_agents.statistics.scores import BINS, auc, bin_numbers, calibration_error

Floats = NDArray[np.float64]
DRAWS = 2_000
_LEVEL = 0.95
_ROUNDING = 1e-12


@dataclass(frozen=True, kw_only=True)
class Forecasts:
    """What happened (0 or 1) and what two variants said of it, on the same cases."""

    happened: Floats
    first: Floats
    second: Floats


Draws = Callable[[Forecasts, Floats, Floats], Floats]
"""Takes weights of the cases and from which variant each forecast is (0 the first), a row a draw; NaN: no score."""


@dataclass(frozen=True, kw_only=True)
class Aggregate:
    """A score of many forecasts at once."""

    name: str
    better: Better
    function: Callable[[Floats, Floats], float | None]
    """Takes what happened and the forecasts."""
    draws: Draws


def calibration_draws(of: Forecasts, weights: Floats, second: Floats) -> Floats:
    """Return the expected calibration error of each draw: of its bins' |forecasts less what happened|, summed."""
    excess = sum(
        (weights * chosen) @ ((said - of.happened)[:, None] * (bin_numbers(said)[:, None] == np.arange(BINS)))
        for chosen, said in ((1 - second, of.first), (second, of.second))
    )
    return np.abs(excess).sum(axis=1) / weights.sum(axis=1)


def auc_draws(of: Forecasts, weights: Floats, second: Floats) -> Floats:
    """Return the area of each draw: over pairs of a case that happened and one that did not, ties half."""
    yes, no = of.happened == 1, of.happened == 0
    parts = [(weights * (1 - second), of.first), (weights * second, of.second)]
    above = np.zeros(len(weights))
    for weight, said in parts:
        for other_weight, other in parts:
            wins = (said[yes][:, None] > other[no]) + 0.5 * (said[yes][:, None] == other[no])
            above += ((weight[:, yes] @ wins) * other_weight[:, no]).sum(axis=1)
    pairs = weights[:, yes].sum(axis=1) * weights[:, no].sum(axis=1)
    return np.divide(above, pairs, out=np.full(len(pairs), np.nan), where=pairs > 0)


AGGREGATES: tuple[Aggregate, ...] = (
    Aggregate(name="calibration_error", better="lower", function=calibration_error, draws=calibration_draws),
    Aggregate(name="auc", better="higher", function=auc, draws=auc_draws),
)


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Of two variants' aggregate scores on the same cases."""

    first: float
    second: float
    interval: Interval | None
    p_value: float


def compare_aggregate(
    score: Aggregate, of: Forecasts, groups: Sequence[str], random: np.random.Generator
) -> Difference | None:
    """Return how an aggregate differs between two variants; None if either has none.

    The interval is the percentile bootstrap's, whole dates drawn; the p-value that of swapping the variants' forecasts
    within dates, of which the observed order is counted as one more.
    """
    first, second = score.function(of.happened, of.first), score.function(of.happened, of.second)
    if first is None or second is None:
        return None
    places = np.unique(np.asarray(groups), return_inverse=True)[1]
    number = int(places.max()) + 1
    swapped = random.integers(0, 2, size=(DRAWS, number)).astype(np.float64)[:, places]
    ones, zeros = np.ones_like(swapped), np.zeros_like(swapped)
    differences = score.draws(of, ones, 1 - swapped) - score.draws(of, ones, swapped)
    extreme = int((np.abs(differences) >= abs(second - first) - _ROUNDING).sum())
    interval = None
    if number >= FEWEST_GROUPS:
        shares = np.full(number, 1 / number)
        weights = random.multinomial(number, shares, size=DRAWS).astype(np.float64)[:, places]
        drawn = score.draws(of, weights, ones) - score.draws(of, weights, zeros)
        low, high = np.nanquantile(drawn, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
        interval = Interval(estimate=second - first, low=float(low), high=float(high))
    return Difference(first=first, second=second, interval=interval, p_value=(1 + extreme) / (DRAWS + 1))
