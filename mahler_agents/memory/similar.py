"""Memory: the figures of a brief and closed trades in, those most like it out, nearest first.

Each figure is measured by its spread among the same closed trades: nothing of a later day says what is much or little.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from mahler_agents.memory.closed import ClosedTrade

_SAME_SCALE = 1e-9
"""A figure that differs by less than this share of its size is the same of all trades, and tells none from another."""
_ENOUGH = 0.5
"""Share of the figures that a trade must have to be likened at all."""
_DIGITS = 9


def most_similar(figures: Mapping[str, float], trades: Sequence[ClosedTrade], number: int) -> tuple[ClosedTrade, ...]:
    """Return the `number` trades whose figures are nearest; of equally near ones the one that was closed last.

    The distance is the root of the mean squared difference over the figures that both have, each in standard deviations
    of the trades.
    """
    distances = _distances(figures, trades)
    near = [(round(distance, _DIGITS), trade) for distance, trade in zip(distances, trades, strict=True)]
    ordered = sorted(
        ((distance, trade) for distance, trade in near if np.isfinite(distance)),
        key=lambda one: (one[0], -one[1].closed_at.timestamp(), one[1].id),
    )
    return tuple(trade for _, trade in ordered[:number])


def _distances(figures: Mapping[str, float], trades: Sequence[ClosedTrade]) -> list[float]:
    names = sorted(figures)
    subject = np.array([figures[name] for name in names], dtype=np.float64)
    table = np.array([[trade.figures.get(name, np.nan) for name in names] for trade in trades], dtype=np.float64)
    if not table.size:
        return [0.0] * len(trades)
    known = ~np.isnan(table)
    filled = np.where(known, table, 0.0)
    count = np.maximum(known.sum(axis=0), 1)
    mean = filled.sum(axis=0) / count
    spread = np.sqrt((np.where(known, table - mean, 0.0) ** 2).sum(axis=0) / count)
    telling = spread > _SAME_SCALE * np.maximum(np.abs(mean), 1.0)
    scaled = np.where(known & telling, (filled - subject) / np.where(telling, spread, 1.0), 0.0)
    shared = (known & telling).sum(axis=1)
    squares = (scaled**2).sum(axis=1) / np.maximum(shared, 1)
    enough = known.sum(axis=1) >= _ENOUGH * len(names)
    return np.where(enough, np.sqrt(squares), np.inf).tolist()
