"""The figures of the evidence, one by one: each against a slow or simple way to the same number."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import brier_score_loss, roc_auc_score

from mahler_agents.evidence.baselines import past_win_rate, recalibrated_delta
from mahler_agents.evidence.cases import Case, Columns, Floats, Opinion, in_order
from mahler_agents.evidence.report import Evidence, evidence
from mahler_agents.evidence.settings import Settings
from mahler_agents.evidence.simulated import Terms, simulated_p_profit
from mahler_agents.evidence.vetoes import replacements_of
from mahler_agents.pricing import DAYS_PER_YEAR
from mahler_agents.testing import synthetic_truth as synthetic

SETTINGS = Settings(draws=200)
PATHS = 40_000


@pytest.fixture(scope="module")
def cases() -> tuple[Case, ...]:
    """Return cases of two models, two regimes and three sizes, on half of which one analyst said something."""
    random = np.random.default_rng(1)
    found: list[Case] = []
    for number, case in enumerate(in_order(synthetic.cases("weak", weeks=80, seed=3))):
        assert case.advice is not None
        advice = replace(
            case.advice,
            model="abc"[number % 3],
            prompt_hash="ab"[number % 2] * 64,
            contracts=int(random.integers(0, 4)),
        )
        said = Opinion(confidence=0.5, p_profit=round(float(random.uniform(0.5, 0.95)), 3), model="abc"[number % 3])
        found.append(
            replace(
                case,
                advice=advice,
                regime=(None, "bull_low_vol")[number % 2],
                contracts=int(random.integers(0, 3)),
                max_loss_dollars=float(random.integers(100, 500)),
                short_delta=float(random.uniform(0.05, 0.2)),
                opinions={"greeks": said} if number % 2 else {},
            )
        )
    return tuple(found)


@pytest.fixture(scope="module")
def columns(cases: tuple[Case, ...]) -> Columns:
    return Columns.of(cases)


@pytest.fixture(scope="module")
def found(cases: tuple[Case, ...]) -> Evidence:
    return evidence(cases, SETTINGS)


@pytest.mark.parametrize("baseline", [past_win_rate, recalibrated_delta])
def test_a_baseline_knows_nothing_that_was_not_over_before_the_entry(
    baseline: Callable[[Columns], Floats], columns: Columns
) -> None:
    for cut in (40, 200, 500):
        day = columns.day[cut]
        turned = replace(columns, pnl=np.where(columns.exit_day >= day, -columns.pnl, columns.pnl))
        by_then = columns.day <= day
        assert np.array_equal(baseline(columns)[by_then], baseline(turned)[by_then])
        assert not np.array_equal(baseline(columns), baseline(turned))


def test_the_past_win_rate_is_that_of_the_trades_that_were_over(columns: Columns) -> None:
    for place, said in enumerate(past_win_rate(columns)):
        over = columns.exit_day < columns.day[place]
        assert said == pytest.approx((columns.won[over].sum() + 1) / (over.sum() + 2))


def test_the_recalibrated_delta_finds_the_line_that_made_the_outcomes() -> None:
    random = np.random.default_rng(5)
    many = synthetic.columns("none", weeks=600, seed=5)
    delta = random.uniform(0.05, 0.2, len(many))
    odds = -0.8 + 0.9 * np.log((1 - delta) / delta)
    won = random.random(len(many)) < 1 / (1 + np.exp(-odds))
    said = recalibrated_delta(replace(many, short_delta=delta, pnl=np.where(won, 30.0, -70.0)))
    assert said[-500:] == pytest.approx(1 / (1 + np.exp(-odds[-500:])), abs=0.03)


@pytest.mark.parametrize(
    "terms",
    [
        {"is_put": True, "short_strike": 95.0, "long_strike": 90.0},
        {"is_put": False, "short_strike": 106.0, "long_strike": 110.0, "stop_loss": 2.0},
        {"is_put": True, "short_strike": 94.0, "long_strike": 92.0, "profit_target": 0.5, "dte": 45},
    ],
)
def test_a_simulated_p_profit_is_that_of_random_paths(terms: dict[str, float]) -> None:
    shared = {
        "spot": 100.0,
        "short_volatility": 0.2,
        "long_volatility": 0.22,
        "dte": 35,
        "profit_target": 0.65,
        "stop_loss": 1.25,
        "time_exit_dte": 21,
        "fees": 0.04,
    }
    legs = Terms(**{**shared, **terms, "credit": 0.0})  # pyright: ignore[reportArgumentType] - each of its own type
    chosen = replace(legs, credit=float(cost(legs, np.array([100.0]), 0)[0]))
    [said] = simulated_p_profit([chosen])
    assert said == pytest.approx(by_random_paths(chosen), abs=0.015)
    assert simulated_p_profit([None, replace(chosen, dte=21)]) == [None, None]


def cost(terms: Terms, spot: Floats, day: int) -> Floats:
    """Return what it costs to close a spread, after Black and Scholes without interest."""
    years = (terms.dte - day) / DAYS_PER_YEAR
    prices = []
    for strike, volatility in (
        (terms.short_strike, terms.short_volatility),
        (terms.long_strike, terms.long_volatility),
    ):
        d1 = (np.log(spot / strike) + volatility**2 * years / 2) / (volatility * np.sqrt(years))
        call = spot * norm.cdf(d1) - strike * norm.cdf(d1 - volatility * np.sqrt(years))
        prices.append(call - spot + strike if terms.is_put else call)
    return prices[0] - prices[1]


def by_random_paths(terms: Terms) -> float:
    random = np.random.default_rng(0)
    spot, held, won = np.full(PATHS, terms.spot), np.ones(PATHS, dtype=bool), np.zeros(PATHS, dtype=bool)
    last = terms.dte - terms.time_exit_dte
    for day in range(1, last + 1):
        step = terms.short_volatility / np.sqrt(DAYS_PER_YEAR)
        spot = spot * np.exp(step * random.standard_normal(PATHS) - step**2 / 2)
        price = cost(terms, spot, day)
        over = (
            (price <= (1 - terms.profit_target) * terms.credit)
            | (price >= (1 + terms.stop_loss) * terms.credit)
            | (day == last)
        )
        won |= held & over & (price < terms.credit - terms.fees)
        held &= ~over
    return float(won.mean())


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.7])
def test_a_vetoed_trade_is_replaced_by_the_next_ranked_that_is_not(columns: Columns, threshold: float) -> None:
    vetoed = columns.confidence < threshold
    wanted = np.zeros(len(columns), dtype=bool)
    for scan in np.unique(columns.scan):
        places = np.flatnonzero(columns.scan == scan)
        lost = [place for place in places if columns.traded[place] and vetoed[place]]
        free = [
            place
            for place in sorted(places, key=lambda one: columns.rank[one])
            if lost and not columns.traded[place] and not vetoed[place] and columns.rank[place] > columns.rank[lost[0]]
        ]
        wanted[free[: len(lost)]] = True
    number, taken = replacements_of(columns, vetoed=vetoed)
    assert np.array_equal(taken, wanted)
    assert number == wanted.sum() > 0


def test_a_veto_s_figures_are_those_of_the_trades_it_keeps(found: Evidence, columns: Columns) -> None:
    for line in found.vetoes:
        kept = columns.confidence >= line.threshold
        pnl, won = columns.pnl, columns.won
        assert (line.vetoed, line.kept.trades) == ((~kept).sum(), kept.sum())
        assert line.vetoed_pnl_dollars == pytest.approx(pnl[~kept].sum())
        assert line.mean_gain is not None
        assert line.mean_gain.estimate == pytest.approx(pnl[kept].mean() - pnl.mean())
        assert line.win_rate_gain is not None
        assert line.win_rate_gain.estimate == pytest.approx(won[kept].mean() - won.mean())
        assert line.profit_factor_ratio is not None
        factors = [one[one > 0].sum() / -one[one < 0].sum() for one in (pnl[kept], pnl)]
        assert np.exp(line.profit_factor_ratio.estimate) == pytest.approx(factors[0] / factors[1])
        desk = columns.traded
        then = (desk & kept) | replacements_of(columns, vetoed=~kept)[1]
        assert line.with_replacements.pnl_dollars == pytest.approx(pnl[then].sum())
        assert line.replacement_gain is not None
        assert line.replacement_gain.estimate == pytest.approx((pnl[then].sum() - pnl[desk].sum()) / desk.sum())


def test_a_group_s_figures_are_those_of_its_own_cases(found: Evidence, cases: tuple[Case, ...]) -> None:
    lines = {line.name: line for line in (*found.by_model, *found.by_prompt, *found.by_regime)}
    assert set(lines) == {"a", "b", "c", *(f"fund_manager@{12 * one}" for one in "ab"), "unknown", "bull_low_vol"}
    for name, line in lines.items():
        own = Columns.of(
            case
            for case in cases
            if case.advice is not None
            and name in {case.advice.model, f"fund_manager@{case.advice.prompt_hash[:12]}", case.regime or "unknown"}
        )
        kept = own.confidence >= 0.4
        assert line.cases == len(own)
        assert line.brier is not None
        assert line.brier.estimate == pytest.approx(brier_score_loss(own.won, own.p_profit))
        assert line.win_rate is not None
        assert line.win_rate.estimate == pytest.approx(own.won.mean())
        assert line.discrimination is not None
        assert line.discrimination.estimate == pytest.approx(roc_auc_score(own.won, own.confidence))
        assert line.mean_gain is not None
        assert line.mean_gain.estimate == pytest.approx(own.pnl[kept].mean() - own.pnl.mean())


def test_an_analyst_s_figures_are_of_the_cases_of_which_it_spoke(
    found: Evidence, cases: tuple[Case, ...], columns: Columns
) -> None:
    greeks, manager = found.by_analyst
    assert (greeks.name, manager.name, manager.manager_gain) == ("greeks", "fund_manager", None)
    spoke = np.array([bool(case.opinions) for case in cases])
    said = np.array([case.opinions["greeks"].p_profit for case in cases if case.opinions])
    won = columns.won[spoke]
    assert (greeks.cases, manager.cases) == (spoke.sum(), len(columns))
    assert greeks.brier is not None
    assert greeks.brier.estimate == pytest.approx(brier_score_loss(won, said))
    assert greeks.discrimination is not None
    assert greeks.discrimination.estimate == pytest.approx(roc_auc_score(won, said))
    assert greeks.manager_gain is not None
    theirs = brier_score_loss(won, columns.p_profit[spoke])
    assert greeks.manager_gain.estimate == pytest.approx(brier_score_loss(won, said) - theirs)
    known = np.array([(columns.exit_day < day).sum() >= 20 for day in columns.day])[spoke]
    rate = past_win_rate(columns)[spoke]
    assert greeks.gain is not None
    assert greeks.gain.estimate == pytest.approx(
        brier_score_loss(won[known], rate[known]) - brier_score_loss(won[known], said[known])
    )


def test_advised_sizes_are_held_against_the_rules_at_what_each_risked(found: Evidence, cases: tuple[Case, ...]) -> None:
    sized = [case for case in cases if case.contracts and case.advice is not None]
    returns = []
    for size in (lambda case: case.contracts, lambda case: case.advice.contracts):
        earned = sum(size(case) * case.pnl_dollars for case in sized)
        returns.append(earned / sum(size(case) * case.max_loss_dollars for case in sized))
    sizes = found.sizes
    assert (sizes.cases, sizes.rule_contracts) == (len(sized), sum(case.contracts or 0 for case in sized))
    assert (sizes.rule_return, sizes.advised_return) == (pytest.approx(returns[0]), pytest.approx(returns[1]))
    assert sizes.gain is not None
    assert sizes.gain.estimate == pytest.approx(returns[1] - returns[0])


def test_a_baseline_is_scored_on_the_cases_that_all_of_them_know(found: Evidence, columns: Columns) -> None:
    known = np.array([(columns.exit_day < day).sum() >= 20 for day in columns.day])
    assert found.calibration.scored_against_rivals == known.sum() < len(columns)
    forecasts = {"past win rate": past_win_rate(columns), "recalibrated delta": recalibrated_delta(columns)}
    ours = brier_score_loss(columns.won[known], columns.p_profit[known])
    for rival in found.calibration.rivals:
        if rival.name in forecasts:
            theirs = brier_score_loss(columns.won[known], forecasts[rival.name][known])
            assert rival.brier == pytest.approx(theirs)
            assert rival.brier_gain is not None
            assert rival.brier_gain.estimate == pytest.approx(theirs - ours)
