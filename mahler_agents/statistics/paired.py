"""Statistics: two variants on the same cases in, whether they differ out.

Cases of one date share a market: they are resampled and flipped together, as one group.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
DRAWS = 10_000
EXACT_UP_TO = 14
"""With so many groups or fewer, every one of the 2 ^ groups sign patterns is tried."""
FEWEST_GROUPS = 6
"""With fewer there is no interval (of two, every draw that has a spread has the same mean) and no pattern of signs is
rare enough to tell anything: 2 of 2 ^ 5 are 0.0625."""
_FLIPPED_AT_ONCE = 2_000_000
_ROUNDING = 1e-12
"""Patterns whose sum is the observed one but for rounding count as equal to it."""


@dataclass(frozen=True, kw_only=True)
class Interval:
    """An estimate between two ends."""

    estimate: float
    low: float
    high: float


def mcnemar(only_first: int, only_second: int) -> float:
    """Return the exact two-sided p-value of yes/no pairs that disagree (McNemar 1947), by the binomial distribution.

    `only_first` counts the cases where the first variant alone had a yes, `only_second` the second alone.
    """
    from scipy.stats import binom

    pairs = only_first + only_second
    return min(1.0, 2 * float(binom.cdf(min(only_first, only_second), pairs, 0.5)))


def sign_flip_test(
    differences: ArrayLike, *, random: np.random.Generator, groups: ArrayLike | None = None, draws: int = DRAWS
) -> float:
    """Return the two-sided p-value of a mean difference of 0, if each group's sign could as well be the other.

    Exact up to `EXACT_UP_TO` groups, else by `draws` random patterns, of which the observed one is counted as one more
    (Phipson and Smyth 2010).
    """
    sums = group_sums(differences, groups)[0]
    sums = sums[sums != 0]
    observed = abs(float(sums.sum()))
    least = observed - _ROUNDING * float(np.abs(sums).sum())
    if sums.size <= EXACT_UP_TO:
        patterns = np.arange(2**sums.size)[:, None] >> np.arange(sums.size)[None, :] & 1
        return float((np.abs((2 * patterns - 1) @ sums) >= least).mean()) if sums.size else 1.0
    return (1 + _as_extreme(sums, least, draws, random)) / (draws + 1)


def bootstrap_interval(
    differences: ArrayLike,
    *,
    random: np.random.Generator,
    groups: ArrayLike | None = None,
    draws: int = DRAWS,
    level: float = 0.95,
) -> Interval | None:
    """Return the interval of a mean difference by resampling groups, studentised (Efron and Tibshirani 1993, 12.5).

    None for fewer than `FEWEST_GROUPS`: there is too little to resample. Without any variation both ends are the
    estimate.
    """
    sums, sizes = group_sums(differences, groups)
    if sums.size < FEWEST_GROUPS:
        return None
    mean, error = (float(one[0]) for one in _mean_and_error(np.ones((1, sums.size)), sums, sizes))
    if error == 0:
        return Interval(estimate=mean, low=mean, high=mean)
    counts = random.multinomial(sums.size, np.full(sums.size, 1 / sums.size), size=draws).astype(np.float64)
    means, errors = _mean_and_error(counts, sums, sizes)
    varied = errors > _ROUNDING * error  # a draw of one group many times says nothing of spread
    pivots = (means[varied] - mean) / errors[varied]
    low, high = np.quantile(pivots, [(1 - level) / 2, (1 + level) / 2])
    return Interval(estimate=mean, low=mean - float(high) * error, high=mean - float(low) * error)


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Return p-values corrected for having looked at all of them (Holm 1979), in the order given."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted, highest = [0.0] * len(p_values), 0.0
    for place, number in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - place) * p_values[number]))
        adjusted[number] = highest
    return tuple(adjusted)


def group_sums(values: ArrayLike, groups: ArrayLike | None) -> tuple[Floats, Floats]:
    """Return each group's sum and number of cases; without groups each case is its own."""
    amounts = np.asarray(values, dtype=np.float64)
    if groups is None:
        return amounts, np.ones_like(amounts)
    places = np.unique(np.asarray(groups), return_inverse=True)[1]
    return np.bincount(places, weights=amounts).astype(np.float64), np.bincount(places).astype(np.float64)


def _as_extreme(sums: Floats, least: float, draws: int, random: np.random.Generator) -> int:
    found, left = 0, draws
    while left:
        some = min(left, max(1, _FLIPPED_AT_ONCE // sums.size))
        signs = random.integers(0, 2, size=(some, sums.size), dtype=np.int8) * 2.0 - 1.0
        found += int((np.abs(signs @ sums) >= least).sum())
        left -= some
    return found


def _mean_and_error(counts: Floats, sums: Floats, sizes: Floats) -> tuple[Floats, Floats]:
    """Return, for each row of how often a group was drawn, the mean over cases and its standard error."""
    columns = counts @ np.stack([sums, sizes, sums**2, sums * sizes, sizes**2], axis=1)
    total, cases, squares, products, size_squares = columns.T
    means = total / cases
    spread = np.maximum(squares - 2 * means * products + means**2 * size_squares, 0.0)
    correction = sums.size / (sums.size - 1)
    return means, np.sqrt(correction * spread) / cases
