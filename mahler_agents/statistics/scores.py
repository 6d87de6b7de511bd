"""Statistics: forecasts of yes or no and what happened in, how good they were out.

All take arrays of one length: `happened` of truth values and `forecast` of probabilities in [0, 1].
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
BINS = 10

SMALLEST = float(np.finfo(np.float64).eps)
"""Forecasts of 0 and 1 count as this far from it in the log loss, as scikit-learn has it: infinity would end a mean."""


@dataclass(frozen=True, kw_only=True)
class Bin:
    """The forecasts of one bin."""

    low: float
    high: float
    cases: int
    mean_forecast: float
    share: float
    """Of the cases, those that happened."""


def brier_terms(happened: ArrayLike, forecast: ArrayLike) -> Floats:
    """Return each forecast's squared error (Brier 1950, Monthly Weather Review 78:1)."""
    return (_floats(forecast) - _floats(happened)) ** 2


def brier_score(happened: ArrayLike, forecast: ArrayLike) -> float:
    """Return the mean squared error: 0 is perfect, 0.25 is what 0.5 always gets."""
    return float(brier_terms(happened, forecast).mean())


def log_loss_terms(happened: ArrayLike, forecast: ArrayLike, *, smallest: float = SMALLEST) -> Floats:
    """Return each forecast's minus log-likelihood, in nats; forecasts are kept `smallest` away from 0 and 1."""
    yes = _floats(happened)
    kept = np.clip(_floats(forecast), smallest, 1 - smallest)
    return -(yes * np.log(kept) + (1 - yes) * np.log1p(-kept))


def log_loss(happened: ArrayLike, forecast: ArrayLike, *, smallest: float = SMALLEST) -> float:
    """Return the mean minus log-likelihood, in nats: 0 is perfect, 0.693 is what 0.5 always gets."""
    return float(log_loss_terms(happened, forecast, smallest=smallest).mean())


def bin_numbers(forecast: ArrayLike, bins: int = BINS) -> NDArray[np.int64]:
    """Return the bin of each forecast, of `bins` equal ones from 0 to 1; an inner edge belongs to the bin below it."""
    return np.searchsorted(np.linspace(0.0, 1.0, bins + 1)[1:-1], _floats(forecast)).astype(np.int64)


def reliability(happened: ArrayLike, forecast: ArrayLike, bins: int = BINS) -> tuple[Bin, ...]:
    """Return the bins that hold forecasts, from low to high: what was said beside what came."""
    yes, said, numbers = _floats(happened), _floats(forecast), bin_numbers(forecast, bins)
    return tuple(
        Bin(
            low=number / bins,
            high=(number + 1) / bins,
            cases=int((numbers == number).sum()),
            mean_forecast=float(said[numbers == number].mean()),
            share=float(yes[numbers == number].mean()),
        )
        for number in np.unique(numbers).tolist()
    )


def calibration_error(happened: ArrayLike, forecast: ArrayLike, bins: int = BINS) -> float:
    """Return the expected calibration error: the mean over cases of |forecast - share| of their bin (0 to 1)."""
    found = reliability(happened, forecast, bins)
    total = sum(one.cases for one in found)
    return sum(one.cases * abs(one.mean_forecast - one.share) for one in found) / total


def auc(happened: ArrayLike, score: ArrayLike) -> float | None:
    """Return the chance that a case that happened has the higher score than one that did not; ties count half.

    0.5 is what scores without a relation get. None if all happened or none did.
    """
    yes = np.asarray(happened, dtype=bool)
    positive = int(yes.sum())
    negative = yes.size - positive
    if not positive or not negative:
        return None
    _, places, numbers = np.unique(_floats(score), return_inverse=True, return_counts=True)
    ranks = (np.cumsum(numbers) - (numbers - 1) / 2)[places]  # equal scores share the mean of their ranks
    return float((ranks[yes].sum() - positive * (positive + 1) / 2) / (positive * negative))


def _floats(values: ArrayLike) -> Floats:
    return np.asarray(values, dtype=np.float64)
