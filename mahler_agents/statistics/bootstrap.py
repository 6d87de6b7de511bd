"""Statistics: a series of periods that depend on their neighbours in, intervals of what they say together out.

Every estimate is given by its influence: one number a period, which sum to 0 and whose sum under resampling is how far
the estimate moves. That of a mean S / N is (S_t - mean x N_t) / N. So one way serves means, shares, differences of
them, ratios by their logarithm, and areas.

Periods are resampled in blocks of geometric length (the stationary bootstrap, Politis and Romano 1994), and each draw
is divided by its own standard error, from the sums of its blocks (Götze and Künsch 1996): plain percentiles covered
91 % where 95 % was asked. The estimate's own standard error is the bootstrap's in closed form, freed of its first-order
bias by taking it at half the block length too. `docs/design/evidence.md` has the figures.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from mahler_agents.statistics.paired import Interval

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]

_MOST_ALIKE = 0.95
"""A correlation is not believed beyond that."""


@dataclass(frozen=True, kw_only=True)
class Blocks:
    """The blocks of all draws, one after another; every draw covers as many periods as there are."""

    periods: int
    mean_block: float
    begins: Numbers
    """The period with which each block begins; past the last period comes the first."""
    lengths: Numbers
    firsts: Numbers
    """The place of each draw's first block."""

    @cached_property
    def lengths_squared(self) -> Floats:
        """Of each draw, the sum of its blocks' squared lengths."""
        return np.add.reduceat(self.lengths.astype(np.float64) ** 2, self.firsts)


def stationary_blocks(periods: int, *, draws: int, mean_block: float, random: np.random.Generator) -> Blocks:
    """Return the blocks of `draws` draws: each period goes on with its block but for a chance of 1 / `mean_block`."""
    new = random.random((draws, periods), dtype=np.float32) < 1 / mean_block
    new[:, 0] = True
    at = np.flatnonzero(new)
    return Blocks(
        periods=periods,
        mean_block=mean_block,
        begins=random.integers(0, periods, size=at.size),
        lengths=np.diff(at, append=draws * periods),
        firsts=np.searchsorted(at, np.arange(draws) * periods),
    )


def standard_error(influence: Floats, mean_block: float) -> float:
    """Return the standard error of an estimate from its influence in each period.

    The stationary bootstrap's variance in closed form at the block length, and by how much it is above that at half the
    length once more, since its bias is inverse to the length; never less than the former.
    """
    transform = np.fft.rfft(influence)
    products = np.fft.irfft(transform * transform.conj(), influence.size)
    whole, half = (max(float(_weights(influence.size, one) @ products), 0.0) for one in (mean_block, mean_block / 2))
    return float(np.sqrt(max(2 * whole - half, whole)))


def wavering(influence: Floats, mean_block: float) -> tuple[float, float]:
    """Return how the square of a standard error wavers: its own standard error over it, and its correlation.

    The correlation is that of the estimate's error with it. Each period adds to the square the product of its influence
    with the weighted ones around it; so the square is a sum over periods as the estimate is, and is judged like one.
    """
    periods = influence.size
    weights = 2 * _weights(periods, mean_block) - _weights(periods, mean_block / 2)
    around = np.fft.irfft(np.fft.rfft(influence) * np.fft.rfft(weights), periods)
    added = influence * around
    square = float(added.sum())
    added = added - added.mean()
    of_estimate, of_square = standard_error(influence, mean_block), standard_error(added, mean_block)
    if square <= 0 or of_estimate == 0 or of_square == 0:
        return 0.0, 0.0
    one, other = influence / of_estimate, added / of_square
    both = standard_error(one + other, mean_block) ** 2 - standard_error(one - other, mean_block) ** 2
    return of_square / square, float(np.clip(both / 4, -_MOST_ALIKE, _MOST_ALIKE))


def periods_lost(mean_block: float) -> float:
    """Return by how many periods the square of a standard error is short: what its weights sum to, over all lags.

    Deviations from their own mean are short of those from the true one; all weights together say by how much.
    """
    return 3 * mean_block - 1  # 2 x (2 b - 1) for the whole blocks less (b - 1) for the half ones


def pivots(influence: Floats, blocks: Blocks) -> Floats:
    """Return of each draw, in rising order, how far it moves the estimate in its own standard errors."""
    around = np.concatenate([[0.0], np.cumsum(np.concatenate([influence, influence]))])
    sums = around[blocks.begins + blocks.lengths] - around[blocks.begins]
    moved, squares, products = (np.add.reduceat(one, blocks.firsts) for one in (sums, sums**2, sums * blocks.lengths))
    each = moved / blocks.periods
    number = np.diff(blocks.firsts, append=blocks.begins.size)
    spread = np.maximum(squares - 2 * each * products + each**2 * blocks.lengths_squared, 0.0)
    errors = np.sqrt(spread * number / np.maximum(number - 1, 1))
    known = (number > 1) & (errors > 1e-9 * np.abs(influence).sum())
    return np.sort(moved[known] / errors[known])


def interval(estimate: float, influence: Floats, blocks: Blocks, *, level: float = 0.95) -> Interval:
    """Return the studentised interval at a level; without any variation both ends are the estimate."""
    error = standard_error(influence, blocks.mean_block)
    found = pivots(influence, blocks)
    if error == 0 or not found.size:
        return Interval(estimate=estimate, low=estimate, high=estimate)
    low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2])
    return Interval(estimate=estimate, low=estimate - float(high) * error, high=estimate - float(low) * error)


@lru_cache(maxsize=64)
def _weights(periods: int, mean_block: float) -> Floats:
    """Return what the products at each lag weigh in the variance of a sum (Politis and Romano 1994, lemma 1)."""
    lag = np.arange(periods)
    goes_on = 1 - 1 / mean_block if mean_block > 1 else 0.0
    weights = (1 - lag / periods) * goes_on**lag + lag / periods * goes_on ** (periods - lag)
    weights[0] = 1.0
    return weights
