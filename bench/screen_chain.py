"""Time the screen on one chain of 10,000 contracts: `python -m bench.screen_chain` from the checkout."""

import datetime as dt
import json
from statistics import median
from time import perf_counter

import numpy as np

from mahler_agents import pricing
from mahler_agents.market.snapshot import Bars, Dividend, MarketData, Snapshot, VolatilityHistory, chain_from_columns
from mahler_agents.screen import screen

AS_OF = dt.datetime(2026, 3, 16, 14, 0, tzinfo=dt.UTC)
SPOT, RATE = 560.0, 0.04
DTES = (4, 11, 18, 25, 32, 39, 44, 53, 67, 95)
STRIKES = np.arange(310.0, 810.0, 1.0)


def snapshot(*, greeks: bool, seed: int = 7) -> Snapshot:
    """Return a chain of 10 expirations, 500 strikes and two types, with or without the source's greeks."""
    rng = np.random.default_rng(seed)
    expirations = np.datetime64(AS_OF.date(), "D") + np.array(DTES)
    expiration, strike, is_put = (
        grid.ravel() for grid in np.meshgrid(expirations, STRIKES, [True, False], indexing="ij")
    )
    volatility = 0.19 - 0.9 * np.log(strike / SPOT) * (strike < SPOT) + 0.3 * np.log(strike / SPOT) * (strike > SPOT)
    years = pricing.years_to_expiry(AS_OF, expiration)
    values = pricing.value(
        is_put=is_put, spot=SPOT, strike=strike, years=years, rate=RATE, volatility=volatility, dividend_yield=0.0
    )
    half = 0.005 + 0.02 * values.price * rng.random(len(strike))
    symbols = [
        f"SPY{day.item():%y%m%d}{'P' if put else 'C'}{round(k * 1000):08d}"
        for day, k, put in zip(expiration, strike, is_put, strict=True)
    ]
    columns = {
        "symbol": symbols,
        "is_put": is_put,
        "expiration": expiration,
        "strike": strike,
        "bid": np.maximum(np.round(values.price - half, 2), 0),
        "ask": np.round(values.price + half, 2) + 0.01,
        "quote_age_seconds": np.full(len(strike), 900.0),
        "volume": rng.integers(0, 2000, len(strike)),
        "open_interest": rng.integers(0, 5000, len(strike)),
        "multiplier": np.full(len(strike), 100.0),
    }
    if greeks:
        names = ("delta", "gamma", "theta_per_day", "vega_per_vol_point")
        columns |= {"implied_volatility": volatility} | {name: getattr(values, name) for name in names}
    days = np.datetime64(AS_OF.date(), "D") - np.arange(365, 0, -1)
    history = VolatilityHistory(date=days, implied_volatility=rng.uniform(0.12, 0.35, len(days)))
    none = np.empty(0)
    market = MarketData(
        chain=chain_from_columns("SPY", SPOT, columns),
        bars=Bars(date=days[:0], open=none, high=none, low=none, close=none, volume=none),
        volatility_history=history,
        dividends=tuple(Dividend(ex_date=AS_OF.date() + dt.timedelta(days=days), dollars=1.7) for days in (4, 95)),
    )
    return Snapshot(
        as_of=AS_OF, market="bench", source="made up", synthetic=True, underlyings={"SPY": market}, risk_free_rate=RATE
    )


def run(repeats: int = 30) -> dict[str, float]:
    """Return the median milliseconds of a screen of 10,000 contracts, with and without greeks from the source."""
    measured: dict[str, float] = {}
    for name, greeks in (("given_greeks", True), ("computed_greeks", False)):
        market = snapshot(greeks=greeks)
        candidates, report = screen(market)
        times: list[float] = []
        for _ in range(repeats):
            start = perf_counter()
            screen(market)
            times.append(perf_counter() - start)
        measured[f"{name}_ms"] = round(median(times) * 1e3, 2)
        measured[f"{name}_best_ms"] = round(min(times) * 1e3, 2)
        measured |= {
            "contracts": report.contracts,
            "eligible": report.eligible_contracts,
            "pairs": report.pairs,
            "passed": report.passed,
            "candidates": len(candidates),
        }
    return measured


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
