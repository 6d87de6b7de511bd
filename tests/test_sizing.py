"""Sizing: every limit of the house with its numbers, which one binds, and what no sizing may ever do."""

import datetime as dt
import math

import pytest
from builders import make_account
from conftest import at_scale
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from mahler_agents.market.snapshot import Account, Exposure
from mahler_agents.risk import PortfolioDelta, RiskLimits, SizeMultiplier, Sizing, TradeDelta, size
from mahler_agents.types import ASSET_CLASSES, UNIVERSE, AssetClass, Reason, Spread, SpreadType

EXPIRATION = dt.date(2026, 4, 17)
OTHER_EXPIRATION = dt.date(2026, 4, 24)
ROOMY = RiskLimits(
    max_risk_per_trade_pct=1,
    max_single_position_pct=1,
    max_portfolio_heat_pct=1,
    max_per_underlying_pct=1,
    max_equity_class_pct=1,
    max_treasury_class_pct=1,
    max_commodity_class_pct=1,
    max_positions_per_equity_class=100,
)
TOLERANCE_DOLLARS = 1e-3
"""Sizes are floored with a guard against binary fractions."""


def a_spread(
    underlying: str = "SPY",
    *,
    spread_type: SpreadType = SpreadType.BULL_PUT,
    width: float = 5.0,
    expiration: dt.date = EXPIRATION,
) -> Spread:
    long = 540 - width if spread_type is SpreadType.BULL_PUT else 540 + width
    return Spread(
        underlying=underlying,
        spread_type=spread_type,
        expiration=expiration,
        short_strike=540,
        long_strike=long,
        short_symbol="short",
        long_symbol="long",
    )


def held(
    underlying: str = "SPY",
    *,
    risk: float = 420.0,
    contracts: int = 1,
    pending: bool = False,
    spread_type: SpreadType = SpreadType.BULL_PUT,
    expiration: dt.date = OTHER_EXPIRATION,
) -> Exposure:
    return Exposure(
        underlying=underlying,
        spread_type=spread_type,
        expiration=expiration,
        contracts=contracts,
        max_loss_dollars=risk,
        pending=pending,
    )


def sized(
    *exposures: Exposure,
    spread: Spread | None = None,
    limit_credit: float = 0.80,
    account: Account | None = None,
    limits: RiskLimits | None = None,
    trades_left: int = 3,
    multiplier: SizeMultiplier | None = None,
    delta: TradeDelta | None = None,
) -> Sizing:
    """Size, by default, a 5-wide SPY spread at 0.80: 420 dollars at risk per contract, on 100,000 dollars."""
    return size(
        spread=spread or a_spread(),
        limit_credit=limit_credit,
        account=account or make_account(*exposures),
        exposures=exposures,
        limits=limits or RiskLimits(),
        trades_left=trades_left,
        multiplier=multiplier or SizeMultiplier(),
        delta=delta,
    )


# --- The profiles -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0, -0.02, 1.01, 2, 20, math.nan, math.inf])
def test_a_limit_outside_0_to_1_is_refused(share: float) -> None:
    with pytest.raises(ValidationError, match="max_risk_per_trade_pct"):
        RiskLimits(max_risk_per_trade_pct=share)


def test_an_unknown_limit_is_refused() -> None:
    with pytest.raises(ValidationError, match="max_risk_per_trade"):
        RiskLimits(max_risk_per_trade=0.02)  # type: ignore[call-arg]


# --- Each limit -------------------------------------------------------------------------------------------------------


# what is open, what is sized -> contracts, the limit that binds
LIMITS = {
    "the risk of one trade": ({}, {}, 4, Reason.MAX_RISK_PER_TRADE),
    "exactly five": ({}, {"limit_credit": 1.00}, 5, Reason.MAX_RISK_PER_TRADE),  # 2,000 / 400
    "a contract of 2,001 dollars": (
        {},
        {"spread": a_spread(width=20.05), "limit_credit": 0.04},
        0,
        Reason.MAX_RISK_PER_TRADE,
    ),
    "the risk of one position": (
        {},
        {"limits": ROOMY.model_copy(update={"max_single_position_pct": 0.05})},
        11,  # 5,000 / 420
        Reason.MAX_SINGLE_POSITION,
    ),
    "heat with 700 dollars left": ({"TLT": 19_300}, {}, 1, Reason.MAX_PORTFOLIO_HEAT),
    "heat with 419 dollars left": ({"TLT": 19_581}, {}, 0, Reason.MAX_PORTFOLIO_HEAT),
    "heat with exactly 420 left": ({"TLT": 19_580}, {}, 1, Reason.MAX_PORTFOLIO_HEAT),
    "heat at its cap": ({"TLT": 20_000}, {}, 0, Reason.MAX_PORTFOLIO_HEAT),
    "heat over its cap": ({"TLT": 27_500}, {}, 0, Reason.MAX_PORTFOLIO_HEAT),
    "one underlying, live": ({"SPY": 9_000}, {"limits": RiskLimits.live()}, 2, Reason.MAX_PER_UNDERLYING),
    "one underlying, paper": (
        {"SPY": 19_000},
        {"limits": RiskLimits(max_portfolio_heat_pct=0.9)},
        2,
        Reason.MAX_PER_UNDERLYING,
    ),
    "the equity class": (
        {"SPY": 19_000, "QQQ": 19_000, "IWM": 11_500},
        {"limits": RiskLimits(max_portfolio_heat_pct=0.9), "spread": a_spread("IWM")},
        1,
        Reason.MAX_EQUITY_CLASS,
    ),
    "bonds leave the equity class alone": (
        {"TLT": 19_000, "GLD": 19_000},
        {"limits": RiskLimits(max_portfolio_heat_pct=0.9)},
        4,
        Reason.MAX_RISK_PER_TRADE,
    ),
    "the treasury class": (
        {"TLT": 24_000},
        {"limits": RiskLimits(max_portfolio_heat_pct=0.9, max_per_underlying_pct=0.9), "spread": a_spread("TLT")},
        2,
        Reason.MAX_TREASURY_CLASS,
    ),
    "the commodity class": (
        {"GLD": 24_000},
        {"limits": RiskLimits(max_portfolio_heat_pct=0.9, max_per_underlying_pct=0.9), "spread": a_spread("GLD")},
        2,
        Reason.MAX_COMMODITY_CLASS,
    ),
    "an equity outside the universe counts as an equity": (
        {"AAPL": 49_500},
        {"limits": RiskLimits(max_portfolio_heat_pct=0.9)},
        1,
        Reason.MAX_EQUITY_CLASS,
    ),
    "no trades left": ({}, {"trades_left": 0}, 0, Reason.MAX_TRADES_PER_SCAN),
    "more trades made than allowed": ({}, {"trades_left": -1}, 0, Reason.MAX_TRADES_PER_SCAN),
    "no equity": ({}, {"account": make_account(equity=0.0)}, 0, Reason.NO_EQUITY),
    "negative equity": ({}, {"account": make_account(equity=-1.0)}, 0, Reason.NO_EQUITY),
    "buying power for two": (
        {},
        {"account": Account(account_id="a", equity=100_000, cash=0, buying_power=1_000)},
        2,
        Reason.BUYING_POWER,
    ),
    "negative buying power": (
        {},
        {"account": Account(account_id="a", equity=100_000, cash=0, buying_power=-5)},
        0,
        Reason.BUYING_POWER,
    ),
}


@pytest.mark.parametrize("case", LIMITS.values(), ids=LIMITS.keys())
def test_the_tightest_limit_binds(case) -> None:
    at_risk, arguments, contracts, binding = case
    sizing = sized(*(held(name, risk=dollars) for name, dollars in at_risk.items()), **arguments)
    assert (sizing.contracts, sizing.binding) == (contracts, binding)


@pytest.mark.parametrize(("limits", "most"), [(RiskLimits(), 5), (RiskLimits.live(), 3)], ids=["paper", "live"])
def test_equity_positions_are_counted_across_spy_qqq_and_iwm(limits: RiskLimits, most: int) -> None:
    equities = [held(name, risk=10) for name in ("SPY", "QQQ", "IWM", "SPY", "QQQ")]
    bonds = [held(name, risk=10) for name in ("TLT", "GLD", "TLT", "GLD", "TLT", "GLD")]
    assert sized(*equities[: most - 1], *bonds, limits=limits).contracts == 4
    full = sized(*equities[:most], *bonds, limits=limits)
    assert (full.contracts, full.binding) == (0, Reason.MAX_POSITIONS_PER_EQUITY_CLASS)
    assert sized(*equities[:most], limits=limits, spread=a_spread("TLT")).contracts == 4


def test_a_duplicate_has_the_same_underlying_type_and_expiration_whatever_its_strikes() -> None:
    same = held(risk=10, expiration=EXPIRATION)
    assert sized(same).binding is Reason.DUPLICATE_POSITION
    assert sized(same).contracts == 0
    assert sized(same.model_copy(update={"pending": True})).contracts == 0
    assert sized(same, spread=a_spread(expiration=OTHER_EXPIRATION)).contracts == 4
    assert sized(same, spread=a_spread(spread_type=SpreadType.BEAR_CALL)).contracts == 4
    assert sized(same, spread=a_spread("QQQ")).contracts == 4


def test_pending_orders_count_like_positions() -> None:
    open_risk, pending_risk = held("TLT", risk=19_300), held("TLT", risk=19_300, pending=True)
    assert sized(open_risk) == sized(pending_risk)
    assert sized(pending_risk).binding is Reason.MAX_PORTFOLIO_HEAT


def test_what_was_reserved_after_the_snapshot_is_taken_off_its_buying_power() -> None:
    before, since = held("TLT", risk=5_000), held("GLD", risk=600, pending=True)
    account = Account(account_id="a", equity=100_000, cash=0, buying_power=1_500, exposures=(before,))
    sizing = sized(before, since, account=account)
    assert (sizing.contracts, sizing.binding) == (2, Reason.BUYING_POWER)  # 1,500 less 600 at 420 a contract


def test_a_position_closed_since_the_snapshot_adds_no_buying_power() -> None:
    account = Account(account_id="a", equity=100_000, cash=0, buying_power=900, exposures=(held("TLT", risk=5_000),))
    assert sized(account=account).contracts == 2


# --- What the sizing says ---------------------------------------------------------------------------------------------


def test_every_limit_is_listed_with_its_room() -> None:
    sizing = sized(held("SPY", risk=1_000))
    listed = {one.code: (one.contracts, one.limit_dollars, one.used_dollars) for one in sizing.constraints}
    assert listed == {
        Reason.CIRCUIT_BREAKER: (None, None, None),
        Reason.NO_EQUITY: (None, None, None),
        Reason.DUPLICATE_POSITION: (None, None, None),
        Reason.MAX_TRADES_PER_SCAN: (None, None, None),
        Reason.MAX_POSITIONS_PER_EQUITY_CLASS: (None, None, None),
        Reason.MAX_RISK_PER_TRADE: (4, 2_000, 0),
        Reason.MAX_SINGLE_POSITION: (11, 5_000, 0),
        Reason.MAX_PORTFOLIO_HEAT: (45, 20_000, 1_000),
        Reason.MAX_PER_UNDERLYING: (45, 20_000, 1_000),
        Reason.MAX_EQUITY_CLASS: (116, 50_000, 1_000),
        Reason.BUYING_POWER: (238, 100_000, 0),
    }


def test_of_equal_limits_the_first_listed_binds() -> None:
    tied = RiskLimits(max_risk_per_trade_pct=0.05, max_single_position_pct=0.05, max_portfolio_heat_pct=0.05)
    assert sized(limits=tied).binding is Reason.MAX_RISK_PER_TRADE
    duplicate_without_trades_left = sized(held(expiration=EXPIRATION), trades_left=0)
    assert duplicate_without_trades_left.binding is Reason.DUPLICATE_POSITION
    assert sized(held(expiration=EXPIRATION), account=make_account(equity=0.0)).binding is Reason.NO_EQUITY


@pytest.mark.parametrize("credit", [0.0, -0.10, 5.0, 5.01, math.nan, math.inf])
def test_a_credit_that_is_not_between_0_and_the_width_is_refused(credit: float) -> None:
    with pytest.raises(ValueError, match="is not between 0 and its width"):
        sized(limit_credit=credit)


# --- Properties -------------------------------------------------------------------------------------------------------

shares = st.floats(0.001, 1)
any_limits = st.builds(
    RiskLimits,
    max_risk_per_trade_pct=shares,
    max_single_position_pct=shares,
    max_portfolio_heat_pct=shares,
    max_per_underlying_pct=shares,
    max_equity_class_pct=shares,
    max_treasury_class_pct=shares,
    max_commodity_class_pct=shares,
    max_positions_per_equity_class=st.integers(0, 6),
    max_beta_weighted_delta_pct=st.none() | shares,
)
any_multipliers = st.builds(
    SizeMultiplier,
    risk=st.sampled_from([0.0, 0.25, 0.5, 1.0]) | st.floats(0, 1),
    regime=st.sampled_from([0.25, 0.5, 1.0]),
    bypassed=st.booleans(),
)
dollars_per_pct = st.floats(-5_000, 5_000)
any_deltas = st.builds(
    lambda now, each, unknown: TradeDelta(
        portfolio=PortfolioDelta(dollars_per_pct=now, share_of_equity=None, unknown=unknown), per_contract=each
    ),
    dollars_per_pct,
    st.none() | dollars_per_pct,
    st.sampled_from([(), (), ("a leg has no delta",)]),
)
any_exposures = st.lists(
    st.builds(
        held,
        st.sampled_from([*UNIVERSE, "AAPL"]),
        risk=st.floats(1, 2_000),
        contracts=st.integers(1, 20),
        pending=st.booleans(),
        spread_type=st.sampled_from(SpreadType),
        expiration=st.sampled_from([EXPIRATION, OTHER_EXPIRATION]),
    ),
    max_size=8,
)
spreads = st.builds(
    a_spread,
    st.sampled_from(UNIVERSE),
    spread_type=st.sampled_from(SpreadType),
    width=st.sampled_from([2.0, 2.5, 5.0, 10.0]),
)
proposals = st.builds(
    lambda spread, share: {"spread": spread, "limit_credit": spread.width * share}, spreads, st.floats(0.01, 0.99)
)


def risk_of(
    exposures: list[Exposure], *, underlying: str | None = None, asset_class: AssetClass | None = None
) -> float:
    return sum(
        one.max_loss_dollars * one.contracts
        for one in exposures
        if (underlying is None or one.underlying == underlying)
        and (asset_class is None or ASSET_CLASSES.get(one.underlying, AssetClass.EQUITY) is asset_class)
    )


@settings(max_examples=at_scale(10_000))
@given(
    proposal=proposals,
    equity=st.floats(-1_000, 1e6),
    exposures=any_exposures,
    limits=any_limits,
    trades_left=st.integers(0, 3),
    multiplier=any_multipliers,
    delta=any_deltas,
)
def test_no_sizing_takes_a_limit_over_its_cap(
    *, proposal, equity, exposures, limits, trades_left, multiplier, delta
) -> None:
    sizing = sized(
        *exposures,
        **proposal,
        account=make_account(equity=equity),
        limits=limits,
        trades_left=trades_left,
        multiplier=multiplier,
        delta=delta,
    )
    if sizing.contracts == 0:
        return
    assert equity > 0
    assert trades_left > 0
    assert multiplier.value > 0
    if limits.max_beta_weighted_delta_pct is not None:
        cap, now = limits.max_beta_weighted_delta_pct * equity, abs(delta.portfolio.dollars_per_pct)
        assert not delta.portfolio.unknown
        after = abs(delta.portfolio.dollars_per_pct + sizing.contracts * delta.per_contract)
        assert after <= max(cap, now) + TOLERANCE_DOLLARS
    spread = proposal["spread"]
    added = (spread.width - proposal["limit_credit"]) * 100 * sizing.contracts
    own_class = ASSET_CLASSES[spread.underlying]
    _, class_share = limits.class_limit(own_class)
    for share, used in (
        (limits.max_risk_per_trade_pct, 0.0),
        (limits.max_single_position_pct, 0.0),
        (limits.max_portfolio_heat_pct, risk_of(exposures)),
        (limits.max_per_underlying_pct, risk_of(exposures, underlying=spread.underlying)),
        (class_share, risk_of(exposures, asset_class=own_class)),
        (1.0, risk_of(exposures)),  # buying power: the whole equity, none of it used at the snapshot
    ):
        assert used + added <= share * equity + TOLERANCE_DOLLARS
    if own_class is AssetClass.EQUITY:
        equities = [one for one in exposures if ASSET_CLASSES.get(one.underlying, own_class) is own_class]
        assert len(equities) < limits.max_positions_per_equity_class


@settings(max_examples=at_scale(4_000))
@given(
    proposal=proposals,
    equity=st.floats(1, 1e6),
    exposures=any_exposures,
    limits=any_limits,
    multiplier=any_multipliers,
    pending=st.booleans(),
)
def test_a_limit_at_or_over_its_cap_gets_nothing_added(
    *, proposal, equity, exposures, limits, multiplier, pending
) -> None:
    cap = limits.max_portfolio_heat_pct * equity
    full = [*exposures, held("TLT", risk=max(1.0, cap - risk_of(exposures)), pending=pending)]
    sizing = sized(
        *full,
        **proposal,
        account=make_account(equity=equity),
        limits=limits,
        multiplier=multiplier,
    )
    assert sizing.contracts == 0


@settings(max_examples=at_scale(10_000))
@given(
    proposal=proposals,
    equity=st.floats(0, 1e6),
    more=st.floats(0, 1e6),
    exposures=any_exposures,
    limits=any_limits,
    multiplier=any_multipliers,
    delta=any_deltas,
)
def test_more_equity_never_means_fewer_contracts(
    *, proposal, equity, more, exposures, limits, multiplier, delta
) -> None:
    few, many = (
        sized(
            *exposures,
            **proposal,
            account=make_account(equity=dollars),
            limits=limits,
            multiplier=multiplier,
            delta=delta,
        ).contracts
        for dollars in (equity, equity + more)
    )
    assert few <= many


@given(proposals, any_exposures, any_limits)
def test_one_more_contract_would_break_the_binding_limit(proposal, exposures, limits) -> None:
    sizing = sized(*exposures, **proposal, limits=limits)
    binding = next(one for one in sizing.constraints if one.code is sizing.binding)
    assert binding.contracts == sizing.contracts
    if binding.limit_dollars is not None and binding.used_dollars is not None:
        risk = sizing.max_loss_dollars * (sizing.contracts + 1)
        assert binding.used_dollars + risk > binding.limit_dollars - TOLERANCE_DOLLARS


@given(dollars=st.integers(100, 1_000_000), credit_cents=st.integers(1, 499))
def test_binary_fractions_never_cost_a_contract(dollars: int, credit_cents: int) -> None:
    sizing = sized(limit_credit=credit_cents / 100, account=make_account(equity=float(dollars)))
    assert sizing.contracts == (2 * dollars) // (100 * (500 - credit_cents))  # 2 % of equity and max loss, in cents


@given(credit_cents=st.integers(1, 499), contracts=st.integers(1, 50))
def test_a_limit_of_exactly_so_many_contracts_allows_them(credit_cents: int, contracts: int) -> None:
    equity = 50 * contracts * (500 - credit_cents)  # of which 2 % is so many times the max loss
    sizing = sized(limit_credit=credit_cents / 100, account=make_account(equity=float(equity)))
    assert sizing.contracts == contracts


@given(proposals, any_exposures, any_limits)
def test_the_order_of_exposures_changes_nothing(proposal, exposures, limits) -> None:
    account = make_account(equity=131_072.0)

    def contracts(listed: list[Exposure]) -> tuple[int, Reason]:
        whole = [one.model_copy(update={"max_loss_dollars": float(round(one.max_loss_dollars))}) for one in listed]
        sizing = sized(*whole, **proposal, account=account, limits=limits)
        return sizing.contracts, sizing.binding

    assert contracts(exposures) == contracts(exposures[::-1])


# --- The multiplier ---------------------------------------------------------------------------------------------------

MULTIPLIED = {
    "half of 4": (SizeMultiplier(risk=0.5), 2, Reason.CIRCUIT_BREAKER),
    "a quarter of 4": (SizeMultiplier(risk=0.25), 1, Reason.CIRCUIT_BREAKER),
    "a fifth of 4 is none": (SizeMultiplier(risk=0.2), 0, Reason.CIRCUIT_BREAKER),
    "a halt": (SizeMultiplier(risk=0, risk_reason=Reason.HALTED), 0, Reason.HALTED),
    "live without a VIX": (SizeMultiplier(risk=0, risk_reason=Reason.NO_VIX, bypassed=False), 0, Reason.NO_VIX),
    "the regime in paper": (SizeMultiplier(regime=0.25), 4, Reason.MAX_RISK_PER_TRADE),
    "the regime in live": (SizeMultiplier(regime=0.25, bypassed=False), 1, Reason.REGIME),
    "the regime to none": (SizeMultiplier(regime=0.1, bypassed=False), 0, Reason.REGIME),
    "the less of the two, once": (SizeMultiplier(risk=0.5, regime=0.25, bypassed=False), 1, Reason.REGIME),
    "the breaker below the regime": (SizeMultiplier(risk=0.25, regime=0.5, bypassed=False), 1, Reason.CIRCUIT_BREAKER),
}


@pytest.mark.parametrize("case", MULTIPLIED)
def test_a_multiplier_takes_its_share_of_the_size_and_is_named(case: str) -> None:
    multiplier, contracts, binding = MULTIPLIED[case]
    sizing = sized(multiplier=multiplier)
    assert (sizing.contracts, sizing.binding) == (contracts, binding)


def test_a_halt_is_the_reason_even_where_another_limit_forbids_the_trade_too() -> None:
    halted = sized(trades_left=0, multiplier=SizeMultiplier(risk=0, risk_reason=Reason.HALTED))
    assert halted.binding is Reason.HALTED


def test_a_limit_that_leaves_nothing_is_the_reason_and_not_the_multiplier() -> None:
    assert sized(trades_left=0, multiplier=SizeMultiplier(risk=0.5)).binding is Reason.MAX_TRADES_PER_SCAN
