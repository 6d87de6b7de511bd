"""Below the sample market, surface: prices and factors of one instant in, implied volatilities out.

At the money: the variance that the factors lead one to expect until expiration, times a premium. Away from it: SSVI
with a power-law function of exponent 1/2, which has no static arbitrage (Gatheral and Jacquier, *Arbitrage-free SVI
volatility surfaces*, 2014, equation 4.1 and corollary 4.1).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mahler_agents.market.sample.paths import FACTORS, LOADINGS
from mahler_agents.market.sample.world import INDEX, INSTRUMENTS, RISK_FREE_RATE, SESSIONS_PER_YEAR

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

_RATES = np.array([factor.rate for factor in FACTORS])
_VARIANCES = np.array([factor.deviation**2 for factor in FACTORS])
_LEVELS = np.log([i.median_volatility * i.variance_premium for i in INSTRUMENTS])
_SKEWS = np.array([i.skew for i in INSTRUMENTS])
_CURVATURES = np.array([i.curvature for i in INSTRUMENTS])

_DAYS_PER_YEAR = 365.0
VIX_DAYS, VIX_3_MONTH_DAYS = 30.0, 93.0
_VIX_OVER_AT_THE_MONEY = 1.08
"""The index weighs all strikes, so that skew puts it above at-the-money volatility."""


@dataclass(frozen=True, kw_only=True)
class MarketState:
    """The made-up market at one instant."""

    spot: Floats
    """Of each instrument, dollars per share, in whole cents."""
    factors: Floats
    """Log-volatility factors."""


def at_the_money(factors: Floats, instrument: ArrayLike, years: ArrayLike) -> Floats:
    """Return implied volatilities at the forward, annualised fractions; the last axis of `factors` is the factor's.

    A factor x that reverts at rate k stands, over n sessions, at w x on average, w = (1 - exp(-kn)) / kn; what it may
    yet do adds its variance times 1 - w^2, as the mean of a lognormal does.
    """
    sessions = np.asarray(years, dtype=np.float64)[..., None] * SESSIONS_PER_YEAR
    loadings = LOADINGS[np.asarray(instrument)]
    weights = -np.expm1(-_RATES * sessions) / (_RATES * sessions)
    exponent = (loadings * weights * factors + loadings**2 * _VARIANCES * (1 - weights**2)).sum(axis=-1)
    return np.exp(_LEVELS[np.asarray(instrument)] + exponent)


def implied_volatilities(
    state: MarketState, *, instrument: Indices, strike: Floats, years: Floats, dividend_yield: Floats
) -> Floats:
    """Return implied volatilities, annualised fractions; one row a contract, as are `years` and `dividend_yield`."""
    variance = at_the_money(state.factors, instrument, years) ** 2 * years  # total, at the forward
    log_moneyness = np.log(strike / state.spot[instrument]) - (RISK_FREE_RATE - dividend_yield) * years
    skew = _SKEWS[instrument]
    scaled = log_moneyness * _CURVATURES[instrument] / np.sqrt(variance * (1 + variance))
    total = variance / 2 * (1 + skew * scaled + np.sqrt((scaled + skew) ** 2 + 1 - skew**2))
    return np.sqrt(total / years)


def thirty_day_volatility(factors: Floats, instrument: int) -> Floats:
    """Return the 30-day at-the-money implied volatility, annualised fraction; the last axis of `factors` is gone."""
    return at_the_money(factors, instrument, VIX_DAYS / _DAYS_PER_YEAR)


def vix(factors: Floats) -> float:
    """Return the made-up VIX: SPY's 30-day volatility in points."""
    return float(index_points(factors, VIX_DAYS))


def vix_3_month(factors: Floats) -> float:
    """Return the 3-month point of the made-up VIX."""
    return float(index_points(factors, VIX_3_MONTH_DAYS))


def index_points(factors: Floats, days: float) -> Floats:
    """Return SPY's volatility as an index of so many days, in points; the last axis of `factors` is gone."""
    volatility = at_the_money(factors, INDEX["SPY"], days / _DAYS_PER_YEAR)
    return np.round(100 * _VIX_OVER_AT_THE_MONEY * volatility, 2)
