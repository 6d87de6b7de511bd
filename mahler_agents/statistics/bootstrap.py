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

_LONGER = 4
_DRAWS = 1_000
"""From which it is known how a standard error wavers."""


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
    return float(standard_errors(influence, mean_block))


def standard_errors(influence: Floats, mean_block: float) -> Floats:
    """Return the same of each row of influences."""
    whole, half = (_variances(influence, one) for one in (mean_block, mean_block / 2))
    return np.sqrt(np.maximum(2 * whole - half, whole))


@dataclass(frozen=True, kw_only=True)
class Wavering:
    """How a standard error does at a number of periods, beside the true one."""

    error_of_one: float
    """The true one, as far as it is known, times the square root of the periods."""
    short: float
    """Logarithm of the true one over the standard error, on average."""
    spread: float
    """Standard deviation of the standard error's logarithm."""
    together: float
    """Correlation of that logarithm with the estimate."""


def wavering(influence: Floats, mean_block: float, *, periods: int, random: np.random.Generator) -> Wavering | None:
    """Return how the standard error does at a number of periods, from draws of so many; None without any variation.

    The draws are of blocks four times as long, so that their joints hardly matter; what is true of them is known.
    """
    long, deviations = _LONGER * mean_block, influence * influence.size
    variance = float(_variances(deviations, long)) / influence.size
    drawn = deviations[_places(influence.size, periods, long, random)]
    means = drawn.mean(axis=1)
    errors = standard_errors(drawn - means[:, None], mean_block) / periods
    varied = errors > 0
    if variance <= 0 or varied.sum() < 2:
        return None
    logs, means = np.log(errors[varied]), means[varied]
    spread = float(logs.std())
    return Wavering(
        # Deviations from their own mean are short of those from the true one: by what the weights of all lags sum to.
        error_of_one=float(np.sqrt(variance * (1 + (2 * long - 1) / influence.size))),
        short=float(np.log(variance / periods) / 2 - logs.mean()),
        spread=spread,
        together=float(np.corrcoef(means, logs)[0, 1]) if spread and means.std() else 0.0,
    )


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


def _variances(influence: Floats, mean_block: float) -> Floats:
    """Return the stationary bootstrap's variance of each row in closed form."""
    transform = np.fft.rfft(influence)
    products = np.fft.irfft(transform * transform.conj(), influence.shape[-1])
    return np.maximum(products @ _weights(influence.shape[-1], mean_block), 0.0)


def _places(periods: int, length: int, mean_block: float, random: np.random.Generator) -> Numbers:
    """Return the periods of each draw of a length, one draw a row."""
    new = random.random((_DRAWS, length)) < 1 / mean_block
    new[:, 0] = True
    at = np.maximum.accumulate(np.where(new, np.arange(length), 0), axis=1)
    begins = random.integers(0, periods, size=new.shape)
    return (np.take_along_axis(begins, at, axis=1) + np.arange(length) - at) % periods


@lru_cache(maxsize=64)
def _weights(periods: int, mean_block: float) -> Floats:
    """Return what the products at each lag weigh in the variance of a sum (Politis and Romano 1994, lemma 1)."""
    lag = np.arange(periods)
    goes_on = 1 - 1 / mean_block if mean_block > 1 else 0.0
    weights = (1 - lag / periods) * goes_on**lag + lag / periods * goes_on ** (periods - lag)
    weights[0] = 1.0
    return weights
