"""Memory: the figures of a brief and closed trades in, those most like it out, nearest first.

Each figure is measured by its spread among the same closed trades: nothing of a later day says what is much or little.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from mahler_agents.memory.closed import ClosedTrade, ClosedTrades

_SAME_SCALE = 1e-9
"""A figure that differs by less than this share of its size is the same of all trades, and tells none from another."""
_ENOUGH = 0.5
"""Share of the figures that a trade must have to be likened at all."""
_DIGITS = 9


def most_similar(figures: Mapping[str, float], among: ClosedTrades, number: int) -> tuple[ClosedTrade, ...]:
    """Return the `number` trades whose figures are nearest; of equally near ones the one that was closed last.

    The distance is the root of the mean squared difference over the figures that both have, each in standard deviations
    of the trades.
    """
    distances = np.round(_distances(figures, among), _DIGITS)
    ordered = np.lexsort((np.arange(len(distances)), -among.closed_at, distances))
    return tuple(among.trades[place] for place in ordered[:number] if np.isfinite(distances[place]))


def _distances(figures: Mapping[str, float], among: ClosedTrades) -> NDArray[np.float64]:
    chosen = [place for place, name in enumerate(among.names) if name in figures]
    subject = np.array([figures[among.names[place]] for place in chosen], dtype=np.float64)
    table = among.figures[:, chosen]
    known = ~np.isnan(table)
    filled = np.where(known, table, 0.0)
    count = np.maximum(known.sum(axis=0), 1)
    mean = filled.sum(axis=0) / count
    spread = np.sqrt((np.where(known, table - mean, 0.0) ** 2).sum(axis=0) / count)
    telling = spread > _SAME_SCALE * np.maximum(np.abs(mean), 1.0)
    scaled = np.where(known & telling, (filled - subject) / np.where(telling, spread, 1.0), 0.0)
    shared = np.maximum((known & telling).sum(axis=1), 1)
    enough = known.sum(axis=1) >= _ENOUGH * len(figures)
    return np.where(enough, np.sqrt((scaled**2).sum(axis=1) / shared), np.inf)
