"""Evidence on trades whose truth is known: intervals cover it, nobody without skill is praised, power is as told."""

import math
from collections.abc import Iterator
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from conftest import SOAK, at_scale
from scipy.stats import binom

from mahler_agents.cli.evidence.text import evidence_lines
from mahler_agents.evidence.calibration import calibration
from mahler_agents.evidence.cases import Columns
from mahler_agents.evidence.inference import Figure, Inference
from mahler_agents.evidence.outlook import effect_of, outlook
from mahler_agents.evidence.report import PoolReport, evidence
from mahler_agents.evidence.settings import Settings
from mahler_agents.evidence.vetoes import pick, veto_line
from mahler_agents.statistics import bootstrap, foresight, sequential
from mahler_agents.statistics.foresight import Effect
from mahler_agents.testing import synthetic_truth as synthetic
from mahler_agents.testing.synthetic_truth import SKILLS, Skill, World

HISTORIES = at_scale(1_000)
SETTINGS = Settings(draws=1_000)
WEEKS = 300  # 60 blocks of 5
POWER_HISTORIES = at_scale(2_000)
"""So many that a share of them is known to within a point, where five are allowed."""
FAMILY = len(SETTINGS.thresholds)
TRUTHS = at_scale(80)
"""Histories of so many weeks, from which the true effects are known."""
LONG = 20_000


def plausible(hits: int, trials: int, low: float, high: float) -> bool:
    """Return whether a share between `low` and `high` could have brought so many hits; exactly it at full count."""
    if trials >= 1_000:
        return bool(low <= hits / trials <= high)
    too_many, too_few = binom.sf(hits - 1, trials, high), binom.cdf(hits, trials, low)
    return bool(min(1.0 if low == 0 else too_few, too_many) > 0.005)


def histories(skill: Skill, weeks: int, first_seed: int) -> Iterator[Columns]:
    return (synthetic.columns(skill, weeks=weeks, seed=first_seed + number) for number in range(HISTORIES))


def test_intervals_of_mean_pnl_and_win_rate_cover_the_truth_as_often_as_they_say() -> None:
    world = World()
    covered = {"mean": 0, "win rate": 0}
    for cases in histories("none", WEEKS, 10_000):
        inference = Inference(cases.week, SETTINGS, within=inference_after(WEEKS))
        for name, values, truth in (("mean", cases.pnl, world.mean_pnl), ("win rate", cases.won, world.win_rate)):
            found = inference.judged(inference.mean(values), family=1)
            assert found is not None
            assert found.low is not None
            assert found.high is not None
            covered[name] += found.low <= truth <= found.high
    print(f"covered of {HISTORIES}: {covered}")
    for name, hits in covered.items():
        assert plausible(hits, HISTORIES, 0.93, 0.97), (name, hits / HISTORIES)


def first_look_that_helps(cases: Columns, looks: range, thresholds: tuple[float, ...], family: int) -> float:
    """Return the first of the looks, each after so many weeks, at which the verdict is "helps"; infinity if none is."""
    return min(_first_look(cases, looks, threshold, family) for threshold in thresholds)


@cache
def inference_after(weeks: int) -> Inference:
    """Return what judges so many weeks, each with entries; its draws are the same for every history."""
    return Inference(np.arange(weeks), SETTINGS)


def _first_look(cases: Columns, looks: range, threshold: float, family: int) -> float:
    kept = (cases.confidence >= threshold).astype(np.float64)
    weekly = [np.bincount(cases.week, weights=one) for one in (kept * cases.pnl, kept, cases.pnl, np.ones(len(cases)))]
    won, number, all_won, all_number = (np.cumsum(one)[looks.start - 1 : looks.stop - 1] for one in weekly)
    means, overall = won / number, all_won / all_number
    error = 0.0
    for look, until in enumerate(looks):
        gain = float(means[look] - overall[look])
        wide = _wide(until, family)
        # The error falls slowly: where it would have to be 30 % less than up to 20 weeks ago, it is not asked for anew.
        if until % 20 and gain < 0.7 * wide * error:
            continue
        influence = (weekly[0][:until] - means[look] * weekly[1][:until]) / number[look] - (
            weekly[2][:until] - overall[look] * weekly[3][:until]
        ) / all_number[look]
        error = bootstrap.standard_error(influence, SETTINGS.mean_block_weeks)
        if gain > wide * error:  # else no bootstrap can help it
            found = inference_after(until).judged(Figure(estimate=gain, influence=influence), family=family)
            if found is not None and found.above_zero:
                return until
    return math.inf


@cache
def _wide(until: int, family: int) -> float:
    return sequential.radius(until, first=WEEKS, alpha=SETTINGS.alpha / family)


def test_the_looks_of_these_tests_are_those_of_the_report() -> None:
    cases = synthetic.columns("strong", weeks=WEEKS, seed=3)
    line = veto_line(cases, Inference(cases.week, SETTINGS), 0.5, family=5)
    assert line.mean_gain is not None
    assert line.mean_gain.above_zero
    assert first_look_that_helps(cases, range(WEEKS, WEEKS + 1), (0.5,), 5) == WEEKS


def test_nobody_without_skill_is_praised_over_all_thresholds_and_weekly_looks() -> None:
    looks = range(WEEKS, 2 * WEEKS + 1)
    praised = sum(
        first_look_that_helps(cases, looks, SETTINGS.thresholds, FAMILY) <= 2 * WEEKS
        for cases in histories("none", 2 * WEEKS, 20_000)
    )
    print(f"praised without skill: {praised} of {HISTORIES}")
    assert plausible(praised, HISTORIES, 0.0, 0.05), praised / HISTORIES


@cache
def true_effect(skill: float, threshold: float) -> Effect:
    """Return the true gain of an advisor's picks at a threshold as an effect that grows week by week."""
    found: list[Effect] = []
    for seed in range(TRUTHS):
        many = synthetic.columns(skill, weeks=LONG, seed=1_000_000 + seed)
        inference = Inference(many.week, SETTINGS)
        figure = pick(inference, many.pnl, (many.confidence >= threshold).astype(np.float64))
        assert figure is not None
        effect = effect_of(figure, inference)
        assert effect is not None
        found.append(effect)
    means = {
        name: sum(getattr(one, name) for one in found) / TRUTHS for name in ("drift", "short", "waver", "together")
    }
    return Effect(**means)


def share_that_saw(skill: float, threshold: float, until: int) -> tuple[int, float]:
    """Return in how many histories, and in what share, a skill was seen at one of the weekly looks up to a week."""
    cases = (synthetic.columns(skill, weeks=until, seed=30_000 + number) for number in range(POWER_HISTORIES))
    looks = range(WEEKS, until + 1)
    found = sum(first_look_that_helps(one, looks, (threshold,), FAMILY) <= until for one in cases)
    return found, found / POWER_HISTORIES


@pytest.mark.parametrize(
    ("skill", "threshold", "until"),
    [(0.2, 0.3, WEEKS), (0.15, 0.5, 360)] + ([(0.2, 0.6, 330), (0.12, 0.7, 420)] if SOAK else []),
)
def test_power_is_as_told_to_within_five_points_over_all_looks_made(skill: float, threshold: float, until: int) -> None:
    told = foresight.power_by(until, true_effect(skill, threshold), first=WEEKS, alpha=SETTINGS.alpha / FAMILY)
    found, share = share_that_saw(skill, threshold, until)
    print(f"skill {skill} at {threshold} by week {until}: told {told:.3f}, found {share:.3f} of {POWER_HISTORIES}")
    assert plausible(found, POWER_HISTORIES, told - 0.05, told + 0.05), (share, told)


@pytest.mark.parametrize(("skill", "threshold"), [(0.15, 0.6)] + ([(0.12, 0.4)] if SOAK else []))
def test_after_as_many_trades_as_it_says_are_needed_eighty_in_a_hundred_see_it(skill: float, threshold: float) -> None:
    """Told as the report tells it, of a history so long that its gain and error are the true ones."""
    many = synthetic.columns(skill, weeks=20 * LONG if SOAK else 4 * LONG, seed=1_000_000)
    inference = Inference(many.week, SETTINGS)
    figure = pick(inference, many.pnl, (many.confidence >= threshold).astype(np.float64))
    ahead = outlook(figure, len(many), inference, family=FAMILY)
    assert ahead is not None
    weeks = round(ahead.trades / len(many) * inference.weeks)
    found, share = share_that_saw(skill, threshold, weeks)
    print(f"skill {skill} at {threshold}: {ahead.trades} trades, {weeks} weeks, found {share:.3f} of {POWER_HISTORIES}")
    assert weeks > WEEKS
    assert plausible(found, POWER_HISTORIES, 0.75, 0.85), (weeks, share)


def test_the_bound_holds_at_all_looks_together_and_is_not_wasteful() -> None:
    crossed = foresight.power_by(foresight.LAST, Effect(drift=0.0), first=1.0, alpha=0.05)
    assert 0.01 < crossed <= 0.025  # one side of two
    assert sequential.radius(300, first=300, alpha=0.05) < 3.1
    with pytest.raises(ValueError, match="before the first"):
        sequential.radius(299, first=300, alpha=0.05)


def test_the_time_that_an_effect_takes_is_when_its_power_is_reached() -> None:
    effect = Effect(drift=0.2, short=0.05, waver=0.17, together=0.4)
    time = foresight.time_needed(effect, first=300, alpha=0.01)
    assert time is not None
    assert foresight.power_by(time, effect, first=300, alpha=0.01) == pytest.approx(0.8, abs=0.01)
    assert foresight.time_needed(Effect(drift=0.0), first=300, alpha=0.01) is None


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


@pytest.mark.parametrize("kept", [0.001, 0.004, 0.996])
def test_a_threshold_that_hardly_any_trade_is_above_or_below_proves_nothing(kept: float) -> None:
    """Three trades that all met their target do not vary: four in ten such histories without skill would be praised."""
    for seed in range(8):
        cases = synthetic.columns("none", weeks=320, seed=500 + seed)
        sure = np.random.default_rng(seed).random(len(cases)) < kept
        rare = replace(cases, confidence=np.where(sure, 0.8, 0.6))
        inference = Inference(rare.week, SETTINGS)
        gain = veto_line(rare, inference, 0.7, family=FAMILY).mean_gain
        assert gain is None or (gain.standard_error, gain.low, gain.sure_low) == (None, None, None)


def test_a_verdict_leaves_out_what_too_few_trades_are_above() -> None:
    told = synthetic.cases("none", weeks=320, seed=1)
    best = {case.candidate_id for case in sorted(told, key=lambda case: -case.pnl_dollars)[:5]}
    cases = [
        replace(case, advice=replace(case.advice, confidence=0.9 if case.candidate_id in best else 0.65))
        for case in told
        if case.advice is not None
    ]
    found = evidence(cases, SETTINGS)
    assert found.verdict.text == (
        f"no evidence that the advice helps (n = {len(cases):,};"
        " no threshold leaves out and keeps trades of weeks enough to tell)"
    )
    assert found.vetoes[-1].kept.win_rate == 1.0


def test_a_bin_of_few_forecasts_has_no_interval_and_one_of_many_has() -> None:
    cases = synthetic.columns("none", weeks=320, seed=2)
    said = np.where(np.arange(len(cases)) < 5, 0.95, 0.75)
    bins = calibration(replace(cases, p_profit=said), Inference(cases.week, SETTINGS)).bins
    assert [(one.cases > 5, one.share.low is not None) for one in bins] == [(True, True), (False, False)]


def test_every_line_fits_a_terminal_of_eighty_columns() -> None:
    for weeks in (30, 320):
        found = evidence(synthetic.cases("weak", weeks=weeks, seed=1, model="a-model-" * 5), SETTINGS)
        report = PoolReport(
            name="paper", left_out={"no_verdict": 3}, unknown_cutoffs=("house-7b",), evidence=found, remembered=found
        )
        assert max(map(len, evidence_lines([report], SETTINGS, 80))) <= 80
