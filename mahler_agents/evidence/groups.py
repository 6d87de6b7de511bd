"""Evidence: cases of one model, prompt version or regime in, a line on each out: the same figures, with intervals.

Groups differ in more than their name: a newer prompt met other weeks. Which of two prompts is better is asked of the
same cases, by `mahler eval compare`.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mahler_agents.evidence.calibration import discrimination
from mahler_agents.evidence.cases import Columns
from mahler_agents.evidence.inference import Estimate, Inference, Periods
from mahler_agents.evidence.vetoes import pick
from mahler_agents.statistics import scores

LOW_BELOW = 0.4
"""The threshold of the desk's own veto, by which groups are held against each other."""


@dataclass(frozen=True, kw_only=True)
class GroupLine:
    """Cases of one model, prompt version or regime."""

    name: str
    cases: int
    weeks_with_entries: int
    periods: Periods
    """By its own weeks: with too few there are no intervals."""
    win_rate: Estimate | None
    mean_pnl: Estimate | None
    mean_forecast: float
    brier: Estimate | None
    discrimination: Estimate | None
    """Area under the curve of `confidence`."""
    vetoed: int
    """Of less confidence than the desk's own threshold."""
    mean_gain: Estimate | None
    """Mean P&L of the others less that of all; sure over all groups of its kind and weekly looks."""


def group_lines(cases: Columns, names: Sequence[str], inference: Inference) -> tuple[GroupLine, ...]:
    """Return a line of each name, in order; a case has one name."""
    members: dict[str, list[int]] = defaultdict(list)
    for place, name in enumerate(names):
        members[name].append(place)
    chosen = {name: np.array(places) for name, places in sorted(members.items())}
    return tuple(
        _line(name, cases.where(places), inference.among(places), len(chosen)) for name, places in chosen.items()
    )


def _line(name: str, cases: Columns, inference: Inference, family: int) -> GroupLine:
    won, kept = cases.won, cases.confidence >= LOW_BELOW
    errors = scores.brier_terms(won, cases.p_profit)
    return GroupLine(
        name=name,
        cases=len(cases),
        weeks_with_entries=inference.weeks_with_entries,
        periods=inference.periods,
        win_rate=inference.judged(inference.mean(won), family=family),
        mean_pnl=inference.judged(inference.mean(cases.pnl), family=family),
        mean_forecast=float(cases.p_profit.mean()),
        brier=inference.judged(inference.mean(errors), family=family),
        discrimination=inference.judged(discrimination(won > 0, cases.confidence, inference), family=family),
        vetoed=int((~kept).sum()),
        mean_gain=inference.judged(pick(inference, cases.pnl, kept.astype(np.float64)), family=family),
    )
