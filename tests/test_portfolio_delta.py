"""The portfolio's beta-weighted delta: betas against SciPy, its sign and sum, what is not known, and its limit."""

import dataclasses
import datetime as dt
import itertools

import numpy as np
import pytest
from builders import SPOT, make_account, make_bars, make_candidate, make_snapshot
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import linregress

from mahler_agents.market.snapshot import Bars, Chain, Exposure, Snapshot
from mahler_agents.risk import DeltaFacts, RiskLimits, SizeMultiplier, Sizing, TradeDelta, delta_facts, size
from mahler_agents.risk.beta import HOUSE_BETAS, MIN_RETURNS, RETURNS, Beta, betas, estimated_beta
from mahler_agents.risk.portfolio import PortfolioDelta, portfolio_delta, trade_delta
from mahler_agents.screen import Candidate, ScreenParams, leg_deltas
from mahler_agents.types import Reason, Spread, SpreadType

# --- Betas ------------------------------------------------------------------------------------------------------------


def returns(bars: Bars) -> np.ndarray:
    return bars.close[1:] / bars.close[:-1] - 1


@pytest.mark.parametrize("seed", range(5))
def test_a_beta_is_the_slope_that_scipy_fits_on_the_last_252_returns(seed: int) -> None:
    index, own = make_bars(400, seed=seed), make_bars(400, seed=seed + 100)
    found = estimated_beta(own, index)
    assert found is not None
    slope = linregress(returns(index)[-RETURNS:], returns(own)[-RETURNS:]).slope
    assert (found.value, found.days) == (pytest.approx(slope, rel=1e-9), 252)


@given(beta=st.floats(-3, 3), seed=st.integers(0, 1000))
def test_a_multiple_of_the_index_has_that_multiple_as_its_beta(beta: float, seed: int) -> None:
    index = make_bars(100, seed=seed)
    close = np.concatenate([[50.0], 50 * np.cumprod(1 + 0.0002 + beta * returns(index))])
    found = estimated_beta(dataclasses.replace(index, close=close), index)
    assert found is not None
    assert found.value == pytest.approx(beta, abs=1e-9)


def test_only_days_on_which_both_closed_count_and_a_missing_close_is_none() -> None:
    index, own = make_bars(200, seed=1), make_bars(200, seed=2)
    close = own.close.copy()
    close[[50, 51]] = np.nan, 0.0
    kept = np.delete(np.arange(200), [50, 51])
    slope = linregress(
        index.close[kept][1:] / index.close[kept][:-1] - 1, own.close[kept][1:] / own.close[kept][:-1] - 1
    ).slope
    gappy = estimated_beta(dataclasses.replace(own, close=close), index)
    assert gappy is not None
    assert (gappy.value, gappy.days) == (pytest.approx(slope, rel=1e-9), 197)


@pytest.mark.parametrize(("days", "estimated"), [(MIN_RETURNS + 1, True), (MIN_RETURNS, False), (0, False)])
def test_60_returns_are_the_fewest(days: int, *, estimated: bool) -> None:
    assert (estimated_beta(make_bars(days, seed=2), make_bars(300)) is not None) is estimated


def test_an_index_that_never_moved_gives_no_beta() -> None:
    index = make_bars(300)
    still = dataclasses.replace(index, close=np.full(300, 100.0))
    assert estimated_beta(make_bars(300, seed=3), still) is None


def test_where_none_can_be_estimated_the_house_s_table_is_used_and_a_stranger_has_none() -> None:
    assert betas([*HOUSE_BETAS, "XLF"], {}) == {name: Beta(value=value, days=None) for name, value in TABLE.items()}


TABLE = {"SPY": 1.0, "QQQ": 1.15, "IWM": 1.20, "TLT": -0.30, "GLD": 0.05}


def test_spy_has_a_beta_of_1_by_definition_and_others_say_how_many_days_they_rest_on() -> None:
    snapshot = make_snapshot(("SPY", "QQQ"))
    found = betas(["SPY", "QQQ"], snapshot.underlyings)
    assert found["SPY"] == Beta(value=1.0, days=None)
    assert found["QQQ"].days == RETURNS


# --- The delta of what is held ----------------------------------------------------------------------------------------


def held(candidate: Candidate, contracts: int = 1, *, pending: bool = False) -> Exposure:
    spread = candidate.spread
    return Exposure(
        underlying=spread.underlying,
        spread_type=spread.spread_type,
        expiration=spread.expiration,
        contracts=contracts,
        max_loss_dollars=400.0,
        pending=pending,
        short_symbol=spread.short_symbol,
        long_symbol=spread.long_symbol,
    )


def delta_of(snapshot: Snapshot, *exposures: Exposure, equity: float = 100_000.0) -> PortfolioDelta:
    return portfolio_delta(exposures, delta_facts(snapshot, exposures, [], ScreenParams()), equity)


@pytest.mark.parametrize(
    ("spread_type", "sign"), [(SpreadType.BULL_PUT, 1), (SpreadType.BEAR_CALL, -1)], ids=["bull put", "bear call"]
)
def test_a_bull_put_held_gains_when_spy_rises_and_a_bear_call_loses(spread_type: SpreadType, sign: int) -> None:
    snapshot = make_snapshot()
    candidate = make_candidate(snapshot, spread_type=spread_type)
    dollars = delta_of(snapshot, held(candidate, 3)).dollars_per_pct
    assert dollars == pytest.approx(3 * candidate.greeks.delta * SPOT * 0.01)
    assert np.sign(dollars) == sign


def test_a_portfolio_s_delta_is_the_sum_of_its_positions_pending_entries_included() -> None:
    snapshot = make_snapshot(("SPY", "TLT"))
    put, call = make_candidate(snapshot), make_candidate(snapshot, underlying="TLT", spread_type=SpreadType.BEAR_CALL)
    parts = held(put, 4), held(put, 2, pending=True), held(call, 10)
    each = [delta_of(snapshot, one).dollars_per_pct for one in parts]
    whole = delta_of(snapshot, *parts)
    assert whole.dollars_per_pct == pytest.approx(sum(each))
    assert whole.share_of_equity == pytest.approx(whole.dollars_per_pct / 100_000)
    assert [one.underlying for one in whole.by_underlying] == ["SPY", "TLT"]
    assert sum(one.dollars_per_pct for one in whole.by_underlying) == pytest.approx(whole.dollars_per_pct)


def test_an_account_that_holds_nothing_has_a_delta_of_0_and_no_share_without_equity() -> None:
    assert delta_of(make_snapshot()) == PortfolioDelta(dollars_per_pct=0, share_of_equity=0)
    assert delta_of(make_snapshot(), equity=0.0).share_of_equity is None


def test_a_formula_by_hand() -> None:
    # 4 bull puts on QQQ at 500: deltas -0.10 short, -0.06 long: 4 x 0.04 x 100 x 500 x 1.15 x 1 % = 92 dollars.
    spread = make_candidate().spread.model_copy(update={"underlying": "QQQ"})
    facts = DeltaFacts(
        spots={"QQQ": 500.0},
        betas={"QQQ": Beta(value=1.15, days=None)},
        leg_deltas={spread.short_symbol: -0.10, spread.long_symbol: -0.06},
    )
    found = trade_delta(spread, [], facts, 100_000.0)
    assert found.per_contract is not None
    assert 4 * found.per_contract == pytest.approx(92.0)


# --- What is not known ------------------------------------------------------------------------------------------------


def without_rows(snapshot: Snapshot, *symbols: str) -> Snapshot:
    market = snapshot.underlyings["SPY"]
    keep = ~np.isin(market.chain.symbol, symbols)
    columns = {
        name: column[keep] if isinstance(column, np.ndarray) else column for name, column in vars(market.chain).items()
    }
    return dataclasses.replace(snapshot, underlyings={"SPY": dataclasses.replace(market, chain=Chain(**columns))})


def test_a_leg_without_a_delta_is_named_and_never_counted_as_0() -> None:
    snapshot = make_snapshot()
    known, lost = make_candidate(snapshot), make_candidate(snapshot, short_strike=532.0)
    less = without_rows(snapshot, lost.spread.long_symbol)
    assert delta_of(less, held(lost)).dollars_per_pct is None
    both = delta_of(less, held(known), held(lost, 2))
    assert both.dollars_per_pct == pytest.approx(delta_of(snapshot, held(known)).dollars_per_pct)
    assert both.unknown == (f"2 x SPY bull_put 2026-04-17: no delta of {lost.spread.long_symbol}",)


def test_an_exposure_without_symbols_price_or_beta_says_which() -> None:
    snapshot = make_snapshot()
    one = held(make_candidate(snapshot))
    bare = one.model_copy(update={"short_symbol": None})
    assert "a leg that was not recorded" in delta_of(snapshot, bare).unknown[0]
    stranger = one.model_copy(update={"underlying": "XLF"})
    assert delta_of(snapshot, stranger).unknown[0].endswith("no price of XLF, no beta of XLF")


def changed(snapshot: Snapshot, symbol: str, **columns: float) -> Snapshot:
    market = snapshot.underlyings["SPY"]
    row = market.chain.symbol == symbol
    arrays = {name: np.where(row, value, getattr(market.chain, name)) for name, value in columns.items()}
    chain = dataclasses.replace(market.chain, **arrays)
    return dataclasses.replace(snapshot, underlyings={"SPY": dataclasses.replace(market, chain=chain)})


@pytest.mark.parametrize("given_delta", [np.nan, 0.0, 0.3], ids=["missing", "zero", "of the wrong sign"])
def test_a_delta_that_the_feed_lacks_is_the_one_that_the_screen_completes(given_delta: float) -> None:
    snapshot = make_snapshot()
    leg = make_candidate(snapshot).spread.short_symbol
    completed = leg_deltas(changed(snapshot, leg, delta=given_delta), [leg])
    assert completed[leg] == pytest.approx(leg_deltas(snapshot, [leg])[leg], abs=0.002)


@pytest.mark.parametrize(
    "quote",
    [{"bid": np.nan}, {"ask": 0.0}, {"bid": 3.0}, {"quote_age_seconds": 1201.0}, {"multiplier": 10.0}],
    ids=["no bid", "no ask", "crossed", "stale", "adjusted"],
)
def test_a_delta_is_not_computed_from_what_is_no_quote(quote: dict[str, float]) -> None:
    snapshot = make_snapshot()
    leg = make_candidate(snapshot).spread.short_symbol
    assert leg_deltas(changed(snapshot, leg, delta=np.nan, implied_volatility=np.nan, **quote), [leg]) == {}


def test_a_position_outside_the_screen_s_ranges_has_a_delta_too() -> None:
    snapshot = make_snapshot(as_of=dt.datetime(2026, 4, 14, 14, 0, tzinfo=dt.UTC))  # 3 days before expiration
    chain = snapshot.underlyings["SPY"].chain
    in_the_money = str(chain.symbol[chain.is_put & (chain.strike > SPOT)][0])
    assert leg_deltas(snapshot, [in_the_money])[in_the_money] < -0.5


# --- The limit --------------------------------------------------------------------------------------------------------

ON = RiskLimits(
    max_risk_per_trade_pct=1,
    max_single_position_pct=1,
    max_portfolio_heat_pct=1,
    max_per_underlying_pct=1,
    max_equity_class_pct=1,
    max_beta_weighted_delta_pct=0.005,  # 500 dollars of 100,000
)


def sized(now: float | None, each: float | None, *, limits: RiskLimits = ON, unknown: tuple[str, ...] = ()) -> Sizing:
    """Size a spread that risks 400 dollars a contract, of which risk alone would allow 250."""
    portfolio = PortfolioDelta(dollars_per_pct=now, share_of_equity=None, unknown=unknown)
    return size(
        spread=SPREAD,
        limit_credit=1.0,
        account=make_account(),
        exposures=(),
        limits=limits,
        trades_left=3,
        multiplier=SizeMultiplier(),
        delta=TradeDelta(portfolio=portfolio, per_contract=each),
    )


SPREAD = Spread(
    underlying="SPY",
    spread_type=SpreadType.BULL_PUT,
    expiration=dt.date(2026, 4, 17),
    short_strike=540,
    long_strike=535,
    short_symbol="short",
    long_symbol="long",
)
LIMITED = {
    "50 dollars a contract of 500": ((0.0, 50.0), 10),
    "short of it by a cent": ((0.01, 50.0), 9),
    "at the cap": ((500.0, 50.0), 0),
    "over the cap": ((600.0, 50.0), 0),
    "short deltas alike": ((0.0, -50.0), 10),
    "over the cap on the short side": ((-600.0, -50.0), 0),
    "towards zero and on to the other cap": ((-400.0, 50.0), 18),
    "towards zero from over the cap": ((-600.0, 50.0), 22),
    "one step nearer, though beyond the cap": ((-1500.0, 900.0), 2),
    "no step nearer": ((-900.0, 2000.0), 0),
    "as far on the other side": ((-1000.0, 2000.0), 0),
}


@pytest.mark.parametrize("case", LIMITED)
def test_contracts_fit_until_the_portfolio_s_delta_would_pass_the_cap(case: str) -> None:
    (now, each), contracts = LIMITED[case]
    sizing = sized(now, each)
    assert sizing.contracts == contracts
    assert sizing.binding is Reason.MAX_BETA_WEIGHTED_DELTA


@pytest.mark.parametrize(("now", "each", "unknown"), [(None, 1.0, ("x",)), (5.0, 1.0, ("x",)), (0.0, None, ())])
def test_with_the_limit_on_an_unknown_delta_allows_nothing_under_its_own_code(now, each, unknown) -> None:
    sizing = sized(now, each, unknown=unknown)
    assert (sizing.contracts, sizing.binding) == (0, Reason.UNKNOWN_PORTFOLIO_DELTA)


def test_the_limit_is_off_by_default() -> None:
    off = ON.model_copy(update={"max_beta_weighted_delta_pct": RiskLimits().max_beta_weighted_delta_pct})
    assert sized(10_000.0, None, limits=off, unknown=("x",)).contracts == 250


def test_a_contract_that_moves_nothing_is_not_stopped_by_it() -> None:
    assert sized(600.0, 0.0).contracts == 250


@given(now=st.floats(-5_000, 5_000), each=st.floats(-800, 800))
def test_no_contract_takes_the_delta_over_its_cap_or_further_over(now: float, each: float) -> None:
    contracts = sized(now, each).contracts
    path = [abs(now + number * each) for number in range(contracts + 2)]
    for before, after in itertools.pairwise(path[: contracts + 1]):
        assert after <= max(500, before) + 1e-5
    if contracts < 250:  # one more would, or would not come nearer
        assume(abs(path[-1] - 500) > 1e-3)
        assert path[-1] > 500
        assert path[-1] >= path[-2] - 1e-5


@given(now=st.floats(-5_000, 5_000), each=st.floats(-800, 800), share=st.floats(0.0001, 0.5), more=st.floats(1, 2))
def test_a_wider_cap_never_means_fewer_contracts(now: float, each: float, share: float, more: float) -> None:
    few, many = (
        sized(now, each, limits=ON.model_copy(update={"max_beta_weighted_delta_pct": one})).contracts
        for one in (share, share * more)
    )
    assert few <= many
