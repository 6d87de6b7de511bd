"""Evidence: an effect and how uncertain it is in, how many more trades and months it takes to see it out."""

import math
from dataclasses import dataclass

from mahler_agents.evidence.inference import Estimate, Inference
from mahler_agents.statistics import sequential

WEEKS_A_MONTH = 365.25 / 12 / 7


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """What it would take to see an effect of the size that was observed, with a chance of 80 %."""

    trades: int
    """In all, at the present rate."""
    months: int
    """From the first entry on, at the present rate."""


def outlook(gain: Estimate | None, cases: int, inference: Inference, *, family: int, error: float) -> Outlook | None:
    """Return what it takes to see a gain as one of a family at weekly looks; None if there is none to see."""
    if gain is None or gain.estimate <= 0 or error <= 0 or not inference.weeks_with_entries:
        return None
    settings = inference.settings
    weeks = sequential.time_needed(
        drift=gain.estimate / error / math.sqrt(inference.weeks_with_entries),
        first=settings.first_look_weeks,
        alpha=settings.alpha / family,
    )
    if weeks is None:
        return None
    times = weeks / inference.weeks_with_entries
    return Outlook(trades=math.ceil(cases * times), months=math.ceil(inference.weeks * times / WEEKS_A_MONTH))
