"""Below the sample market, noise: whole-number keys in, random-looking numbers out, with no state to advance.

A seeded generator gives the n-th number to whoever asks n-th; a hash gives a contract's number to whoever asks for that
contract. So what was asked before, and how often, cannot change a quote.
"""

from enum import IntEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

Floats = NDArray[np.float64]
Keys = NDArray[np.uint64]


class Topic(IntEnum):
    """What a number is for, so that two figures of one contract are independent."""

    SPREAD = 1
    QUOTE_AGE = 2
    OPEN_INTEREST = 3
    VOLUME = 4
    MISSING = 5
    HEADLINE = 6


def uniform(seed: int, topic: Topic, *keys: ArrayLike) -> Floats:
    """Return numbers in (0, 1), one for each row of the broadcast whole-number `keys`."""
    state = _mix(np.uint64(seed % 2**64) ^ _mix(np.asarray(int(topic), dtype=np.uint64)))
    for key in keys:
        state = _mix(state ^ np.asarray(key).astype(np.uint64))
    return ((state >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53


def normal(seed: int, topic: Topic, *keys: ArrayLike) -> Floats:
    """Return standard normal numbers, one for each row of the broadcast whole-number `keys`."""
    return ndtri(uniform(seed, topic, *keys))


def _mix(value: Keys) -> Keys:
    """Return the SplitMix64 step of each value (Steele, Lea and Flood, 2014): every bit depends on every bit."""
    with np.errstate(over="ignore"):
        z = value + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
