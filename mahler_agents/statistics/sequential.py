"""Statistics: looks at growing evidence in, how wide intervals must be so that all of them hold at once out.

A confidence sequence: the normal mixture of Robbins (1970), for estimates that are sums of many periods, where nobody
looks before a first time (as in Bibaut, Kallus and Lindon 2022, whose start is what makes it narrower). Time is
anything that the variance of a sum grows with, such as weeks.
"""

from functools import cache

import numpy as np

_MIXED = 4.0
"""Variance of the mixture, times the first look: about equally narrow from the first look to four times as late."""


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
