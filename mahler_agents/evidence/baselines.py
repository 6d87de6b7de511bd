"""Evidence: cases in, forecasts of P(profit) that need no advice out; each knows only what was over at the entry.

A case counts as known from the day after its exit on.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from mahler_agents.evidence.cases import Columns, Floats

WIN_RATE, SIMULATED, DELTA = "past win rate", "simulated", "recalibrated delta"
_LEAST, _MOST = 0.005, 0.995
"""|delta| is kept away from 0 and 1, where log-odds end."""
_GRID = 0.002
"""|delta| is rounded so, that a fit reads counts and not cases."""
_PRIOR = 4.0
"""Weight of "as |delta| says", in trades: what the fit begins with."""
_STEPS = 25


def known_before(cases: Columns) -> tuple[Floats, Floats]:
    """Return of each case how many had ended before the day of its entry, and how many of those had been won."""
    order = np.argsort(cases.exit_day, kind="stable")
    number = np.searchsorted(cases.exit_day[order], cases.day, side="left")
    won = np.concatenate([[0.0], np.cumsum(cases.won[order])])
    return number.astype(np.float64), won[number]


def past_win_rate(cases: Columns) -> Floats:
    """Return the share won so far, with one trade won and one lost added, so that it is never 0 or 1."""
    number, won = known_before(cases)
    return (won + 1) / (number + 2)


def recalibrated_delta(cases: Columns) -> Floats:
    """Return P(profit) by a logistic line on the log-odds of 1 - |delta|, fitted anew each Monday to what is over.

    NaN where the delta is unknown. It begins with |delta| as it is and moves as outcomes come.
    """
    cells = np.round(np.clip(cases.short_delta, _LEAST, _MOST) / _GRID) * _GRID
    known = ~np.isnan(cells)
    forecast = np.full(len(cases), np.nan)
    if not known.any():
        return forecast
    values, places = np.unique(cells[known], return_inverse=True)
    odds = logit(1 - values)
    fit = _Fit(odds)
    exits = cases.exit_day[known]
    order = np.argsort(exits, kind="stable")
    ended = exits[order]
    won, seen = cases.won[known], 0
    mondays = (cases.day[known] - 1) // 7 * 7 + 1  # ordinal 1 was one; entries are in order
    here = np.empty(mondays.size)
    for monday in np.unique(mondays):
        until = int(np.searchsorted(ended, monday, side="left"))
        fit.learn(places[order[seen:until]], won[order[seen:until]])
        seen = until
        this_week = slice(*np.searchsorted(mondays, [monday, monday + 1]).tolist())
        here[this_week] = fit.forecast()[places[this_week]]
    forecast[known] = here
    return forecast


class _Fit:
    """A logistic line, by Newton's steps from where it stood; its prior is the line of slope 1 through 0."""

    def __init__(self, odds: Floats) -> None:
        self._design = np.stack([np.ones_like(odds), odds], axis=1)
        self._line = np.array([0.0, 1.0])
        self._prior = self._line.copy()
        self._cases, self._won = np.zeros(odds.size), np.zeros(odds.size)
        self._changed = False

    def learn(self, places: NDArray[np.intp], won: Floats) -> None:
        """Add cases that have ended."""
        self._cases += np.bincount(places, minlength=self._cases.size)
        self._won += np.bincount(places, weights=won, minlength=self._won.size)
        self._changed = self._changed or places.size > 0

    def forecast(self) -> Floats:
        """Return P(profit) of each cell."""
        if self._changed:
            self._converge()
            self._changed = False
        return expit(self._design @ self._line)

    def _converge(self) -> None:
        for _ in range(_STEPS):
            chance = expit(self._design @ self._line)
            slope = self._design.T @ (self._won - self._cases * chance) - _PRIOR * (self._line - self._prior)
            weight = self._cases * chance * (1 - chance)
            bend = (self._design * weight[:, None]).T @ self._design + _PRIOR * np.eye(2)
            step = np.linalg.solve(bend, slope)
            self._line = self._line + step
            if float(np.abs(step).max()) < 1e-9:
                return


def baselines(cases: Columns) -> dict[str, Floats]:
    """Return each baseline's forecast of every case; NaN where it has none."""
    return {WIN_RATE: past_win_rate(cases), SIMULATED: cases.simulated, DELTA: recalibrated_delta(cases)}
