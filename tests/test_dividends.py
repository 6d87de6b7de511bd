"""Dividends in pricing: escrowed cash dividends against QuantLib, what counts, what is refused, and what is said."""

import dataclasses
import datetime as dt
import itertools

import numpy as np
import pytest
import QuantLib
from builders import AS_OF, RATE, SPOT, make_chain, make_snapshot
from pydantic import ValidationError
from screen_builders import put_chain, snapshot_of

from mahler_agents import pricing
from mahler_agents.errors import InputError
from mahler_agents.market.snapshot import Dividend
from mahler_agents.screen import ScreenParams, screen
from mahler_agents.volatility import at_the_money_volatility

TODAY = dt.date(2026, 3, 16)
CLOSE = dt.datetime(2026, 3, 16, 20, tzinfo=dt.UTC)
"""16:00 in New York, so that years are whole days, as QuantLib's are."""
SCHEDULES = (((1, 0.003), (30, 0.003)), ((20, 0.003),), ((35, 0.003),))
"""(days from today, share of the spot) of each dividend."""
CONTRACTS = [
    {"is_put": is_put, "spot": spot, "strike": spot * moneyness, "days": days, "volatility": volatility, "paid": paid}
    for is_put, spot, moneyness, days, volatility, paid in itertools.product(
        (True, False), (90.0, 560.0), (0.92, 0.96, 1.0, 1.04, 1.08), (7, 35, 45), (0.12, 0.2, 0.3), SCHEDULES
    )
]


def day(number):
    return TODAY + dt.timedelta(days=number)


def terms_of(contract):
    """Return the contract as `pricing` takes it, its dividends as a yield."""
    worth = pricing.dividends_present_value(
        ex_date=[day(number) for number, _ in contract["paid"]],
        dollars=[share * contract["spot"] for _, share in contract["paid"]],
        as_of=CLOSE,
        expiration=day(contract["days"]),
        rate=RATE,
    )
    years = contract["days"] / 365
    found = pricing.dividend_yield(present_value=worth, spot=contract["spot"], years=years)
    names = ("is_put", "spot", "strike", "volatility")
    return {name: contract[name] for name in names} | {"years": years, "rate": RATE, "dividend_yield": found}


def ql_process(contract, dividend_yield=0.0):
    today, days = QuantLib.Date(TODAY.day, TODAY.month, TODAY.year), QuantLib.Actual365Fixed()
    QuantLib.Settings.instance().evaluationDate = today
    volatility = QuantLib.BlackConstantVol(today, QuantLib.NullCalendar(), contract["volatility"], days)
    return QuantLib.BlackScholesMertonProcess(
        QuantLib.QuoteHandle(QuantLib.SimpleQuote(contract["spot"])),
        QuantLib.YieldTermStructureHandle(QuantLib.FlatForward(today, float(dividend_yield), days)),
        QuantLib.YieldTermStructureHandle(QuantLib.FlatForward(today, RATE, days)),
        QuantLib.BlackVolTermStructureHandle(volatility),
    )


def ql_value(contract, engine, *, american):
    today = QuantLib.Date(TODAY.day, TODAY.month, TODAY.year)
    right = QuantLib.Option.Put if contract["is_put"] else QuantLib.Option.Call
    expiry = today + contract["days"]
    exercise = QuantLib.AmericanExercise(today, expiry) if american else QuantLib.EuropeanExercise(expiry)
    option = QuantLib.VanillaOption(QuantLib.PlainVanillaPayoff(right, contract["strike"]), exercise)
    option.setPricingEngine(engine)
    return option.NPV()


def ql_dividends(contract):
    today = QuantLib.Date(TODAY.day, TODAY.month, TODAY.year)
    dates = [today + number for number, _ in contract["paid"]]
    return QuantLib.DividendVector(dates, [share * contract["spot"] for _, share in contract["paid"]])


def test_european_prices_are_quantlibs_with_the_same_cash_dividends():
    for contract in CONTRACTS:
        engine = QuantLib.AnalyticDividendEuropeanEngine(ql_process(contract), ql_dividends(contract))
        ours = float(pricing.price(**terms_of(contract)))
        assert ours == pytest.approx(ql_value(contract, engine, american=False), abs=1e-11), contract


def escrowed_american_engine(contract):
    return QuantLib.FdBlackScholesVanillaEngine(
        ql_process(contract),
        ql_dividends(contract),
        200,
        200,
        0,
        QuantLib.FdmSchemeDesc.Douglas(),
        False,  # no local volatility
        0.0,
        QuantLib.FdBlackScholesVanillaEngine.Escrowed,
    )


def test_how_far_american_values_lie_above_ours_for_the_legs_that_we_trade():
    """Measured, as shares of a premium of 0.25-0.5 % of the spot; calls are exercised just before an ex-date."""
    bounds = {"at the same yield": 0.008, "puts": 0.019, "calls": 0.001, "calls that go ex in the last week": 0.096}
    above = {name: [] for name in bounds}
    for contract in CONTRACTS:
        terms = terms_of(contract)
        ours = pricing.value(**terms)
        if contract["days"] < 30 or not 0.05 <= abs(float(ours.delta)) <= 0.15:
            continue
        engine = QuantLib.QdFpAmericanEngine(ql_process(contract, terms["dividend_yield"]))
        above["at the same yield"].append(ql_value(contract, engine, american=True) / float(ours.price) - 1)
        late = any(0 <= contract["days"] - number <= 7 for number, _ in contract["paid"])
        kind = "puts" if contract["is_put"] else "calls that go ex in the last week" if late else "calls"
        american = ql_value(contract, escrowed_american_engine(contract), american=True)
        above[kind].append(american / float(ours.price) - 1)
    for name, bound in bounds.items():
        assert len(above[name]) >= 4, name
        assert min(above[name]) > -1e-3, name
        assert bound / 2 < max(above[name]) < bound, name  # so that the bound stays the measured one


@pytest.mark.parametrize(
    ("ex_date", "counts"),
    [
        (day(-1), False),
        (day(0), False),  # on its ex-date the price has fallen already
        (day(1), True),
        (day(30), True),  # on the expiration: the price falls before the option ends
        (day(31), False),
        (np.datetime64("NaT"), False),
    ],
)
def test_a_dividend_counts_after_today_and_until_the_expiration(ex_date, counts):
    found = pricing.dividends_present_value(
        ex_date=[ex_date], dollars=[1.0], as_of=CLOSE, expiration=[day(30), day(-5)], rate=0.0
    )
    assert found.tolist() == [1.0 if counts else 0.0, 0.0]


def test_today_is_new_yorks():
    for hour, counts in ((3, True), (5, False)):  # 23:00 on the 16th and 01:00 on the 17th in New York
        as_of = dt.datetime(2026, 3, 17, hour, tzinfo=dt.UTC)
        worth = pricing.dividends_present_value(
            ex_date=[day(1)], dollars=[1.0], as_of=as_of, expiration=day(9), rate=0.0
        )
        assert float(worth) == counts


@pytest.mark.parametrize("dollars", [-0.01, np.nan, np.inf])
def test_an_amount_that_none_can_have_is_refused_by_name(dollars):
    with pytest.raises(InputError, match=r"a dividend of (-0.01|nan|inf) dollars on 2026-03-20"):
        pricing.dividends_present_value(
            ex_date=[day(1), day(4)], dollars=[1.0, dollars], as_of=CLOSE, expiration=day(30), rate=RATE
        )
    with pytest.raises(ValidationError, match="dollars"):
        Dividend(ex_date=day(4), dollars=dollars)


@pytest.mark.parametrize(
    ("worth", "spot", "years", "expected"),
    [
        (0.0, 100.0, 0.0, 0.0),
        (0.0, 100.0, 0.5, 0.0),
        (5.0, 100.0, 0.5, -np.log(0.95) / 0.5),
        (100.0, 100.0, 0.5, np.nan),
        (150.0, 100.0, 0.5, np.nan),
        (-1.0, 100.0, 0.5, np.nan),
        (5.0, 100.0, 0.0, np.nan),
        (5.0, np.nan, 0.5, np.nan),
        (5.0, np.inf, 0.5, np.nan),
        (np.nan, 100.0, 0.5, np.nan),
    ],
)
def test_the_yield_takes_the_dividends_out_of_the_price_or_is_nan(worth, spot, years, expected):
    found = pricing.dividend_yield(present_value=worth, spot=spot, years=years)
    assert float(found) == pytest.approx(expected, rel=1e-12, nan_ok=True)


# --- in the screen and the term structure ----------------------------------------------------------------------------

FACTS = ("implied_volatility", "delta", "gamma", "theta_per_day", "vega_per_vol_point")


def with_dividends(chain, *dividends):
    snapshot = snapshot_of(chain)
    held = dataclasses.replace(snapshot.underlyings["SPY"], dividends=dividends)
    return dataclasses.replace(snapshot, underlyings={"SPY": held})


def without_facts(chain):
    return dataclasses.replace(chain, **{name: np.full(len(chain), np.nan) for name in FACTS})


def test_the_screen_computes_what_is_missing_with_the_dividends_inside_the_options_life():
    chain = without_facts(put_chain((530.0, 520.0), mids=(3.00, 1.40)))
    params = ScreenParams(max_short_delta=0.30)
    inside, after = Dividend(ex_date=day(10), dollars=1.7), Dividend(ex_date=day(60), dollars=1.7)
    (candidate,), _ = screen(with_dividends(chain, inside, after), params)
    leg, years = candidate.short_leg, pricing.years_to_expiry(AS_OF, candidate.spread.expiration)
    worth = 1.7 * np.exp(-RATE * pricing.years_to_expiry(AS_OF, inside.ex_date))
    terms = {"is_put": True, "spot": SPOT, "strike": 530.0, "rate": RATE, "years": years}
    terms |= {"dividend_yield": -np.log(1 - worth / SPOT) / years, "volatility": leg.implied_volatility}
    assert leg.computed == FACTS
    assert float(pricing.price(**terms)) == pytest.approx(3.00, abs=1e-10)
    assert leg.delta == pytest.approx(float(pricing.value(**terms).delta))
    (without,), _ = screen(with_dividends(chain), params)
    assert without.short_leg.implied_volatility > leg.implied_volatility + 0.002


def test_dividends_worth_the_price_are_a_rejection_of_their_own():
    absurd = Dividend(ex_date=day(10), dollars=2 * SPOT)
    candidates, report = screen(with_dividends(put_chain(), absurd))
    assert candidates == ()
    assert report.rejected_contracts == {"impossible_dividends": 2}
    assert [miss.text for miss in report.nearest_misses] == ["impossible dividends"]
    beyond = Dividend(ex_date=day(60), dollars=2 * SPOT)
    assert len(screen(with_dividends(put_chain(), beyond))[0]) == 1


def test_at_the_money_volatility_from_mids_needs_the_dividends():
    chain = make_chain(expirations=(day(30),), volatility=0.18)
    paid = Dividend(ex_date=day(10), dollars=3.0)
    # A stock that pays 3 dollars is priced as one that pays nothing and stands 3 dollars (discounted) lower.
    worth = 3.0 * np.exp(-RATE * pricing.years_to_expiry(AS_OF, paid.ex_date))
    dearer = dataclasses.replace(without_facts(chain), spot=SPOT + float(worth))
    calls = dataclasses.replace(
        dearer, **{name: column[~chain.is_put] for name, column in vars(dearer).items() if hasattr(column, "shape")}
    )
    arguments = {"as_of": AS_OF, "days": 30, "rate": RATE}
    with_it = at_the_money_volatility(calls, **arguments, dividends=(paid,))
    without = at_the_money_volatility(calls, **arguments, dividends=())
    assert with_it == pytest.approx(0.18, abs=0.005)
    assert abs(without - 0.18) > 0.015


def test_dividends_that_are_not_known_count_as_none_and_it_is_said():
    unknown = Dividend(ex_date=day(10))
    chain = without_facts(put_chain((530.0, 520.0), mids=(3.00, 1.40)))
    params = ScreenParams(max_short_delta=0.30)
    said = {}
    for name, dividends in {"none known": None, "no amount": (unknown,), "none to come": ()}.items():
        base = with_dividends(chain)
        held = dataclasses.replace(base.underlyings["SPY"], dividends=dividends)
        snapshot = dataclasses.replace(base, underlyings={"SPY": held}, missing={"vix": "not in the file"})
        (candidate,), _ = screen(snapshot, params)
        assert candidate == screen(with_dividends(chain), params)[0][0]
        said[name] = snapshot.all_missing
    without = "volatilities and greeks that the source lacks are computed without"
    assert said == {
        "none known": {"vix": "not in the file", "dividends.SPY": f"not known: {without} dividends"},
        "no amount": {
            "vix": "not in the file",
            "dividends.SPY": f"the amount of 2026-03-26 is not known: {without} it",
        },
        "none to come": {"vix": "not in the file"},
    }


def test_a_snapshot_whose_dividends_become_known_no_longer_says_otherwise():
    snapshot = make_snapshot()
    assert snapshot.all_missing.keys() == {"dividends.SPY"}
    held = dataclasses.replace(snapshot.underlyings["SPY"], dividends=())
    assert dataclasses.replace(snapshot, underlyings={"SPY": held}).all_missing == {}
