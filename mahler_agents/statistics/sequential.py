"""Statistics: looks at growing evidence in, how wide intervals must be so that all of them hold at once out.

A confidence sequence: the normal mixture of Robbins (1970), for estimates that are sums of many periods, where nobody
looks before a first time (as in Bibaut, Kallus and Lindon 2022, whose start is what makes it narrower). Time is
anything that the variance of a sum grows with, such as weeks.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_MIXED = 4.0
"""Variance of the mixture, times the first look: about equally narrow from the first look to four times as late."""
_PATHS = 8_000
_SEED = 20_260_316
LAST = 400.0
"""Times the first look: as far ahead as anyone is told how long it will take."""


def radius(time: float, *, first: float, alpha: float) -> float:
    """Return the half-width in standard errors at a time, so that no look from `first` on misses but with `alpha`.

    Raises ValueError before the first time.
    """
    if time < first:
        raise ValueError(f"a look at {time} is before the first, {first}")
    relative = time / first
    rho = 1 / _MIXED
    return float(np.sqrt((1 + rho / relative) * 2 * np.log(_bar(alpha) * np.sqrt((relative + rho) / rho))))


def fixed_alpha(radius: float) -> float:
    """Return the share of both normal tails beyond so many standard errors: the level of one look by itself."""
    from scipy.special import ndtr

    return 2 * float(ndtr(-radius))


def power_by(time: float, *, drift: float, first: float, alpha: float) -> float:
    """Return the chance that a look from `first` to `time` sees an effect in its own direction.

    `drift` is the effect in standard errors at time 1, so that at a time t it is drift x sqrt(t).
    """
    return float((_crossings(drift * np.sqrt(first), alpha) <= time / first).mean())


def time_needed(*, drift: float, first: float, alpha: float, power: float = 0.8) -> float | None:
    """Return the time by which the effect is seen with that chance; None if it would take more than `LAST` firsts."""
    relative = float(np.quantile(_crossings(drift * np.sqrt(first), alpha), power, method="higher"))
    return relative * first if np.isfinite(relative) else None


@cache
def _bar(alpha: float) -> float:
    """Return what the mixture must reach: that it ever does, from the first look on, has a chance of `alpha`."""
    from scipy.optimize import brentq
    from scipy.special import ndtr

    share = 1 / (1 + 1 / _MIXED)

    def excess(bar: float) -> float:
        at_once = np.sqrt(2 / share * np.log(bar / np.sqrt(1 - share)))
        return 2 * ndtr(-at_once) + (2 * ndtr(at_once * np.sqrt(1 - share)) - 1) / bar - alpha

    found: float = brentq(excess, 1.0, 2 / alpha)  # pyright: ignore[reportAssignmentType] - it returns more only if asked
    return found


def _crossings(drift: float, alpha: float) -> Floats:
    """Return when random paths with a drift cross the bound above, in first times; infinity if they do not."""
    times = _looks()
    bounds = np.array([radius(float(time), first=1.0, alpha=alpha) * np.sqrt(time) for time in times])
    above = _paths() + abs(drift) * times >= bounds
    found = np.where(above.any(axis=1), times[above.argmax(axis=1)], np.inf)
    return found.astype(np.float64)


@cache
def _looks() -> Floats:
    """Return weekly looks while they matter most, for a first one after 300 weeks, then ever fewer."""
    return np.concatenate([1 + np.arange(300) / 300, np.geomspace(2.0, LAST, 400)])


@cache
def _paths() -> NDArray[np.float32]:
    steps = np.sqrt(np.diff(_looks(), prepend=0.0)).astype(np.float32)
    drawn = np.random.default_rng(_SEED).standard_normal((_PATHS, steps.size), dtype=np.float32)
    return np.cumsum(drawn * steps, axis=1, dtype=np.float32)
