"""(e) Values, greeks and implied volatilities of 100,000 contracts, beside pyvolr, in turns within one run.

pyvolr is the fastest library that is right: a Rust core, on all cores. It values with five greeks, ours with those and
vanna, volga and charm. Our implied volatility is its own, after checks of what goes in: the ratio is what they cost.
"""

import json
from collections.abc import Callable, Mapping
from statistics import median
from time import perf_counter
from typing import NamedTuple

import numpy as np
from pyvolr import bs

from mahler_agents import pricing
from mahler_agents.market.snapshot import Bools, Floats

CONTRACTS = 100_000
SPOT, RATE, DIVIDEND_YIELD = 560.0, 0.04, 0.013


class Contracts(NamedTuple):
    """Puts and calls within 20 % of the spot, 20 to 120 days to go, at volatilities from 10 % to 50 %."""

    is_put: Bools
    strike: Floats
    years: Floats
    volatility: Floats


def contracts(seed: int = 7) -> Contracts:
    """Return 100,000 contracts, always the same for a seed."""
    rng = np.random.default_rng(seed)
    return Contracts(
        is_put=rng.random(CONTRACTS) < 0.5,
        strike=SPOT * rng.uniform(0.8, 1.2, CONTRACTS),
        years=rng.uniform(20, 120, CONTRACTS) / 365,
        volatility=rng.uniform(0.10, 0.50, CONTRACTS),
    )


def run(repeats: int = 25) -> dict[str, float]:
    """Return median milliseconds of ours and of pyvolr, their ratios, and the largest differences of the results."""
    c = contracts()
    flag = np.where(c.is_put, -1, 1).astype(np.int8)
    ours = {"is_put": c.is_put, "spot": SPOT, "strike": c.strike, "years": c.years, "rate": RATE}
    ours["dividend_yield"] = DIVIDEND_YIELD
    theirs = (flag, SPOT, c.strike, c.years, RATE)
    values = pricing.value(**ours, volatility=c.volatility)
    measured = _medians(
        {
            "price_8_greeks_ms": lambda: pricing.value(**ours, volatility=c.volatility),
            "pyvolr_5_greeks_ms": lambda: (
                bs.price(*theirs, c.volatility, DIVIDEND_YIELD),
                bs.greeks(*theirs, c.volatility, DIVIDEND_YIELD),
            ),
            "implied_ms": lambda: pricing.implied_volatility(price=values.price, **ours),
            "pyvolr_implied_ms": lambda: bs.implied_vol(values.price, *theirs, DIVIDEND_YIELD, on_error="ignore"),
        },
        repeats,
    )
    greeks = bs.greeks(*theirs, c.volatility, DIVIDEND_YIELD)
    off_delta = np.abs(greeks["delta"] - values.delta).max()
    implied = pricing.implied_volatility(price=values.price, **ours)
    sensitive = values.vega_per_vol_point > 0.01  # else the price does not tell the volatility
    return measured | {
        "greeks_to_pyvolr": round(measured["price_8_greeks_ms"] / measured["pyvolr_5_greeks_ms"], 2),
        "implied_to_pyvolr": round(measured["implied_ms"] / measured["pyvolr_implied_ms"], 2),
        "largest_delta_error": float(f"{off_delta:.1e}"),
        "largest_implied_error": float(f"{np.abs(implied - c.volatility)[sensitive].max():.1e}"),
    }


def _medians(calls: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Return each call's median milliseconds; they take turns, so that a busy machine is busy for all of them."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            since = perf_counter()
            call()
            times[name].append(perf_counter() - since)
    return {name: round(median(taken) * 1e3, 2) for name, taken in times.items()}


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
