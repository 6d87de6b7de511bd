"""Evidence on trades whose truth is known: intervals cover it, nobody without skill is praised, power is as told."""

import math
from functools import cache

import numpy as np
import pytest
from conftest import at_scale
from scipy.stats import binom

from mahler_agents.evidence.cases import Columns
from mahler_agents.evidence.inference import Figure, Inference
from mahler_agents.evidence.report import evidence
from mahler_agents.evidence.settings import Settings
from mahler_agents.evidence.vetoes import pick, veto_line
from mahler_agents.statistics import bootstrap, sequential
from mahler_agents.testing import synthetic_truth as synthetic
from mahler_agents.testing.synthetic_truth import SKILLS, Skill, World

HISTORIES = at_scale(1_000)
SETTINGS = Settings(draws=1_000)
WEEKS = 300  # 60 blocks of 5


def plausible(hits: int, trials: int, low: float, high: float) -> bool:
    """Return whether a share between `low` and `high` could have brought so many hits; exactly it at full count."""
    if trials >= 1_000:
        return low <= hits / trials <= high
    too_many, too_few = binom.sf(hits - 1, trials, high), binom.cdf(hits, trials, low)
    return min(1.0 if low == 0 else too_few, too_many) > 0.005


def histories(skill: Skill, weeks: int, first_seed: int) -> list[Columns]:
    return [synthetic.columns(skill, weeks=weeks, seed=first_seed + number) for number in range(HISTORIES)]


def test_intervals_of_mean_pnl_and_win_rate_cover_the_truth_as_often_as_they_say() -> None:
    world = World()
    covered = {"mean": 0, "win rate": 0}
    for cases in histories("none", WEEKS, 10_000):
        inference = Inference(cases.week, SETTINGS)
        for name, values, truth in (("mean", cases.pnl, world.mean_pnl), ("win rate", cases.won, world.win_rate)):
            found = inference.judged(inference.mean(values), family=1)
            assert found is not None
            assert found.low is not None
            assert found.high is not None
            covered[name] += found.low <= truth <= found.high
    for name, hits in covered.items():
        assert plausible(hits, HISTORIES, 0.93, 0.97), (name, hits / HISTORIES)


def helps_at_some_look(cases: Columns, looks: range, thresholds: tuple[float, ...], family: int) -> bool:
    """Return whether a verdict of "helps" would have been given at a look after so many weeks, or an earlier one."""
    return any(_helps_at_some_look(cases, looks, threshold, family) for threshold in thresholds)


def _helps_at_some_look(cases: Columns, looks: range, threshold: float, family: int) -> bool:
    kept = (cases.confidence >= threshold).astype(np.float64)
    weekly = [np.bincount(cases.week, weights=one) for one in (kept * cases.pnl, kept, cases.pnl, np.ones(len(cases)))]
    error = 0.0
    for until in looks:
        won, number, all_won, all_number = (one[:until] for one in weekly)
        mean, overall = won.sum() / number.sum(), all_won.sum() / all_number.sum()
        influence = (won - mean * number) / number.sum() - (all_won - overall * all_number) / all_number.sum()
        gain = mean - overall
        wide = sequential.radius(until, first=WEEKS, alpha=SETTINGS.alpha / family)
        # The error falls slowly: where it would have to be 30 % less than up to 20 weeks ago, it is not asked for anew.
        if until % 20 and gain < 0.7 * wide * error:
            continue
        error = bootstrap.standard_error(influence, SETTINGS.mean_block_weeks)
        if gain > wide * error:  # else no bootstrap can help it
            found = Inference(np.arange(until), SETTINGS).judged(
                Figure(estimate=gain, influence=influence), family=family
            )
            if found is not None and found.above_zero:
                return True
    return False


def test_the_looks_of_these_tests_are_those_of_the_report() -> None:
    cases = synthetic.columns("strong", weeks=WEEKS, seed=3)
    line = veto_line(cases, Inference(cases.week, SETTINGS), 0.5, family=5)
    assert line.mean_gain is not None
    assert line.mean_gain.above_zero
    assert helps_at_some_look(cases, range(WEEKS, WEEKS + 1), (0.5,), 5)


def test_nobody_without_skill_is_praised_over_all_thresholds_and_weekly_looks() -> None:
    looks = range(WEEKS, 2 * WEEKS + 1)
    praised = sum(
        helps_at_some_look(cases, looks, SETTINGS.thresholds, len(SETTINGS.thresholds))
        for cases in histories("none", 2 * WEEKS, 20_000)
    )
    assert plausible(praised, HISTORIES, 0.0, 0.05), praised / HISTORIES


@cache
def true_gain(threshold: float) -> tuple[float, float]:
    """Return the weak advisor's true gain at a threshold, and the standard error of one week of it."""
    many = synthetic.columns("weak", weeks=20_000, seed=1)
    inference = Inference(many.week, SETTINGS)
    figure = pick(inference, many.pnl, (many.confidence >= threshold).astype(np.float64))
    assert figure is not None
    return figure.estimate, bootstrap.standard_error(figure.influence, 20.0) * math.sqrt(inference.weeks)


def found_and_told(threshold: float, until: int) -> tuple[int, float]:
    """Return in how many histories a weak skill was found by a week, and the share that was told beforehand."""
    gain, error = true_gain(threshold)
    alpha = SETTINGS.alpha / len(SETTINGS.thresholds)
    told = sequential.power_by(until, drift=gain / error, first=WEEKS, alpha=alpha)
    found = sum(
        helps_at_some_look(cases, range(WEEKS, until + 1), (threshold,), len(SETTINGS.thresholds))
        for cases in histories("weak", until, 30_000)
    )
    return found, told


def test_power_at_the_first_look_is_as_told_to_within_five_points() -> None:
    found, told = found_and_told(0.3, WEEKS)
    assert plausible(found, HISTORIES, told - 0.05, told + 0.05), (found / HISTORIES, told)


def test_power_with_weekly_looks_is_no_less_than_told() -> None:
    """It is more, by some nine points: what is told to be needed is too much (docs/design/evidence.md)."""
    found, told = found_and_told(0.6, 360)
    assert plausible(found, HISTORIES, told, 1.0), (found / HISTORIES, told)


def test_the_bound_holds_at_all_looks_together_and_is_not_wasteful() -> None:
    crossed = sequential.power_by(sequential.LAST, drift=0.0, first=1.0, alpha=0.05)
    assert 0.01 < crossed <= 0.025  # one side of two
    assert sequential.radius(300, first=300, alpha=0.05) < 3.1
    with pytest.raises(ValueError, match="before the first"):
        sequential.radius(299, first=300, alpha=0.05)


def test_the_time_that_an_effect_takes_is_when_its_power_is_reached() -> None:
    time = sequential.time_needed(drift=0.2, first=300, alpha=0.01)
    assert time is not None
    assert sequential.power_by(time, drift=0.2, first=300, alpha=0.01) == pytest.approx(0.8, abs=0.01)
    assert sequential.time_needed(drift=0.0, first=300, alpha=0.01) is None


def test_advisors_are_told_apart_by_what_they_know() -> None:
    found = {skill: evidence(synthetic.cases(skill, weeks=360, seed=5), SETTINGS) for skill in SKILLS}
    assert found["none"].verdict.finding == "no_evidence"
    assert found["strong"].verdict.finding == "helps"
    area = {skill: one.calibration.discrimination.estimate for skill, one in found.items()}
    assert area["none"] < area["weak"] < area["strong"]
    assert area["overconfident"] == area["weak"]
    # It picks as well as the weak one, and says far too much of it.
    assert found["overconfident"].calibration.calibration_error > 3 * found["weak"].calibration.calibration_error
    assert found["overconfident"].calibration.rivals[0].log_loss_gain.below_zero
    assert found["strong"].calibration.rivals[0].brier_gain.above_zero


def test_too_few_periods_are_said_to_be_too_few_and_nothing_is_sure() -> None:
    found = evidence(synthetic.cases("strong", weeks=100, seed=5), SETTINGS)
    assert found.verdict.finding == "too_few_periods"
    assert found.verdict.text.startswith("too few periods to say whether the advice helps (n = ")
    assert "are 20 of 60 independent blocks of 5 weeks, so the first look is 200 such weeks away" in found.verdict.text
    assert all(line.mean_gain is None or line.mean_gain.sure_low is None for line in found.vetoes)


def test_a_verdict_without_evidence_says_how_many_trades_it_would_take() -> None:
    found = next(
        one
        for one in (evidence(synthetic.cases("none", weeks=WEEKS, seed=seed), SETTINGS) for seed in range(9))
        if one.verdict.outlook is not None
    )
    ahead = found.verdict.outlook
    assert found.verdict.text == (
        f"no evidence that the advice helps (n = {found.cases:,}; would need about {ahead.trades:,} trades,"
        f" {ahead.months:,} months at the present rate, to see an effect of this size)"
    )
    assert ahead.trades > found.cases
