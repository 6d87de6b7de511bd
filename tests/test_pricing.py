"""Pricing against QuantLib, against its own finite differences, and at the edges."""

import datetime as dt
import itertools

import numpy as np
import pytest
import QuantLib
from hypothesis import given, settings
from hypothesis import strategies as st

from mahler_agents import pricing

TODAY = dt.date(2026, 3, 16)
RATE = 0.04
GRID = [
    {"is_put": is_put, "spot": spot, "strike": spot * moneyness, "years": days / 365, "volatility": volatility, "q": q}
    for is_put, spot, moneyness, days, volatility, q in itertools.product(
        (True, False),
        (90.0, 560.0),
        (0.5, 0.85, 0.95, 1.0, 1.05, 1.2, 2.0),
        (1, 7, 35, 400),
        (0.05, 0.2, 0.9),
        (0, 0.03),
    )
]


def ql_option(contract, *, american=False):
    """Return QuantLib's option on the contract; `years` are whole days there, so they are whole days here."""
    today = QuantLib.Date(TODAY.day, TODAY.month, TODAY.year)
    QuantLib.Settings.instance().evaluationDate = today
    days, calendar = QuantLib.Actual365Fixed(), QuantLib.NullCalendar()
    process = QuantLib.BlackScholesMertonProcess(
        QuantLib.QuoteHandle(QuantLib.SimpleQuote(contract["spot"])),
        QuantLib.YieldTermStructureHandle(QuantLib.FlatForward(today, contract["q"], days)),
        QuantLib.YieldTermStructureHandle(QuantLib.FlatForward(today, RATE, days)),
        QuantLib.BlackVolTermStructureHandle(QuantLib.BlackConstantVol(today, calendar, contract["volatility"], days)),
    )
    payoff = QuantLib.PlainVanillaPayoff(
        QuantLib.Option.Put if contract["is_put"] else QuantLib.Option.Call, contract["strike"]
    )
    expiry = today + round(contract["years"] * 365)
    exercise = QuantLib.AmericanExercise(today, expiry) if american else QuantLib.EuropeanExercise(expiry)
    option = QuantLib.VanillaOption(payoff, exercise)
    option.setPricingEngine(
        QuantLib.QdFpAmericanEngine(process) if american else QuantLib.AnalyticEuropeanEngine(process)
    )
    return option


def arguments(contracts):
    """Return the contracts as the columns that `pricing` takes."""
    columns = {name: np.array([contract[name] for contract in contracts]) for name in contracts[0]}
    return columns | {"dividend_yield": columns.pop("q"), "rate": RATE}


def test_price_and_greeks_are_quantlibs_over_a_grid_with_one_day_left_and_deep_in_and_out():
    ours = pricing.value(**arguments(GRID))
    for row, contract in enumerate(GRID):
        option, scale = ql_option(contract), contract["spot"]
        for name, theirs in {
            "price": option.NPV(),
            "delta": option.delta(),
            "gamma": option.gamma(),
            "theta_per_day": option.theta() / 365,
            "vega_per_vol_point": option.vega() / 100,
            "rho_per_rate_point": option.rho() / 100,
        }.items():
            assert getattr(ours, name)[row] == pytest.approx(theirs, rel=1e-8, abs=1e-9 * scale), (name, contract)


def test_price_alone_is_the_price_beside_the_greeks():
    columns = arguments(GRID)
    assert np.array_equal(pricing.price(**columns), pricing.value(**columns).price)


def test_out_of_the_money_legs_that_we_trade_are_within_a_share_of_their_american_value():
    legs = [
        {
            "is_put": is_put,
            "spot": 560.0,
            "strike": 560 * (1 - off if is_put else 1 + off),
            "years": days / 365,
            "volatility": volatility,
            "q": 0.0,
        }
        for is_put, off, days, volatility in itertools.product(
            (True, False), (0.02, 0.04, 0.06, 0.08), (30, 45), (0.15, 0.20, 0.30)
        )
    ]
    legs = [leg for leg in legs if 0.05 <= abs(float(pricing.value(**arguments([leg])).delta[0])) <= 0.15]
    assert len(legs) >= 8
    for leg, european in zip(legs, pricing.price(**arguments(legs)), strict=True):
        assert european == pytest.approx(ql_option(leg, american=True).NPV(), rel=0.015), leg


def test_an_american_option_is_worth_at_least_ours_and_a_call_without_dividends_the_same():
    for contract, european in zip(GRID, pricing.price(**arguments(GRID)), strict=True):
        american = ql_option(contract, american=True).NPV()
        tolerance = 1e-5 * contract["spot"]  # of the engine's own interpolation
        assert american >= european - tolerance, contract
        if not contract["is_put"] and contract["q"] == 0:
            assert american == pytest.approx(european, abs=tolerance), contract


def test_quantlibs_prices_give_back_the_volatilities_that_made_them_or_none():
    """Where the price has no time value left (deep, a day to go) there is no volatility, and none is made up."""
    prices = np.array([ql_option(contract).NPV() for contract in GRID])
    columns = arguments(GRID)
    wanted = columns.pop("volatility")
    found = pricing.implied_volatility(price=prices, **columns)
    forward = columns["spot"] * np.exp(-columns["dividend_yield"] * columns["years"])
    cash = columns["strike"] * np.exp(-RATE * columns["years"])
    time_value = prices - np.maximum(np.where(columns["is_put"], cash - forward, forward - cash), 0)
    told = time_value > 1e-7 * columns["spot"]
    assert told.sum() > len(GRID) / 2
    assert found[told] == pytest.approx(wanted[told], rel=1e-5)
    assert not np.any(found[~told] <= 0)


STEPS = {
    # greek: (column that moves, step, what is differentiated, units of the greek per unit of the derivative)
    "delta": ("spot", 1e-4, "price", 1),
    "gamma": ("spot", 1e-3, "delta", 1),
    "theta_per_day": ("years", 1e-6, "price", -1 / 365),
    "vega_per_vol_point": ("volatility", 1e-5, "price", 0.01),
    "rho_per_rate_point": ("rate", 1e-5, "price", 0.01),
    "vanna_per_vol_point": ("volatility", 1e-5, "delta", 0.01),
    "volga_per_vol_point": ("volatility", 1e-5, "vega_per_vol_point", 0.01),
    "charm_per_day": ("years", 1e-6, "delta", -1 / 365),
}


@pytest.mark.parametrize("greek", STEPS)
def test_each_net_greek_of_a_spread_is_the_slope_of_what_it_says_of_the_spread(greek):
    column, step, of, unit = STEPS[greek]
    short = [one for one in GRID if one["years"] > 5 / 365 and 0.9 < one["strike"] / one["spot"] < 1.1]
    outward = [one | {"strike": one["strike"] - (5 if one["is_put"] else -5)} for one in short]

    def net(name, shift=0.0):
        legs = [arguments(side) for side in (outward, short)]
        long_leg, short_leg = (pricing.value(**leg | {column: leg[column] + shift}) for leg in legs)
        return getattr(long_leg, name) - getattr(short_leg, name)

    slope = (net(of, step) - net(of, -step)) / (2 * step) * unit
    assert net(greek) == pytest.approx(slope, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("greek", STEPS)
def test_each_greek_is_the_slope_of_what_it_says(greek):
    column, step, of, unit = STEPS[greek]
    contracts = arguments([contract for contract in GRID if contract["years"] > 5 / 365])
    up, down = (contracts | {column: contracts[column] + shift} for shift in (step, -step))
    slope = (getattr(pricing.value(**up), of) - getattr(pricing.value(**down), of)) / (2 * step) * unit
    analytic = getattr(pricing.value(**contracts), greek)
    assert analytic == pytest.approx(slope, rel=2e-4, abs=1e-6 * float(np.abs(analytic).max()))


@settings(max_examples=100)
@given(
    is_put=st.booleans(),
    volatility=st.floats(0.05, 2.0),
    terms=st.fixed_dictionaries(
        {
            "strike": st.floats(60, 160),
            "years": st.integers(1, 400).map(lambda days: days / 365),
            "rate": st.floats(-0.02, 0.1),
            "dividend_yield": st.floats(0, 0.06),
        }
    ),
)
def test_put_and_call_are_at_parity_and_a_price_gives_back_its_volatility(is_put, volatility, terms):
    contract = terms | {"spot": 100.0}
    years = terms["years"]
    put = float(pricing.price(is_put=True, volatility=volatility, **contract))
    call = float(pricing.price(is_put=False, volatility=volatility, **contract))
    forward = 100 * np.exp(-terms["dividend_yield"] * years) - terms["strike"] * np.exp(-terms["rate"] * years)
    assert call - put == pytest.approx(forward, abs=1e-10)
    value = put if is_put else call
    if min(put, call) > 0.001:  # below that, time value drowns in the in-the-money option's rounding
        implied = pricing.implied_volatility(price=value, is_put=is_put, **contract)
        assert float(implied) == pytest.approx(volatility, rel=1e-6)


def test_a_premium_of_a_tenth_of_a_cent_has_an_implied_volatility():
    contract = {"is_put": True, "spot": 560.0, "strike": 400.0, "years": 30 / 365, "rate": RATE}
    implied = pricing.implied_volatility(price=0.001, **contract)
    assert float(pricing.price(volatility=implied, **contract)) == pytest.approx(0.001, rel=1e-9)


@pytest.mark.parametrize(
    "changed",
    [
        {"price": 0.0},
        {"price": -1.0},
        {"price": np.nan},
        {"price": np.inf},
        {"is_put": False, "strike": 80.0, "price": 19.0},  # below intrinsic
        {"price": 101.0},  # a put above its discounted strike
        {"is_put": False, "price": 100.5},  # a call above its underlying
        {"years": 0.0},
        {"years": -0.1},
        {"spot": np.nan},
        {"spot": 0.0},
        {"strike": -5.0},
        {"rate": np.nan},
    ],
)
def test_a_price_that_no_volatility_explains_has_none_rather_than_zero(changed):
    contract = {"price": 2.0, "is_put": True, "spot": 100.0, "strike": 100.0, "years": 0.1, "rate": RATE} | changed
    assert np.isnan(pricing.implied_volatility(**contract))


@pytest.mark.parametrize("column", ["spot", "strike", "years", "volatility"])
@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan, np.inf])
def test_an_impossible_input_makes_its_own_row_nan_and_no_other(column, bad):
    columns = {"spot": 100.0, "strike": 95.0, "years": 0.1, "volatility": 0.2}
    rows = {name: np.array([value, value]) for name, value in columns.items()}
    rows[column][0] = bad
    values = pricing.value(is_put=True, rate=RATE, **rows)
    for greek in vars(values).values():
        assert np.isnan(greek[0])
        assert np.isfinite(greek[1])


def test_results_have_the_broadcast_shape():
    values = pricing.value(
        is_put=np.array([[True], [False]]), spot=100.0, strike=[90.0, 95.0, 100.0], years=0.1, rate=0.0, volatility=0.2
    )
    assert values.price.shape == values.charm_per_day.shape == (2, 3)
    assert pricing.value(is_put=[], spot=[], strike=[], years=[], rate=0.0, volatility=[]).price.shape == (0,)


def test_rows_do_not_depend_on_how_many_are_valued_at_once():
    columns = arguments(GRID)
    many = {name: np.tile(column, 60) for name, column in columns.items() if name != "rate"}
    together, few = pricing.value(rate=RATE, **many), pricing.value(**columns)
    assert len(together.price) > 2 * pricing._BLOCK
    assert np.allclose(together.charm_per_day, np.tile(few.charm_per_day, 60), rtol=1e-12, atol=0)


def test_time_to_expiry_runs_to_the_close_in_new_york():
    as_of = dt.datetime(2026, 3, 16, 14, 0, tzinfo=dt.UTC)  # 10:00 in New York
    years = pricing.years_to_expiry(as_of, np.array(["2026-03-16", "2026-03-17", "2026-04-17", "2026-03-15"], "M8[D]"))
    assert years * 365 == pytest.approx([0.25, 1.25, 32.25, -0.75])
    assert np.isnan(pricing.years_to_expiry(as_of, np.datetime64("NaT")))
