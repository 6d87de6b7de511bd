"""Evaluation: two variants' answers in, whether they differ out: on the same cases only, paired and corrected.

Repeats are averaged case by case first. Cases of one date share a market, so that whole dates are resampled and their
signs flipped together. Every scorer is a question of its own: p-values are corrected for all of them (Holm 1979).
"""

from collections.abc import Mapping, Sequence
from math import sqrt
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mahler_agents.errors import InputError
from mahler_agents.evaluation.aggregates import AGGREGATES, Aggregate, Forecasts, compare_aggregate
from mahler_agents.evaluation.loading import Told
from mahler_agents.evaluation.scorers import Better, Scorer
from mahler_agents.statistics.paired import FEWEST_GROUPS, bootstrap_interval, group_sums, holm, mcnemar, sign_flip_test
from mahler_agents.statistics.power import ALPHA, cases_needed, critical
from mahler_agents.types import Frozen

Floats = NDArray[np.float64]
SEED = 20_260_317
"""Of the resampling: the same record gives the same figures."""

Verdict = Literal["first", "second", "differ", "same", "too_few"]
"""Which is better; `differ` where neither side is; `same`: not one case differs; `too_few`: it cannot be told."""


class Side(Frozen):
    """One of the two variants."""

    label: str
    """`EVALUATION.VARIANT`."""
    prompt_hash: str
    model: str
    toy_model: bool
    cases: int
    """On which it was to be asked."""
    answers: int
    """Valid ones."""
    errors: Mapping[str, int]
    """Kind to count."""
    cost_dollars: float | None
    """Of all its questions when they were asked, at list price; None if it is unknown."""


class ScorerComparison(Frozen):
    """How one scorer's scores differ; a difference is the second's less the first's."""

    scorer: str
    better: Better | None
    unit: str
    n: int
    """Cases with a score of both."""
    dates: int
    """Dates of those."""
    unmatched: int
    """Cases with a score of one only."""
    mean_first: float | None
    mean_second: float | None
    difference: float | None
    low: float | None
    high: float | None
    """Of the difference, 95 %; None with fewer than six dates."""
    wins: int
    """Cases where the second has the better score; the higher one where neither side is better."""
    ties: int
    losses: int
    test: str
    p_value: float | None
    p_holm: float | None
    """Corrected for all scorers that could be tested."""
    error_of_one: float | None
    """Standard error of the difference times the square root of `n`; None if it is 0 or cannot be told."""
    cases_needed: int | None
    """How many cases would show a difference of this size, corrected as this one is, four times in five.

    None if it is 0 or there is none.
    """
    verdict: Verdict
    text: str
    """The verdict in words."""


class Pair(Frozen):
    """Both forecasts of one case, the repeats averaged."""

    case: str
    date: str
    first: float
    second: float
    profit: bool | None


class Comparison(Frozen):
    """Two variants on the same cases."""

    role: str
    first: Side
    second: Side
    shared_cases: int
    only_first: int
    only_second: int
    synthetic: bool
    """Whether the facts of any of the cases are made up."""
    outcomes_known: int
    scorers: tuple[ScorerComparison, ...]
    forecasts: tuple[Pair, ...]
    notes: tuple[str, ...]


def compare(first: Told, second: Told, scorers: Sequence[Scorer]) -> Comparison:
    """Return how two variants differ.

    Raises `InputError` if they are one and the same, of different roles, or have no case in common.
    """
    if first.label == second.label:
        raise InputError(f"{first.label} is one variant: name two to compare")
    if first.role != second.role:
        raise InputError(f"{first.label} is of {first.role}, {second.label} of {second.role}: compare one role's")
    shared = sorted(first.answers.keys() & second.answers.keys())
    if not shared:
        raise InputError(f"{first.label} and {second.label} have no case in common: run both on the same cases")
    pairs = _Pairs(first, second, shared)
    found = [pairs.compared(scorer) for scorer in scorers]
    found += [pairs.aggregated(one) for one in AGGREGATES]
    outcomes = sum(first.cases[name].profit is not None for name in shared)
    return Comparison(
        role=first.role,
        first=_side(first),
        second=_side(second),
        shared_cases=len(shared),
        only_first=len(first.answers.keys() - second.answers.keys()),
        only_second=len(second.answers.keys() - first.answers.keys()),
        synthetic=any(first.cases[name].synthetic for name in shared),
        outcomes_known=outcomes,
        scorers=corrected(found),
        forecasts=pairs.forecasts,
        notes=tuple(_notes(first, second, outcomes)),
    )


class _Pairs:
    """The answers of two variants to the cases that both were asked."""

    def __init__(self, first: Told, second: Told, shared: Sequence[str]) -> None:
        self._both = (first, second)
        self._shared = shared
        self._dates = first.dates
        means = [(name, _forecast(first, name), _forecast(second, name)) for name in shared]
        self.forecasts = tuple(
            Pair(case=name, date=self._dates[name].isoformat(), first=one, second=two, profit=first.cases[name].profit)
            for name, one, two in means
            if one is not None and two is not None
        )

    def compared(self, scorer: Scorer) -> ScorerComparison:
        """Return how the scores of one scorer differ, not corrected yet."""
        scores = [
            tuple(None if (found := scorer.score(told.answers[name])) is None else found.value for told in self._both)
            for name in self._shared
        ]
        paired = [(name, *pair) for name, pair in zip(self._shared, scores, strict=True) if None not in pair]
        unmatched = sum((one is None) != (two is None) for one, two in scores)
        first, second = (np.array([pair[place] for pair in paired], dtype=np.float64) for place in (1, 2))
        groups = [self._dates[pair[0]].isoformat() for pair in paired]
        return _compared(scorer, first, second, groups, unmatched)

    def aggregated(self, score: Aggregate) -> ScorerComparison:
        """Return how a score of many forecasts differs, on the cases whose outcome is known."""
        known = [pair for pair in self.forecasts if pair.profit is not None]
        random = np.random.default_rng(SEED)
        happened, first, second = (
            np.array([getattr(pair, name) for pair in known], dtype=np.float64)
            for name in ("profit", "first", "second")
        )
        groups = [pair.date for pair in known]
        forecasts = Forecasts(happened=happened, first=first, second=second)
        found = compare_aggregate(score, forecasts, groups, random) if known else None
        if found is None:
            return _untested(score.name, score.better, "", n=len(known), dates=len(set(groups)), unmatched=0)
        ends = found.interval
        return ScorerComparison(
            scorer=score.name,
            better=score.better,
            unit="",
            n=len(known),
            dates=len(set(groups)),
            unmatched=0,
            mean_first=found.first,
            mean_second=found.second,
            difference=found.second - found.first,
            low=ends and ends.low,
            high=ends and ends.high,
            wins=0,
            ties=0,
            losses=0,
            test="forecasts swapped by date",
            p_value=found.p_value,
            p_holm=None,
            error_of_one=(ends and (ends.high - ends.low) / (2 * critical()) * sqrt(len(known))) or None,
            cases_needed=None,
            verdict="too_few",
            text="",
        )


def _compared(scorer: Scorer, first: Floats, second: Floats, groups: Sequence[str], unmatched: int) -> ScorerComparison:
    dates = len(set(groups))
    if not len(first):
        return _untested(scorer.name, scorer.better, scorer.unit, n=0, dates=0, unmatched=unmatched)
    differences = second - first
    random = np.random.default_rng(SEED)
    interval = bootstrap_interval(differences, random=random, groups=groups)
    test, p_value = _tested(scorer, first, second, groups, random)
    better = -1.0 if scorer.better == "lower" else 1.0
    signs = np.sign(differences * better)
    effect = float(differences.mean())
    return ScorerComparison(
        scorer=scorer.name,
        better=scorer.better,
        unit=scorer.unit,
        n=len(first),
        dates=dates,
        unmatched=unmatched,
        mean_first=float(first.mean()),
        mean_second=float(second.mean()),
        difference=effect,
        low=interval and interval.low,
        high=interval and interval.high,
        wins=int((signs > 0).sum()),
        ties=int((signs == 0).sum()),
        losses=int((signs < 0).sum()),
        test=test,
        p_value=p_value,
        p_holm=None,
        error_of_one=_error_of_one(effect, differences, groups),
        cases_needed=None,
        verdict="too_few",
        text="",
    )


def _tested(
    scorer: Scorer, first: Floats, second: Floats, groups: Sequence[str], random: np.random.Generator
) -> tuple[str, float]:
    """Return the test and its p-value.

    McNemar's takes cases for independent of one another, which those of one date are not: where a date has several, its
    p-value counts only if flipping whole dates finds one as small.
    """
    flipped = sign_flip_test(second - first, random=random, groups=groups)
    plain = scorer.yes_no and bool(np.isin(np.concatenate([first, second]), (0.0, 1.0)).all())
    if not plain:
        return "signs flipped by date", flipped
    exact = mcnemar(int((first > second).sum()), int((second > first).sum()))
    if len(set(groups)) == len(groups):
        return "exact McNemar", exact
    return "exact McNemar, and signs flipped by date", max(exact, flipped)


def corrected(found: Sequence[ScorerComparison]) -> tuple[ScorerComparison, ...]:
    """Return comparisons with p-values corrected for all of them that were tested, and their verdicts."""
    tested = [one for one in found if one.p_value is not None]
    by_name = dict(zip((one.scorer for one in tested), holm([one.p_value or 0.0 for one in tested]), strict=True))
    return tuple(_judged(one, by_name.get(one.scorer), tests=len(tested)) for one in found)


def _judged(one: ScorerComparison, p_holm: float | None, *, tests: int) -> ScorerComparison:
    fields = {"p_holm": p_holm, "verdict": _verdict(one, p_holm), "cases_needed": _needed(one, tests)}
    judged = one.model_copy(update=fields)
    return judged.model_copy(update={"text": _text(judged)})


def _verdict(one: ScorerComparison, p_holm: float | None) -> Verdict:
    if p_holm is None or one.difference is None:
        return "too_few"
    if p_holm < ALPHA and one.dates >= FEWEST_GROUPS:
        if one.better is None:
            return "differ"
        return "second" if (one.difference > 0) is (one.better == "higher") else "first"
    return "same" if one.difference == 0 and one.wins == one.losses == 0 else "too_few"


def _text(one: ScorerComparison) -> str:
    if one.n == 0 or one.difference is None:
        return "no case has a score of both"
    if one.verdict in {"first", "second"}:
        return f"{one.verdict} is better (n = {one.n})"
    if one.verdict == "differ":
        return f"second is {'higher' if one.difference > 0 else 'lower'} (n = {one.n})"
    if one.verdict == "same":
        return f"no case differs (n = {one.n})"
    few = f"too few cases to tell (n = {one.n} on {one.dates} {'date' if one.dates == 1 else 'dates'}"
    if one.cases_needed is None:
        return f"{few})"
    if one.cases_needed <= one.n:
        return f"{few}; needs as many again)"
    return f"{few}; needs about {one.cases_needed:,})"


def _needed(one: ScorerComparison, tests: int) -> int | None:
    """Return how many cases would tell: at the share of alpha that the smallest p-value of so many tests has."""
    if one.difference is None or one.error_of_one is None:
        return None
    return cases_needed(one.difference, error_of_one=one.error_of_one, alpha=ALPHA / tests)


def _error_of_one(effect: float, differences: Floats, groups: Sequence[str]) -> float | None:
    sums, sizes = group_sums(differences, groups)
    if sums.size < 2:
        return None
    residuals = sums - effect * sizes
    error = sqrt(sums.size / (sums.size - 1) * float((residuals**2).sum())) / len(differences)
    return error * sqrt(len(differences)) or None


def _untested(name: str, better: Better | None, unit: str, *, n: int, dates: int, unmatched: int) -> ScorerComparison:
    return ScorerComparison(
        scorer=name,
        better=better,
        unit=unit,
        n=n,
        dates=dates,
        unmatched=unmatched,
        mean_first=None,
        mean_second=None,
        difference=None,
        low=None,
        high=None,
        wins=0,
        ties=0,
        losses=0,
        test="none",
        p_value=None,
        p_holm=None,
        error_of_one=None,
        cases_needed=None,
        verdict="too_few",
        text="",
    )


def _forecast(told: Told, case: str) -> float | None:
    known = [one.p_profit for one in told.answers[case] if one.p_profit is not None]
    return sum(known) / len(known) if known else None


def _side(told: Told) -> Side:
    return Side(
        label=told.label,
        prompt_hash=told.variant["prompt_hash"],
        model=told.variant["model"],
        toy_model=bool(told.variant["toy_model"]),
        cases=told.evaluation.cases,
        answers=sum(one.said is not None for answers in told.answers.values() for one in answers),
        errors=told.failures,
        cost_dollars=told.cost_dollars,
    )


def _notes(first: Told, second: Told, outcomes: int) -> list[str]:
    notes: list[str] = []
    if outcomes == 0:
        notes.append(
            "no outcome of these cases is known yet, so that brier, log_loss, calibration_error and auc have no score:"
            " run `mahler monitor` until the trades' shadows have ended, or import cases with outcomes"
        )
    for told in (first, second):
        row = told.evaluation
        if row.answered + row.failed < row.expected:
            missing = row.expected - row.answered - row.failed
            notes.append(f"evaluation {row.id} lacks {missing:,} answers: run the same `mahler eval run` again")
        if row.repeats != first.evaluation.repeats:
            notes.append(f"{first.label} has {first.evaluation.repeats} repeats, {told.label} {row.repeats}")
    return list(dict.fromkeys(notes))
