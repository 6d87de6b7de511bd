"""Statistics: an effect and its spread in, the chance to see it, and how many cases that takes, out.

Standard errors shrink with the square root of the number of cases: so `error_of_one` is a mean's standard error times
the square root of the cases it came from, which holds for cases that depend on one another too.
"""

import math

ALPHA = 0.05
POWER = 0.8
MOST = 10_000_000
"""More cases than anyone will have: beyond it the answer is None."""


def power_of(effect: float, *, error_of_one: float, cases: float, alpha: float = ALPHA) -> float:
    """Return the chance that a two-sided test at `alpha` sees an effect in its own direction."""
    from scipy.special import ndtr

    if error_of_one <= 0:
        return 1.0 if effect else 0.0
    return float(ndtr(abs(effect) * math.sqrt(cases) / error_of_one - critical(alpha)))


def cases_needed(effect: float, *, error_of_one: float, power: float = POWER, alpha: float = ALPHA) -> int | None:
    """Return how many cases give that power, None where the effect is 0 or too small for any number of them."""
    from scipy.special import ndtri

    if not effect:
        return None
    needed = ((critical(alpha) + float(ndtri(power))) * error_of_one / effect) ** 2
    return max(1, math.ceil(needed)) if needed <= MOST else None


def critical(alpha: float = ALPHA) -> float:
    """Return the standard normal's two-sided critical value: 1.96 at 0.05."""
    from scipy.special import ndtri

    return float(ndtri(1 - alpha / 2))
