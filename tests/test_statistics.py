"""Scores and paired tests, against scikit-learn, SciPy and statsmodels."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics
from sklearn.calibration import calibration_curve
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar
from statsmodels.stats.multitest import multipletests

from mahler_agents.statistics import paired, power, scores

PROBABILITIES = st.floats(0, 1)
FORECASTS = st.lists(st.tuples(st.booleans(), PROBABILITIES), min_size=1, max_size=60)
ROUND_FORECASTS = st.lists(
    st.tuples(st.booleans(), st.integers(0, 100).map(lambda n: n / 100)), min_size=1, max_size=60
)


def split(pairs: list[tuple[bool, float]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([yes for yes, _ in pairs]), np.array([said for _, said in pairs])


@given(FORECASTS)
def test_brier_and_log_loss_are_those_of_scikit_learn(pairs: list[tuple[bool, float]]) -> None:
    happened, forecast = split(pairs)
    assert scores.brier_score(happened, forecast) == pytest.approx(metrics.brier_score_loss(happened, forecast))
    theirs = metrics.log_loss(happened, forecast, labels=[False, True])
    assert scores.log_loss(happened, forecast) == pytest.approx(theirs, rel=1e-9, abs=1e-12)


@given(FORECASTS | ROUND_FORECASTS, st.integers(2, 20))
def test_the_bins_of_a_reliability_diagram_are_those_of_scikit_learn(
    pairs: list[tuple[bool, float]], bins: int
) -> None:
    happened, forecast = split(pairs)
    found = scores.reliability(happened, forecast, bins)
    shares, means = calibration_curve(happened, forecast, n_bins=bins)
    assert [one.share for one in found] == pytest.approx(list(shares))
    assert [one.mean_forecast for one in found] == pytest.approx(list(means))
    expected = sum(one.cases * abs(share - mean) for one, share, mean in zip(found, shares, means, strict=True))
    assert scores.calibration_error(happened, forecast, bins) == pytest.approx(expected / len(pairs), abs=1e-12)


@given(FORECASTS | ROUND_FORECASTS)
def test_auc_is_that_of_scikit_learn_and_none_where_all_cases_ended_alike(pairs: list[tuple[bool, float]]) -> None:
    happened, forecast = split(pairs)
    ours = scores.auc(happened, forecast)
    if len(set(happened.tolist())) < 2:
        assert ours is None
    else:
        assert ours == pytest.approx(metrics.roc_auc_score(happened, forecast))


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_is_that_of_statsmodels(first: int, second: int) -> None:
    theirs = statsmodels_mcnemar([[7, first], [second, 5]], exact=True).pvalue
    assert paired.mcnemar(first, second) == pytest.approx(min(1.0, theirs) if first + second else 1.0)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-5, 5).filter(lambda one: abs(one) > 1e-3), min_size=2, max_size=9))
def test_the_sign_flip_test_of_few_cases_is_exactly_that_of_scipy(differences: list[float]) -> None:
    theirs = stats.permutation_test(
        (np.array(differences),), lambda x, axis: np.mean(x, axis=axis), permutation_type="samples", vectorized=True
    )
    assert paired.sign_flip_test(differences, random=np.random.default_rng(0)) == pytest.approx(theirs.pvalue)


def test_the_sign_flip_test_of_many_cases_is_that_of_scipy_but_for_chance() -> None:
    differences = np.random.default_rng(3).normal(0.2, 1, size=80)
    theirs = stats.permutation_test(
        (differences,),
        lambda x, axis: np.mean(x, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=40_000,
        rng=np.random.default_rng(1),
    )
    ours = paired.sign_flip_test(differences, random=np.random.default_rng(2), draws=40_000)
    assert ours == pytest.approx(theirs.pvalue, abs=4 * math.sqrt(2 * 0.1 * 0.9 / 40_000))


def test_cases_of_one_group_are_flipped_together() -> None:
    differences = [1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    assert paired.sign_flip_test(differences, random=np.random.default_rng(0)) == 2 / 2**6
    together = paired.sign_flip_test(differences, groups=[1, 1, 1, 2, 2, 2], random=np.random.default_rng(0))
    assert together == 2 / 2**2


def test_no_difference_at_all_is_no_evidence_of_one() -> None:
    random = np.random.default_rng(0)
    assert paired.sign_flip_test([0.0] * 40, random=random) == 1
    found = paired.bootstrap_interval([0.0] * 40, random=random)
    assert found == paired.Interval(estimate=0, low=0, high=0)
    assert paired.bootstrap_interval([1.0, 2.0], groups=["a", "a"], random=random) is None


def test_few_groups_have_no_interval_rather_than_one_of_no_width() -> None:
    random = np.random.default_rng(0)
    for number in range(2, paired.FEWEST_GROUPS):
        assert paired.bootstrap_interval([0.016, -0.05, 0.03, 0.1, -0.2][:number], random=random) is None
    found = paired.bootstrap_interval([0.016, -0.05, 0.03, 0.1, -0.2, 0.07], random=random)
    assert found is not None
    assert found.low < found.estimate < found.high


def test_holm_is_that_of_statsmodels() -> None:
    # Few examples: a call of theirs takes most of a second.
    for p_values in ([0.04, 0.01, 0.03, 0.04], [0.0, 1.0, 0.5], [0.2]):
        assert paired.holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1])


def test_the_interval_by_groups_covers_the_truth_as_often_as_it_says() -> None:
    random = np.random.default_rng(11)
    trials, covered = 300, 0
    groups = np.repeat(np.arange(30), 4)
    for _ in range(trials):
        # Skewed, and alike within a group: cases taken one by one would cover far less.
        values = random.exponential(1, size=30)[groups] + random.normal(0, 0.3, size=groups.size)
        found = paired.bootstrap_interval(values, groups=groups, random=random, draws=600)
        covered += found is not None and found.low <= 1 <= found.high
    assert stats.binomtest(covered, trials, 0.95).pvalue > 0.001


def test_power_is_the_share_of_tests_that_see_the_effect() -> None:
    random = np.random.default_rng(5)
    cases = power.cases_needed(0.3, error_of_one=1.0)
    assert cases == 88
    means = random.normal(0.3, 1, size=(4_000, cases)).mean(axis=1)
    seen = (np.abs(means) * math.sqrt(cases) > power.critical()).mean()
    assert seen == pytest.approx(power.power_of(0.3, error_of_one=1.0, cases=cases), abs=0.02)
    assert power.power_of(0.3, error_of_one=1.0, cases=cases) == pytest.approx(0.8, abs=0.005)


def test_nothing_to_see_needs_no_number_of_cases() -> None:
    assert power.cases_needed(0.0, error_of_one=1.0) is None
    assert power.cases_needed(1e-9, error_of_one=1.0) is None


def test_power_of_yes_and_no_is_the_share_of_exact_tests_that_see_the_difference() -> None:
    random = np.random.default_rng(8)
    cases = power.cases_needed(0.25 - 0.10, error_of_one=math.sqrt(0.25 + 0.10 - (0.25 - 0.10) ** 2))
    assert cases is not None
    drawn = random.multinomial(cases, [0.25, 0.10, 0.65], size=2_000)
    seen = np.mean([paired.mcnemar(int(first), int(second)) < 0.05 for first, second, _ in drawn])
    assert seen == pytest.approx(0.8, abs=0.06)  # the exact test is a little shy of its level
