"""Evidence: what each analyst said of the cases in, how good its own probabilities were out, beside the manager's."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mahler_agents.evidence.baselines import known_before, past_win_rate
from mahler_agents.evidence.calibration import BINS, SCORED_FROM, discrimination
from mahler_agents.evidence.cases import Case, Columns, Floats
from mahler_agents.evidence.inference import Estimate, Inference, Periods
from mahler_agents.statistics import scores

FUND_MANAGER = "fund_manager"


@dataclass(frozen=True, kw_only=True)
class AnalystLine:
    """One forecaster by itself, on the cases of which it said something."""

    name: str
    cases: int
    periods: Periods
    mean_forecast: float
    brier: Estimate | None
    calibration_error: float
    gain: Estimate | None
    """Brier score of the past win rate less its own: above 0 it is better. Sure over all analysts."""
    discrimination: Estimate | None
    """Area under the curve of its `p_profit`: 0.5 is none."""
    manager_gain: Estimate | None
    """Its Brier score less the manager's on the same cases: above 0 the manager is better; None for the manager."""


def analyst_lines(ordered: Sequence[Case], cases: Columns, inference: Inference) -> tuple[AnalystLine, ...]:
    """Return a line of each analyst, by name, and the fund manager's last; `cases` are the columns of `ordered`."""
    names = sorted({name for case in ordered for name in case.opinions})
    said = {name: _said(ordered, name) for name in names} | {FUND_MANAGER: cases.p_profit}
    rival = np.where(known_before(cases)[0] >= SCORED_FROM, past_win_rate(cases), np.nan)
    return tuple(_line(name, one, rival, cases, inference, family=len(said)) for name, one in said.items())


def _said(ordered: Sequence[Case], name: str) -> Floats:
    heard = (case.opinions.get(name) for case in ordered)
    return np.array([np.nan if one is None else one.p_profit for one in heard], dtype=np.float64)


def _line(name: str, said: Floats, rival: Floats, cases: Columns, inference: Inference, *, family: int) -> AnalystLine:
    there = np.flatnonzero(~np.isnan(said))
    some, judge, own = cases.where(there), inference.among(there), said[there]
    won, theirs = some.won, rival[there]
    errors = scores.brier_terms(won, own)
    scored = ~np.isnan(theirs)
    gains = scores.brier_terms(won, np.where(scored, theirs, 0.5)) - errors
    behind = None if name == FUND_MANAGER else judge.mean(errors - scores.brier_terms(won, some.p_profit))
    return AnalystLine(
        name=name,
        cases=there.size,
        periods=judge.periods,
        mean_forecast=float(own.mean()),
        brier=judge.judged(judge.mean(errors), family=family),
        calibration_error=scores.calibration_error(won, own, BINS),
        gain=judge.judged(judge.mean(gains, scored.astype(np.float64)), family=family),
        discrimination=judge.judged(discrimination(won > 0, own, judge), family=family),
        manager_gain=judge.judged(behind, family=family),
    )
