"""Evidence: a figure and how each week moves it in, how many more trades and months it takes to see it out."""

import math
from dataclasses import dataclass

import numpy as np

from mahler_agents.evidence.inference import Figure, Inference
from mahler_agents.statistics import bootstrap, foresight

WEEKS_A_MONTH = 365.25 / 12 / 7


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """What it would take to see an effect of the size that was observed, with a chance of 80 %."""

    trades: int
    """In all, at the present rate."""
    months: int
    """From the first entry on, at the present rate."""


def outlook(figure: Figure | None, cases: int, inference: Inference, *, family: int) -> Outlook | None:
    """Return what it takes to see a gain as one of a family at weekly looks; None if there is none to see."""
    if figure is None or figure.estimate <= 0 or inference.weeks < 2:
        return None
    effect = effect_of(figure, inference)
    if effect is None:
        return None
    settings = inference.settings
    weeks = foresight.time_needed(effect, first=settings.first_look_weeks, alpha=settings.alpha / family)
    if weeks is None:
        return None
    times = weeks / inference.weeks_with_entries
    return Outlook(trades=math.ceil(cases * times), months=math.ceil(inference.weeks * times / WEEKS_A_MONTH))


def effect_of(figure: Figure, inference: Inference) -> foresight.Effect | None:
    """Return a figure as an effect that grows with each week with entries, if it is as large as it seems.

    None if nothing varies.
    """
    settings = inference.settings
    found = bootstrap.wavering(
        figure.influence,
        settings.mean_block_weeks,
        periods=round(settings.first_look_weeks),
        random=np.random.default_rng(settings.seed),
    )
    if found is None:
        return None
    # Weeks without entries move nothing: as many fewer weeks have as much to say.
    error = found.error_of_one * math.sqrt(inference.weeks_with_entries / inference.weeks)
    return foresight.Effect(
        drift=figure.estimate / error, short=found.short, waver=found.spread, together=found.together
    )
