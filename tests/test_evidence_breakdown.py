"""Evidence by analyst, model, prompt and regime: each figure is that of its own cases, with intervals where it may."""

import datetime as dt
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, roc_auc_score

from mahler_agents.evidence.cases import Case, Opinion
from mahler_agents.evidence.report import Evidence, evidence
from mahler_agents.evidence.settings import Settings
from mahler_agents.testing import synthetic_truth as synthetic

SETTINGS = Settings(draws=500)
WEEKS = 320


@cache
def advised_cases() -> tuple[Case, ...]:
    """Return a weak manager's cases, with what a strong analyst, a blind one and one that is mostly silent said."""
    managed, sharp, blind = (synthetic.cases(skill, weeks=WEEKS, seed=4) for skill in ("weak", "strong", "none"))
    return tuple(
        replace(
            case,
            opinions={"sharp": said(one, "house-7b"), "blind": said(other, "house-7b")}
            | ({"silent": said(one, "house-7b")} if number % 50 == 0 else {}),
        )
        for number, (case, one, other) in enumerate(zip(managed, sharp, blind, strict=True))
    )


def said(case: Case, model: str) -> Opinion:
    assert case.advice is not None
    return Opinion(case.advice.confidence, case.advice.p_profit, model)


@cache
def found() -> Evidence:
    return evidence(advised_cases(), SETTINGS)


def test_each_analyst_is_scored_by_its_own_probabilities() -> None:
    lines = {line.name: line for line in found().by_analyst}
    assert list(lines) == ["blind", "sharp", "silent", "fund_manager"]
    for name in ("blind", "sharp", "silent"):
        own = [
            (case.pnl_dollars > 0, case.opinions[name].p_profit) for case in advised_cases() if name in case.opinions
        ]
        won, forecast = np.array([one for one, _ in own]), np.array([one for _, one in own])
        assert lines[name].cases == len(own)
        assert lines[name].brier.estimate == pytest.approx(brier_score_loss(won, forecast))
        assert lines[name].discrimination.estimate == pytest.approx(roc_auc_score(won, forecast))
    assert lines["fund_manager"].brier.estimate == pytest.approx(found().calibration.brier)


def test_who_is_better_than_the_past_and_than_the_manager_is_told_with_what_is_sure() -> None:
    lines = {line.name: line for line in found().by_analyst}
    assert lines["sharp"].gain.above_zero
    assert not lines["blind"].gain.above_zero
    assert lines["sharp"].manager_gain.below_zero
    assert lines["blind"].manager_gain.low > 0  # at this look; a weak manager is not surely better in six years
    assert lines["fund_manager"].manager_gain is None


def test_the_line_of_a_group_that_is_everything_is_that_of_everything() -> None:
    (line,) = found().by_model
    assert line.cases == found().cases
    assert line.mean_pnl.estimate == pytest.approx(found().mean_pnl.estimate)
    assert (line.mean_pnl.low, line.mean_pnl.high) == pytest.approx((found().mean_pnl.low, found().mean_pnl.high))
    (veto,) = [one for one in found().vetoes if one.threshold == 0.4]
    assert line.vetoed == veto.vetoed
    assert (line.mean_gain.low, line.mean_gain.high) == pytest.approx((veto.mean_gain.low, veto.mean_gain.high))


def test_a_group_has_the_figures_of_its_own_cases_and_an_interval_if_it_has_periods_enough() -> None:
    first = advised_cases()[0].entry_date

    def regime(case: Case) -> str:
        week = (case.entry_date - first) // dt.timedelta(weeks=1)
        return "new" if week < 40 else "calm" if week < 160 else "wild"

    cases = [replace(case, regime=regime(case)) for case in advised_cases()]
    lines = {line.name: line for line in evidence(cases, SETTINGS).by_regime}
    assert {name: line.periods for name, line in lines.items()} == {"calm": "rough", "new": "too few", "wild": "rough"}
    for name, line in lines.items():
        own = np.array([case.pnl_dollars for case in cases if case.regime == name])
        assert line.cases == own.size
        assert line.mean_pnl.estimate == pytest.approx(own.mean())
        assert (line.mean_pnl.low is None) == (name == "new")
        # Nothing is sure of a group before the first look of its own.
        assert line.mean_gain.sure_low is None
    assert lines["calm"].mean_pnl.low < lines["calm"].mean_pnl.estimate < lines["calm"].mean_pnl.high


def test_few_weeks_of_a_group_make_a_wider_interval_than_many() -> None:
    every_fourth = [
        replace(case, regime="rare" if case.entry_date.toordinal() // 7 % 4 == 0 else "common")
        for case in advised_cases()
    ]
    lines = {line.name: line for line in evidence(every_fourth, SETTINGS).by_regime}
    wide, narrow = (lines[name].mean_pnl.high - lines[name].mean_pnl.low for name in ("rare", "common"))
    assert wide == pytest.approx(narrow * 3**0.5, rel=0.35)
