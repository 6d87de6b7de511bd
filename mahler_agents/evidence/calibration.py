"""Evidence: advised cases in, how good the probabilities and the conviction were out."""

from dataclasses import dataclass

import numpy as np

from mahler_agents.evidence.baselines import DELTA, SIMULATED, WIN_RATE, baselines, known_before
from mahler_agents.evidence.cases import Columns, Floats, Truths
from mahler_agents.evidence.inference import Estimate, Figure, Inference
from mahler_agents.statistics import scores

BINS = 10
SCORED_FROM = 20
"""Outcomes that must be known before the first case is scored: a win rate of two trades is no rival."""
SMALLEST = 0.001
"""Forecasts count as this far from 0 and 1 in the log loss: one certain mistake shall not decide everything."""
_RIVALS = 3
FAMILY = 2 * _RIVALS
"""Comparisons of forecasts: two scores against each rival."""
_CONVICTIONS = 1_000
"""Different values that are told apart, at most, by the interval of an area under the curve."""


@dataclass(frozen=True, kw_only=True)
class BinLine:
    """Forecasts of one bin of the reliability diagram."""

    low: float
    high: float
    cases: int
    mean_forecast: float
    share: Estimate | None
    """Of them, those that were won."""


@dataclass(frozen=True, kw_only=True)
class Rival:
    """A baseline on the cases that all forecasters have."""

    name: str
    brier: float
    log_loss: float
    brier_gain: Estimate | None
    """The baseline's Brier score less that of the advice: above 0 the advice is better."""
    log_loss_gain: Estimate | None


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """How `p_profit` and `confidence` did."""

    cases: int
    brier: float
    log_loss: float
    calibration_error: float
    mean_forecast: float
    win_rate: Estimate | None
    bins: tuple[BinLine, ...]
    scored_against_rivals: int
    """Cases that the advice and all baselines have a forecast of."""
    brier_there: float | None
    """The advice's Brier score on those."""
    log_loss_there: float | None
    rivals: tuple[Rival, ...]
    without_rival: tuple[str, ...]
    """Baselines of which the record has no forecast."""
    discrimination: Estimate | None
    """Area under the curve of `confidence`: 0.5 is none."""


def calibration(cases: Columns, inference: Inference) -> Calibration:
    """Return how the probabilities of all cases did."""
    won, said = cases.won, cases.p_profit
    forecasts = {name: one for name, one in baselines(cases).items() if not np.isnan(one).all()}
    scored = known_before(cases)[0] >= SCORED_FROM
    for one in forecasts.values():
        scored &= ~np.isnan(one)
    return Calibration(
        cases=len(cases),
        brier=scores.brier_score(won, said),
        log_loss=scores.log_loss(won, said, smallest=SMALLEST),
        calibration_error=scores.calibration_error(won, said, BINS),
        mean_forecast=float(said.mean()),
        win_rate=inference.judged(inference.mean(won), family=1),
        bins=_bins(won, said, inference),
        scored_against_rivals=int(scored.sum()),
        brier_there=scores.brier_score(won[scored], said[scored]) if scored.any() else None,
        log_loss_there=scores.log_loss(won[scored], said[scored], smallest=SMALLEST) if scored.any() else None,
        rivals=tuple(_rival(name, one, cases, scored, inference) for name, one in forecasts.items() if scored.any()),
        without_rival=tuple(name for name in (WIN_RATE, SIMULATED, DELTA) if name not in forecasts),
        discrimination=inference.judged(discrimination(won > 0, cases.confidence, inference), family=1),
    )


def discrimination(won: Truths, said: Floats, inference: Inference) -> Figure | None:
    """Return the area under the curve of what was said, 0 to 1; influence after DeLong (1988, Biometrics 44:837)."""
    area = scores.auc(won, said)
    if area is None:
        return None
    told_apart = np.round(said * _CONVICTIONS).astype(np.int64)
    won_at = np.bincount(told_apart[won], minlength=_CONVICTIONS + 1).astype(np.float64)
    lost_at = np.bincount(told_apart[~won], minlength=_CONVICTIONS + 1).astype(np.float64)
    lost_below = (np.cumsum(lost_at) - lost_at / 2) / lost_at.sum()
    won_above = 1 - (np.cumsum(won_at) - won_at / 2) / won_at.sum()
    centre = float(lost_below[told_apart[won]].mean())
    moved = np.where(
        won,
        (lost_below[told_apart] - centre) / won_at.sum(),
        (won_above[told_apart] - centre) / lost_at.sum(),
    )
    weeks = min(inference.weeks_of(won), inference.weeks_of(~won))
    return Figure(estimate=area, influence=inference.by_week(moved), weeks=weeks)


def _bins(won: Floats, said: Floats, inference: Inference) -> tuple[BinLine, ...]:
    numbers = scores.bin_numbers(said, BINS)
    found = scores.reliability(won, said, BINS)
    return tuple(
        BinLine(
            low=one.low,
            high=one.high,
            cases=one.cases,
            mean_forecast=one.mean_forecast,
            share=inference.judged(
                inference.mean(won, (numbers == round(one.low * BINS)).astype(np.float64)), family=len(found)
            ),
        )
        for one in found
    )


def _rival(name: str, forecast: Floats, cases: Columns, scored: Truths, inference: Inference) -> Rival:
    won, chosen = cases.won, scored.astype(np.float64)
    theirs = np.where(scored, forecast, 0.5)
    brier = scores.brier_terms(won, theirs) - scores.brier_terms(won, cases.p_profit)
    logs = scores.log_loss_terms(won, theirs, smallest=SMALLEST) - scores.log_loss_terms(
        won, cases.p_profit, smallest=SMALLEST
    )
    return Rival(
        name=name,
        brier=scores.brier_score(won[scored], forecast[scored]),
        log_loss=scores.log_loss(won[scored], forecast[scored], smallest=SMALLEST),
        brier_gain=inference.judged(inference.mean(brier, chosen), family=FAMILY),
        log_loss_gain=inference.judged(inference.mean(logs, chosen), family=FAMILY),
    )
