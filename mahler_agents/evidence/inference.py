"""Evidence: a figure and its influence by week of entry in, the figure with its intervals out.

Two intervals: one that holds for this figure at this look, and one that holds for all figures of its family at every
weekly look from the first on (Bonferroni over the family, a confidence sequence over time). Verdicts rest on that.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from mahler_agents.evidence.cases import Floats, Numbers, Truths
from mahler_agents.evidence.settings import Settings
from mahler_agents.statistics import bootstrap, sequential

ROUGH_BLOCKS = 12
"""With fewer independent blocks there is no interval at all; below the first look's number it is only rough."""


Periods = Literal["too few", "rough", "enough"]


@dataclass(frozen=True, kw_only=True)
class Figure:
    """An estimate, and how each week moves it."""

    estimate: float
    influence: Floats
    """One number a week, which sum to 0."""
    weeks: float = math.inf
    """Weeks with a case that it is made of: of the scarcer kind, where it sets one kind beside another."""

    def minus(self, other: "Figure") -> "Figure":
        """Return the difference of two figures of the same weeks."""
        return Figure(
            estimate=self.estimate - other.estimate,
            influence=self.influence - other.influence,
            weeks=min(self.weeks, other.weeks),
        )


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A figure as it is reported; None where there are too few periods to say."""

    estimate: float
    low: float | None = None
    high: float | None = None
    """95 % for this figure at this look alone."""
    sure_low: float | None = None
    sure_high: float | None = None
    """95 % for all figures of its family and all weekly looks together; None before the first look."""
    standard_error: float | None = None

    @property
    def above_zero(self) -> bool:
        """Whether it is above 0 beyond doubt: over its family and all looks."""
        return self.sure_low is not None and self.sure_low > 0

    @property
    def below_zero(self) -> bool:
        """Whether it is below 0 beyond doubt."""
        return self.sure_high is not None and self.sure_high < 0


class Inference:
    """Judges figures of one set of cases: the same resampled weeks for all of them."""

    def __init__(self, week: Numbers, settings: Settings, *, within: "Inference | None" = None) -> None:
        self.settings = settings
        self.week = week
        self.weeks = within.weeks if within else int(week[-1]) + 1 if week.size else 0
        """From the first entry to the last."""
        self.weeks_with_entries = int(np.unique(week).size)
        self._within = within

    def among(self, chosen: Truths | Numbers) -> "Inference":
        """Return what judges some of the cases, by the same weeks; they have fewer of their own."""
        return Inference(self.week[chosen], self.settings, within=self)

    @property
    def blocks(self) -> float:
        """Independent blocks: weeks with entries over the mean length of a block."""
        return self.weeks_with_entries / self.settings.mean_block_weeks

    @property
    def periods(self) -> Periods:
        """Whether there are periods enough for an interval, and for a verdict."""
        return "enough" if self.enough else "too few" if self.blocks < ROUGH_BLOCKS else "rough"

    @property
    def enough(self) -> bool:
        """Whether there are periods enough to judge."""
        return self.weeks_with_entries >= self.settings.first_look_weeks

    def ratio(self, over: Floats, under: Floats) -> Figure | None:
        """Return the sum of one number a case over that of another; None where nothing is to be divided by."""
        total = float(under.sum())
        if not total:
            return None
        share = float(over.sum()) / total
        return Figure(
            estimate=share, influence=self.by_week(over - share * under) / total, weeks=self.weeks_of(under != 0)
        )

    def mean(self, values: Floats, chosen: Floats | None = None) -> Figure | None:
        """Return the mean of one number a case, over the cases whose `chosen` is 1."""
        counted = np.ones_like(values) if chosen is None else chosen
        return self.ratio(values * counted, counted)

    def weeks_of(self, chosen: Truths) -> int:
        """Return in how many weeks there is one of the chosen cases."""
        return int(np.count_nonzero(np.bincount(self.week[chosen])))

    def by_week(self, values: Floats) -> Floats:
        """Return the sum of one number a case in each week."""
        return np.bincount(self.week, weights=values, minlength=self.weeks).astype(np.float64)

    def judged(self, figure: Figure | None, *, family: int) -> Estimate | None:
        """Return a figure with its intervals, as one of a family of so many.

        A figure of too few weeks has none, however many weeks the others have: three trades that all met their target
        do not vary, and would seem sure.
        """
        if figure is None:
            return None
        if min(self.weeks_with_entries, figure.weeks) < ROUGH_BLOCKS * self.settings.mean_block_weeks:
            return Estimate(estimate=figure.estimate)
        error = bootstrap.standard_error(figure.influence, self.settings.mean_block_weeks)
        found = bootstrap.pivots(figure.influence, self.resampled)
        low, high = _ends(figure.estimate, error, found, self.settings.alpha)
        sure: tuple[float, float] | tuple[None, None] = (None, None)
        if self.enough:
            wide = sequential.radius(
                self.weeks_with_entries, first=self.settings.first_look_weeks, alpha=self.settings.alpha / family
            )
            # The level that this look would have by itself: the pivots say how far that is with this many blocks. Where
            # the estimate and its error rise together they would ask for less on one side than a normal one needs.
            sure = _ends(figure.estimate, error, found, sequential.fixed_alpha(wide), least=wide)
        return Estimate(
            estimate=figure.estimate,
            low=low,
            high=high,
            sure_low=sure[0],
            sure_high=sure[1],
            standard_error=error,
        )

    @cached_property
    def resampled(self) -> bootstrap.Blocks:
        """The weeks of each draw, made once they are asked for: the same for all figures and groups."""
        if self._within is not None:
            return self._within.resampled
        return bootstrap.stationary_blocks(
            self.weeks,
            draws=self.settings.draws,
            mean_block=self.settings.mean_block_weeks,
            random=np.random.default_rng(self.settings.seed),
        )


def _ends(estimate: float, error: float, found: Floats, alpha: float, *, least: float = 0.0) -> tuple[float, float]:
    """Return the ends of the studentised interval, each at least so many standard errors away."""
    if error == 0 or not found.size:
        return estimate, estimate
    low, high = np.quantile(found, [alpha / 2, 1 - alpha / 2])
    return estimate - max(float(high), least) * error, estimate - min(float(low), -least) * error
