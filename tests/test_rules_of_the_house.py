"""The rules of the house, a table a group: each row is a rule in words, what the program makes of it, and the number.

The finer cases of each stage are in that stage's own tests; here is what a trader would check against the rule book.
"""

import datetime as dt
from collections.abc import Callable

import numpy as np
import pytest
from builders import AS_OF, EXPIRATION, make_account, make_candidate, make_chain
from conftest import at_scale
from hypothesis import given, settings
from hypothesis import strategies as st
from screen_builders import first_row, put_chain, snapshot_of

from mahler_agents.advisory import Advice, advise
from mahler_agents.analysts.fund_manager import Verdict
from mahler_agents.analysts.volatility import term_structure
from mahler_agents.errors import ConfigError, HaltedError, InputError, JobError, MahlerError, UnknownIdError
from mahler_agents.market.snapshot import Exposure
from mahler_agents.regime import Regime, RegimeParams
from mahler_agents.risk import RiskLimits, SizeMultiplier, Sizing, size
from mahler_agents.risk.beta import HOUSE_BETAS
from mahler_agents.screen import REGIME_WEIGHTS, LegFacts, ScoreWeights, ScreenParams, screen
from mahler_agents.types import ASSET_CLASSES, UNIVERSE, Environment, MarketRegime, Reason, Spread, SpreadType

PAPER, LIVE = Environment
BULL_LOW, BULL_HIGH, BEAR_LOW, BEAR_HIGH = MarketRegime


# --- Screen -----------------------------------------------------------------------------------------------------------

FILTERS = {
    "DTE 30-45": ("min_dte", 30, "max_dte", 45),
    "short |delta| 0.05-0.15": ("min_short_delta", 0.05, "max_short_delta", 0.15),
    "width 2-10 dollars": ("min_width", 2.0, "max_width", 10.0),
    "credit >= 10 % of width, bid-ask <= 12 % of mid": ("min_credit_to_width", 0.10, "max_bid_ask_to_mid", 0.12),
    "open interest >= 50, volume >= 1": ("min_open_interest", 50, "min_volume", 1),
}


@pytest.mark.parametrize("rule", FILTERS)
def test_the_screen_s_filters_have_the_house_s_numbers(rule: str) -> None:
    first, its, second, other = FILTERS[rule]
    assert (getattr(ScreenParams(), first), getattr(ScreenParams(), second)) == (its, other)


@pytest.mark.parametrize(("dte", "passes"), [(29, False), (30, True), (45, True), (46, False)])
def test_both_ends_of_30_to_45_days_to_expiration_are_in(dte: int, *, passes: bool) -> None:
    day = AS_OF.date() + dt.timedelta(days=dte)
    chain = make_chain(expirations=(day,))
    assert bool(screen(snapshot_of(chain), ScreenParams(min_credit_to_width=0.01))[0]) is passes


@pytest.mark.parametrize(
    ("delta", "passes"), [(-0.0499, False), (-0.05, True), (-0.10, True), (-0.15, True), (-0.1501, False)]
)
def test_both_ends_of_a_short_delta_of_0_05_to_0_15_are_in(delta: float, *, passes: bool) -> None:
    assert bool(screen(snapshot_of(first_row(put_chain(), delta=delta)))[0]) is passes


WEIGHTS = {  # iv, delta, credit, ev
    "0.25 each by default": (None, (0.25, 0.25, 0.25, 0.25)),
    "bull_low_vol .20/.20/.25/.35": (BULL_LOW, (0.20, 0.20, 0.25, 0.35)),
    "bull_high_vol .25/.35/.20/.20": (BULL_HIGH, (0.25, 0.35, 0.20, 0.20)),
    "bear_low_vol .20/.25/.35/.20": (BEAR_LOW, (0.20, 0.25, 0.35, 0.20)),
    "bear_high_vol .35/.30/.20/.15": (BEAR_HIGH, (0.35, 0.30, 0.20, 0.15)),
}


@pytest.mark.parametrize("rule", WEIGHTS)
def test_the_weights_of_the_score_are_the_house_s_in_each_regime(rule: str) -> None:
    regime, (iv, delta, credit, ev) = WEIGHTS[rule]
    found = ScreenParams().weights if regime is None else REGIME_WEIGHTS[regime]
    assert found == ScoreWeights(iv=iv, delta=delta, credit=credit, ev=ev)


# --- Spreads ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spread_type", "signs"),
    [(SpreadType.BULL_PUT, (1, 1, -1)), (SpreadType.BEAR_CALL, (-1, 1, -1))],
    ids=["bull put held: positive delta", "bear call held: negative delta"],
)
def test_a_credit_spread_held_has_the_signs_of_its_trade(spread_type: SpreadType, signs: tuple[int, ...]) -> None:
    greeks = make_candidate(spread_type=spread_type).greeks
    assert np.sign([greeks.delta, greeks.theta_per_day, greeks.vega_per_vol_point]).tolist() == list(signs)


greek = st.floats(-5, 5)
legs = st.builds(
    LegFacts,
    symbol=st.just("leg"),
    strike=st.just(540.0),
    bid=st.just(1.0),
    ask=st.just(1.1),
    open_interest=st.just(100.0),
    volume=st.just(10.0),
    implied_volatility=st.floats(0.01, 3),
    delta=greek,
    gamma=greek,
    theta_per_day=greek,
    vega_per_vol_point=greek,
)
CANDIDATE = make_candidate()


@settings(max_examples=at_scale(4000))
@given(legs, legs)
def test_the_greeks_of_a_spread_are_the_signed_sum_of_its_legs(short: LegFacts, long: LegFacts) -> None:
    greeks = CANDIDATE.model_copy(update={"short_leg": short, "long_leg": long}).greeks
    turned = CANDIDATE.model_copy(update={"short_leg": long, "long_leg": short}).greeks
    for name in ("delta", "gamma", "theta_per_day", "vega_per_vol_point"):
        summed = sum(sign * 100 * getattr(leg, name) for sign, leg in ((-1, short), (1, long)))
        assert getattr(greeks, name) == pytest.approx(summed, abs=1e-9)
        assert getattr(turned, name) == pytest.approx(-getattr(greeks, name), abs=1e-9)


def spread(spread_type: SpreadType = SpreadType.BULL_PUT) -> Spread:
    return Spread(
        underlying="SPY",
        spread_type=spread_type,
        expiration=EXPIRATION,
        short_strike=540,
        long_strike=535 if spread_type is SpreadType.BULL_PUT else 545,
        short_symbol="short",
        long_symbol="long",
    )


FIGURES: dict[str, tuple[Callable[[], float], float]] = {
    "max loss = (width - credit) x 100 dollars per contract": (lambda: spread().max_loss_dollars(0.80), 420),
    "breakeven of a bull put = short strike - credit": (lambda: spread().breakeven(0.80), 539.20),
    "breakeven of a bear call = short strike + credit": (lambda: spread(SpreadType.BEAR_CALL).breakeven(0.80), 540.80),
    "credit at mid = short mid - long mid": (
        lambda: CANDIDATE.credit,
        CANDIDATE.quote.short.mid - CANDIDATE.quote.long.mid,
    ),
}


@pytest.mark.parametrize("rule", FIGURES)
def test_the_figures_of_a_spread_are_the_house_s(rule: str) -> None:
    found, expected = FIGURES[rule]
    assert found() == pytest.approx(expected)


# --- Limits -----------------------------------------------------------------------------------------------------------

SHARED = {
    "max_risk_per_trade_pct": 0.02,
    "max_single_position_pct": 0.05,
    "max_portfolio_heat_pct": 0.20,
    "max_equity_class_pct": 0.50,
    "max_treasury_class_pct": 0.25,
    "max_commodity_class_pct": 0.25,
    "max_beta_weighted_delta_pct": None,
}
PROFILES = {
    "paper: 20 % per underlying, 5 equity positions": (RiskLimits(), 0.20, 5),
    "live: 10 % per underlying, 3 equity positions": (RiskLimits.live(), 0.10, 3),
}


@pytest.mark.parametrize("rule", PROFILES)
def test_the_profiles_are_the_house_s(rule: str) -> None:
    limits, per_underlying, equity_positions = PROFILES[rule]
    own = {"max_per_underlying_pct": per_underlying, "max_positions_per_equity_class": equity_positions}
    assert limits.model_dump() == SHARED | own


def sized(*exposures: Exposure, multiplier: SizeMultiplier | None = None) -> Sizing:
    """Size a spread with a max loss of 420 dollars on 100,000 dollars."""
    return size(
        spread=spread(),
        limit_credit=0.80,
        account=make_account(*exposures),
        exposures=exposures,
        limits=RiskLimits(),
        trades_left=3,
        multiplier=multiplier or SizeMultiplier(),
    )


def test_100_000_dollars_at_420_a_contract_size_to_4_by_the_2_percent_limit() -> None:
    sizing = sized()
    assert (sizing.contracts, sizing.binding) == (4, Reason.MAX_RISK_PER_TRADE)
    assert (sizing.max_loss_dollars, sizing.risk_dollars) == (pytest.approx(420), pytest.approx(1680))
    assert sizing.limit_credit == 0.80


def test_four_10_lots_with_16_800_dollars_at_risk_are_16_8_percent_heat() -> None:
    lots = [
        Exposure(
            underlying=name,
            spread_type=SpreadType.BULL_PUT,
            expiration=dt.date(2026, 4, 24),
            contracts=10,
            max_loss_dollars=420,
            pending=pending,
        )
        for name, pending in (("SPY", False), ("QQQ", False), ("TLT", True), ("GLD", True))
    ]
    account = make_account(*lots)
    assert account.heat_dollars / account.equity == pytest.approx(0.168)
    heat = next(one for one in sized(*lots).constraints if one.code is Reason.MAX_PORTFOLIO_HEAT)
    assert (heat.limit_dollars, heat.used_dollars) == (20_000, 16_800)
    assert heat.contracts == 7  # 3,200 dollars of room at 420 a contract


CLASSES = {
    "SPY, QQQ and IWM are one equity class": (("SPY", "QQQ", "IWM"), "equity"),
    "TLT is the treasury class": (("TLT",), "treasury"),
    "GLD is the commodity class": (("GLD",), "commodity"),
}


@pytest.mark.parametrize("rule", CLASSES)
def test_the_classes_are_the_house_s(rule: str) -> None:
    members, name = CLASSES[rule]
    assert tuple(one for one in UNIVERSE if ASSET_CLASSES[one] == name) == members


def test_betas_where_none_can_be_estimated_are_the_house_s() -> None:
    assert HOUSE_BETAS == {"SPY": 1.0, "QQQ": 1.15, "IWM": 1.20, "TLT": -0.30, "GLD": 0.05}


# --- Multipliers ------------------------------------------------------------------------------------------------------

MULTIPLIERS = {BULL_LOW: 1.0, BULL_HIGH: 0.5, BEAR_LOW: 0.5, BEAR_HIGH: 0.25}


@pytest.mark.parametrize("regime", MULTIPLIERS)
def test_each_regime_has_the_house_s_multiplier_which_paper_bypasses_and_live_takes(regime: MarketRegime) -> None:
    found = Regime(regime=regime, probabilities={regime: 1.0}, past_rows=250)
    multiplier = RegimeParams().multiplier(found, LIVE)
    assert multiplier == MULTIPLIERS[regime]
    assert SizeMultiplier(regime=multiplier).value == 1
    assert SizeMultiplier(regime=multiplier, bypassed=False).value == multiplier


LINES = {
    "paper bypasses the regime but logs it": (
        SizeMultiplier(regime=0.5),
        "Size multiplier: 1.00 (risk: 1.00, regime: 0.50 [bypassed - paper trading])",
    ),
    "live takes the less of risk and regime": (
        SizeMultiplier(regime=0.5, bypassed=False),
        "Size multiplier: 0.50 (risk: 1.00, regime: 0.50)",
    ),
    "which may be the breaker's": (
        SizeMultiplier(risk=0.25, regime=0.5, bypassed=False),
        "Size multiplier: 0.25 (risk: 0.25, regime: 0.50)",
    ),
}


@pytest.mark.parametrize("rule", LINES)
def test_the_multiplier_s_line_is_the_house_s_to_the_letter(rule: str) -> None:
    multiplier, line = LINES[rule]
    assert multiplier.text == line


# --- Advice -----------------------------------------------------------------------------------------------------------


def advised(confidence: float, environment: Environment, *, approved: bool = False, contracts: int = 0) -> Advice:
    verdict = Verdict(
        summary="",
        confidence=confidence,
        p_profit=0.5,
        approved=approved,
        contracts=contracts,
        brief_hash="",
        prompt_hash="",
        model="",
    )
    return advise(verdict, underlying="QQQ", environment=environment, llm_on=True, live_requires_verdict=True)


ADVICE = {
    "paper: low proceeds": (
        advised(0.30, PAPER),
        (True, "Low confidence (30%) for QQQ - proceeding (paper trading, agents advisory)"),
    ),
    "live: low without approval is skipped": (
        advised(0.30, LIVE),
        (False, "Low confidence (30%) for QQQ - skipped: Low confidence from AI analysis"),
    ),
    "live: approved for no contracts is no approval": (
        advised(0.30, LIVE, approved=True),
        (False, "Low confidence (30%) for QQQ - skipped: Low confidence from AI analysis"),
    ),
    "live: low with approval is an override": (
        advised(0.30, LIVE, approved=True, contracts=1),
        (True, "Low confidence (30%) for QQQ - proceeding (approved by the fund manager)"),
    ),
}


@pytest.mark.parametrize("rule", ADVICE)
def test_low_confidence_proceeds_in_paper_and_in_live_only_with_approval(rule: str) -> None:
    advice, expected = ADVICE[rule]
    assert (advice.proceed, advice.message) == expected


# --- Context and ends -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ratio", "name"), [(0.9499, "contango"), (0.95, "flat"), (1.0, "flat"), (1.05, "flat"), (1.0501, "backwardation")]
)
def test_iv30_to_iv90_below_0_95_is_contango_and_above_1_05_backwardation(ratio: float, name: str) -> None:
    assert term_structure(ratio) == name


@pytest.mark.parametrize(
    ("error", "code"), [(JobError, 1), (InputError, 2), (ConfigError, 2), (UnknownIdError, 2), (HaltedError, 3)]
)
def test_exit_codes_are_1_job_failed_2_bad_input_or_unknown_id_3_halted(error: type[MahlerError], code: int) -> None:
    assert error.exit_code == code


def test_the_universe_is_the_house_s() -> None:
    assert UNIVERSE == ("SPY", "QQQ", "IWM", "TLT", "GLD")
