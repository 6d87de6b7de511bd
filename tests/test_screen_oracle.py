"""The vectorised screen against a slow and obvious one, on random chains full of garbage."""

import datetime as dt
import math
from collections import Counter
from statistics import NormalDist

import numpy as np
import pytest
from builders import AS_OF, RATE, make_volatility_history, occ_symbol
from conftest import at_scale

from mahler_agents import pricing
from mahler_agents.market.occ import parse_symbol
from mahler_agents.market.snapshot import Account, Bars, Dividend, Exposure, MarketData, Snapshot, chain_from_columns
from mahler_agents.screen import ContractRejection, PairRejection, ScreenParams, screen
from mahler_agents.types import MarketRegime, SpreadType

GARBAGE = (math.nan, math.inf, -math.inf, -1.0, 0.0, 1e300, 1e-300)
TODAY = AS_OF.date()
WIDE_OPEN = ScreenParams(max_listed=10_000)
NAMES = ("strike", "bid", "ask", "quote_age_seconds", "volume", "open_interest", "multiplier")
NORMAL = NormalDist()
GREEKS = ("delta", "gamma", "theta_per_day", "vega_per_vol_point")


def random_chain(rng: np.random.Generator, underlying: str):
    """Return up to 80 plausible contracts, with missing greeks, duplicates, wrong symbols and garbage in any column."""
    spot = float(rng.uniform(60, 200))
    count = int(rng.integers(0, 80))
    is_put = rng.random(count) < 0.5
    away = rng.integers(-2, 25, count)
    strike = np.round(spot) + np.where(is_put, -1, 1) * away * (1.0 if rng.random() < 0.7 else 0.5)
    dte = rng.choice([29, 30, 45, 46], count, p=[0.05, 0.45, 0.45, 0.05])
    expiration = np.datetime64(TODAY, "D") + dte
    volatility = rng.uniform(0.1, 0.3) + 0.002 * away
    values = pricing.value(is_put=is_put, spot=spot, strike=strike, years=dte / 365, rate=RATE, volatility=volatility)
    half = np.round(values.price * rng.uniform(-0.001, 0.07, count), 2)
    mid = np.round(values.price * rng.choice([1.0, 0.2, 3.0, 40.0], count, p=[0.9, 0.04, 0.04, 0.02]), 2)
    columns = {
        "strike": strike,
        "bid": mid - half,
        "ask": mid + half,
        "quote_age_seconds": rng.uniform(0, 1250, count),
        "volume": rng.integers(0, 25, count).astype(float),
        "open_interest": rng.integers(30, 500, count).astype(float),
        "multiplier": np.full(count, 100.0),
        "implied_volatility": volatility,
    } | {name: getattr(values, name).copy() for name in GREEKS}
    for name in ("implied_volatility", *GREEKS):
        columns[name][rng.random(count) < 0.2] = np.nan
    symbols = [
        occ_symbol(underlying, day.item(), k, is_put=put)
        for day, k, put in zip(expiration, strike, is_put, strict=True)
    ]
    for name in columns:
        spoilt = rng.random(count) < 0.01
        columns[name][spoilt] = rng.choice(GARBAGE, spoilt.sum())
    expiration[rng.random(count) < 0.01] = np.datetime64("NaT")
    symbols = ["SPY1" + one[3:] if rng.random() < 0.01 else one for one in symbols]
    spot = float(rng.choice(GARBAGE)) if rng.random() < 0.02 else spot
    return chain_from_columns(
        underlying, spot, columns | {"symbol": symbols, "is_put": is_put, "expiration": expiration}
    )


def random_dividends(rng: np.random.Generator) -> tuple[Dividend, ...] | None:
    """Return up to three dividends, past and to come, some without an amount and some worth more than any price."""
    if rng.random() < 0.3:
        return None
    return tuple(
        Dividend(
            ex_date=TODAY + dt.timedelta(days=int(rng.integers(-5, 60))),
            dollars=[float(rng.uniform(0.01, 3)), None, 1e6][int(rng.choice(3, p=[0.93, 0.05, 0.02]))],
        )
        for _ in range(int(rng.integers(0, 4)))
    )


def random_snapshot(seed: int) -> Snapshot:
    """Return one or two random chains and an account with up to two open positions."""
    rng = np.random.default_rng(seed)
    none = np.empty(0)
    underlyings = {
        name: MarketData(
            chain=random_chain(rng, name),
            bars=Bars(date=none.astype("datetime64[D]"), open=none, high=none, low=none, close=none, volume=none),
            volatility_history=make_volatility_history() if rng.random() < 0.5 else None,
            dividends=random_dividends(rng),
        )
        for name in ("SPY", "TLT")[: int(rng.integers(1, 3))]
    }
    exposures = tuple(
        Exposure(
            underlying=str(rng.choice(["SPY", "TLT"])),
            spread_type=SpreadType(str(rng.choice(list(SpreadType)))),
            expiration=TODAY + dt.timedelta(days=int(rng.choice([30, 45]))),
            contracts=1,
            max_loss_dollars=400,
            pending=False,
        )
        for _ in range(int(rng.integers(0, 3)))
    )
    return Snapshot(
        as_of=AS_OF,
        market="test",
        source="random",
        synthetic=True,
        underlyings=underlyings,
        risk_free_rate=RATE,
        account=Account(account_id="test", equity=1e5, cash=1e5, buying_power=1e5, exposures=exposures),
    )


def worth_of_dividends(market: MarketData, expiration: dt.date) -> float:
    """Return the discounted dividends after today and until an expiration."""
    return sum(
        one.dollars * math.exp(-RATE * ((one.ex_date - TODAY).days + 0.25) / 365)  # from 10:00 to 16:00
        for one in market.dividends or ()
        if one.dollars is not None and TODAY < one.ex_date <= expiration
    )


def contract_rejection(market: MarketData, row: int, params: ScreenParams) -> str | None:
    """Say what is wrong with one contract: the first line that is true."""
    chain = market.chain
    put, strike, bid, ask = (column[row] for column in (chain.is_put, chain.strike, chain.bid, chain.ask))
    expiration = chain.expiration[row].item()
    wrong = {
        "no_underlying_price": lambda: not 0 < chain.spot < 100_000,
        "adjusted": lambda: chain.multiplier[row] != 100,
        "impossible_contract": lambda: not 0 < strike < 100_000 or expiration is None,
        "dte": lambda: not params.min_dte <= (expiration - TODAY).days <= params.max_dte,
        "not_out_of_the_money": lambda: strike >= chain.spot if put else strike <= chain.spot,
        "symbol_mismatch": lambda: chain.symbol[row] != occ_symbol(chain.underlying, expiration, strike, is_put=put),
        "impossible_dividends": lambda: worth_of_dividends(market, expiration) >= chain.spot,
        "no_quote": lambda: math.isnan(bid) or math.isnan(ask) or ask == 0,
        "impossible_quote": lambda: bid < 0 or ask < 0 or not (bid + ask) / 2 < (strike if put else chain.spot),
        "crossed": lambda: bid > ask,
        "stale_quote": lambda: not abs(chain.quote_age_seconds[row]) <= params.max_quote_age_seconds,
        "open_interest": lambda: not params.min_open_interest <= chain.open_interest[row] <= 1e9,
        "volume": lambda: not params.min_volume <= chain.volume[row] <= 1e9,
        "bid_ask": lambda: ask - bid > (params.max_bid_ask_to_mid + 1e-9) * (ask + bid) / 2,
    }
    return next((reason for reason, is_wrong in wrong.items() if is_wrong()), None)


def leg_greeks(market: MarketData, row: int) -> dict[str, float] | None:
    """Return the source's greeks, and what it lacks from the mid; None without an implied volatility."""
    chain = market.chain
    given = {name: float(getattr(chain, name)[row]) for name in ("implied_volatility", *GREEKS)}
    sign = -1 if chain.is_put[row] else 1
    sound = {
        "implied_volatility": 0.001 <= given["implied_volatility"] <= 10,
        "delta": 0 < sign * given["delta"] <= 1,
        "gamma": 0 < given["gamma"] < 1000,
        "theta_per_day": 0 < abs(given["theta_per_day"]) < chain.spot,
        "vega_per_vol_point": 0 < given["vega_per_vol_point"] < chain.spot,
    }
    years = float(pricing.years_to_expiry(AS_OF, chain.expiration[row]))
    worth = worth_of_dividends(market, chain.expiration[row].item())
    contract = {
        "is_put": chain.is_put[row],
        "spot": chain.spot,
        "strike": chain.strike[row],
        "years": years,
        "rate": RATE,
        "dividend_yield": -math.log(1 - worth / chain.spot) / years,
    }
    if not sound.pop("implied_volatility"):
        mid = (chain.bid[row] + chain.ask[row]) / 2
        given["implied_volatility"] = float(pricing.implied_volatility(price=mid, **contract))
        if math.isnan(given["implied_volatility"]):
            return None
    values = slow_greeks(volatility=given["implied_volatility"], **contract)
    return given | {name: values[name] for name, is_sound in sound.items() if not is_sound}


def slow_greeks(*, is_put, spot, strike, years, rate, volatility, dividend_yield) -> dict[str, float]:
    """Return Black-Scholes-Merton greeks as a textbook writes them."""
    root, sign = math.sqrt(years), -1 if is_put else 1
    d1 = (math.log(spot / strike) + (rate - dividend_yield + volatility**2 / 2) * years) / (volatility * root)
    d2 = d1 - volatility * root
    asset, cash = spot * math.exp(-dividend_yield * years), strike * math.exp(-rate * years)
    in_asset, in_cash = (sign * NORMAL.cdf(sign * d) for d in (d1, d2))
    density = NORMAL.pdf(d1) * asset
    decay = density * volatility / (2 * root)
    return {
        "delta": in_asset * asset / spot,
        "gamma": density / spot / (spot * volatility * root),  # a spot of 1e300 has no square
        "theta_per_day": (dividend_yield * asset * in_asset - rate * cash * in_cash - decay) / 365,
        "vega_per_vol_point": density * root / 100,
    }


def slow_legs(market: MarketData, params: ScreenParams) -> tuple[dict, Counter]:
    """Return (is put, expiration, strike) -> (mid, |delta|) of the eligible contracts, and counts of all reasons."""
    legs, reasons, chain = {}, Counter(), market.chain
    for row in range(len(chain)):
        place = (bool(chain.is_put[row]), chain.expiration[row].item(), float(chain.strike[row]))
        reason = contract_rejection(market, row, params)
        greeks = None if reason else leg_greeks(market, row)
        if reason is None and greeks is None:
            reason = "no_implied_volatility"
        elif reason is None and not all(math.isfinite(greek) for greek in greeks.values()):
            reason = "no_greeks"
        elif reason is None and place in legs:
            reason = "duplicate_contract"
        elif reason is None:
            legs[place] = ((chain.bid[row] + chain.ask[row]) / 2, abs(greeks["delta"]))
        reasons[reason] += 1
    return legs, reasons


def slow_pairs(legs: dict, params: ScreenParams):
    """Yield (is put, expiration, short strike, long strike, short |delta|, credit) of every pair in range."""
    for (put, expiration, short), (short_mid, delta) in legs.items():
        for (other_put, other_expiration, long), (long_mid, _) in legs.items():
            width = short - long if put else long - short
            same_group = (put, expiration) == (other_put, other_expiration)
            sellable = params.min_short_delta <= delta <= params.max_short_delta
            if same_group and sellable and params.min_width <= width <= params.max_width:
                yield put, expiration, short, long, delta, short_mid - long_mid


def slow_score(delta: float, share: float, weights: dict[str, float], iv: float | None) -> float:
    """Return the score of a pair whose credit is `share` of its width."""
    parts = {
        "iv": iv,
        "delta": min(max(1 - 10 * abs(delta - 0.10), 0), 1),
        "credit": 2 * min(share, 0.5),
        "ev": max(0, (1 - delta) * share - delta * (1 - share)),
    }
    present = {name: part for name, part in parts.items() if part is not None}
    return sum(weights[name] * part for name, part in present.items()) / sum(weights[name] for name in present)


def slow_screen(snapshot: Snapshot, params: ScreenParams, weights: dict[str, float], iv: dict[str, float | None]):
    """Return counts of contracts and pairs by reason (None: good), and key -> (score, credit) of what passed."""
    contracts, pairs, passed = Counter(), Counter(), {}
    open_groups = {(one.underlying, one.spread_type, one.expiration) for one in snapshot.account.exposures}
    for underlying, market in snapshot.underlyings.items():
        legs, reasons = slow_legs(market, params)
        contracts += reasons
        for put, expiration, short, long, delta, credit in slow_pairs(legs, params):
            kind, width = SpreadType.BULL_PUT if put else SpreadType.BEAR_CALL, abs(short - long)
            wrong = {
                "credit_not_positive": credit <= 1e-9,
                "credit_not_below_width": credit >= width - 1e-9,
                "credit": credit < params.min_credit_to_width * width - 1e-9,
                "duplicate_position": (underlying, kind, expiration) in open_groups,
            }
            reason = next((name for name, is_wrong in wrong.items() if is_wrong), None)
            pairs[reason] += 1
            if reason is None:
                score = slow_score(delta, credit / width, weights, iv[underlying])
                passed[underlying, kind, expiration, short, long] = (score, credit)
    return contracts, pairs, passed


def check(seed: int) -> int:
    """Compare both screens on one random snapshot; return how many candidates it had."""
    snapshot = random_snapshot(seed)
    regime = (None, *MarketRegime)[seed % 5]
    candidates, report = screen(snapshot, WIDE_OPEN, regime=regime)
    weights = (WIDE_OPEN.regime_weights[regime] if regime else WIDE_OPEN.weights).model_dump()
    iv = dict.fromkeys(snapshot.underlyings) | {one.spread.underlying: one.parts.iv for one in candidates}
    contracts, pairs, passed = slow_screen(snapshot, WIDE_OPEN, weights, iv)

    assert report.eligible_contracts == contracts.pop(None, 0)
    assert report.rejected_contracts == contracts
    assert report.passed == pairs.pop(None, 0) == len(candidates) == sum(report.by_underlying.values())
    assert report.rejected_pairs == pairs
    assert report.contracts == report.eligible_contracts + sum(report.rejected_contracts.values())
    assert report.pairs == report.passed + sum(report.rejected_pairs.values())
    assert set(report.rejected_contracts) <= set(ContractRejection)
    assert set(report.rejected_pairs) <= set(PairRejection)

    found = {
        (
            one.spread.underlying,
            one.spread.spread_type,
            one.spread.expiration,
            one.spread.short_strike,
            one.spread.long_strike,
        ): (one.score, one.credit)
        for one in candidates
    }
    assert found.keys() == passed.keys()
    for key, figures in found.items():
        assert figures == pytest.approx(passed[key], abs=2e-9)
    assert [one.rank for one in candidates] == list(range(1, len(candidates) + 1))
    assert all(0 <= one.score <= 1 for one in candidates)
    assert sorted(candidates, key=lambda one: -one.score) == list(candidates)
    for one in candidates:
        assert 0 < one.credit < one.spread.width
        short, long = parse_symbol(one.spread.short_symbol), parse_symbol(one.spread.long_symbol)
        assert (short.underlying, short.expiration, short.right) == (long.underlying, long.expiration, long.right)
        assert (short.strike, long.strike) == (one.spread.short_strike, one.spread.long_strike)
    directions = {(one.spread.underlying, one.spread.spread_type) for one in candidates}
    assert len(report.nearest_misses) <= 2 * len(snapshot.underlyings) - len(directions)
    return len(candidates)


@pytest.mark.parametrize("chunk", range(67))
def test_the_screen_agrees_with_the_slow_one_on_any_chain(chunk):
    # 67,000 snapshots of one or two chains: 100,000 chains in all.
    for seed in range(1000 * chunk, 1000 * chunk + at_scale(1000)):
        try:
            check(seed)
        except Exception as error:
            raise AssertionError(f"random_snapshot({seed})") from error


def test_random_chains_have_candidates_and_every_rejection_so_that_the_comparison_means_something():
    reports = [screen(random_snapshot(seed), WIDE_OPEN)[1] for seed in range(400)]
    assert sum(report.passed > 0 for report in reports) > 50
    seen = {reason for report in reports for reason in (*report.rejected_contracts, *report.rejected_pairs)}
    # The last two take an arbitrage beside a missing volatility, and an overflow: tables in test_screen.py.
    assert {*ContractRejection, *PairRejection} - seen <= {"no_implied_volatility", "no_greeks"}
