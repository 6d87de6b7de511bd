"""Evaluation: forecasts of many cases and their outcomes in, scores that only many have out: calibration, and AUC."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mahler_agents.evaluation.scorers import Better
from mahler_agents.statistics.paired import Interval
from mahler_agents.statistics.scores import auc, calibration_error

Floats = NDArray[np.float64]
DRAWS = 1_000
"""Fewer than of means: each one sorts all cases anew."""

OfMany = Callable[[Floats, Floats], float | None]


@dataclass(frozen=True, kw_only=True)
class Aggregate:
    """A score of many forecasts at once."""

    name: str
    better: Better
    function: OfMany
    """Takes what happened (0 or 1) and the forecasts."""


AGGREGATES: tuple[Aggregate, ...] = (
    Aggregate(name="calibration_error", better="lower", function=calibration_error),
    Aggregate(name="auc", better="higher", function=auc),
)


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Of two variants' aggregate scores on the same cases."""

    first: float
    second: float
    interval: Interval | None
    p_value: float


def compare_aggregate(
    score: Aggregate,
    happened: Floats,
    forecasts: tuple[Floats, Floats],
    groups: Sequence[object],
    random: np.random.Generator,
) -> Difference | None:
    """Return how an aggregate differs between two variants; None if either has none.

    The interval is the percentile bootstrap's, whole dates drawn; the p-value that of swapping the variants' forecasts
    within dates, of which the observed order is counted as one more.
    """
    both = _scores(score, happened, *forecasts)
    if both is None:
        return None
    observed = both[1] - both[0]
    places = np.unique(np.asarray([str(one) for one in groups]), return_inverse=True)[1]
    number = int(places.max()) + 1
    members = [np.flatnonzero(places == one) for one in range(number)]
    drawn: list[float] = []
    extreme = 0
    for _ in range(DRAWS):
        chosen = np.concatenate([members[one] for one in random.integers(0, number, number)])
        resampled = _scores(score, happened[chosen], forecasts[0][chosen], forecasts[1][chosen])
        if resampled is not None:
            drawn.append(resampled[1] - resampled[0])
        swap = (random.integers(0, 2, number) == 1)[places]
        swapped = _scores(
            score, happened, np.where(swap, forecasts[1], forecasts[0]), np.where(swap, forecasts[0], forecasts[1])
        )
        if swapped is not None:
            extreme += abs(swapped[1] - swapped[0]) >= abs(observed) - 1e-12
    interval = None
    if number > 1 and len(drawn) > DRAWS // 2:
        low, high = np.quantile(drawn, [0.025, 0.975])
        interval = Interval(estimate=observed, low=float(low), high=float(high))
    return Difference(first=both[0], second=both[1], interval=interval, p_value=(1 + extreme) / (DRAWS + 1))


def _scores(score: Aggregate, happened: Floats, first: Floats, second: Floats) -> tuple[float, float] | None:
    one, other = score.function(happened, first), score.function(happened, second)
    return None if one is None or other is None else (one, other)
