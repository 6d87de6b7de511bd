"""Below the screen, pricing: contracts as columns in, European values, greeks and implied volatilities out.

Black-Scholes-Merton with a continuous dividend yield; formulas as in Hull, *Options, Futures, and Other Derivatives*
(chapters 17 and 19: price, delta, gamma, theta, vega, rho) and Haug, *The Complete Guide to Option Pricing Formulas*
(chapter 2: vanna as DdeltaDvol, volga as DvegaDvol or vomma, charm as DdeltaDtime). Cash dividends are escrowed (Hull,
section 15.12): what they are worth today leaves the price, as the yield that takes as much away until expiry.

All arguments broadcast against each other. Common units: `spot` and `strike` in dollars per share; `years` to expiry
(365 days a year); `rate` and `dividend_yield` annualised and continuously compounded; `volatility` an annualised
fraction (0.20 = 20 %). Where an input is NaN or impossible (spot, strike, years or volatility at or below zero) the
result is NaN, never a default.
"""

import datetime as dt
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pyvolr import bs
from scipy.special import ndtr

from mahler_agents.clock import NEW_YORK
from mahler_agents.errors import InputError

Floats = NDArray[np.float64]

DAYS_PER_YEAR = 365.0
"""Calendar days: option time runs over weekends too."""

_POINT = 0.01  # a volatility point, and a rate point
_INVERSE_SQRT_2_PI = 1.0 / np.sqrt(2.0 * np.pi)
_SECONDS_PER_DAY = 86_400
_CLOSE = 16 / 24  # of the day, New York: when the underlying stops trading
_BLOCK = 16_384  # contracts valued at a time: their temporaries stay in the processor's cache


@dataclass(frozen=True, kw_only=True)
class Valuation:
    """Value and greeks of long options, per share; arrays of one shape, NaN where an input was NaN or impossible."""

    price: Floats
    """Dollars."""
    delta: Floats
    """Dollars per dollar of the underlying."""
    gamma: Floats
    """Delta per dollar of the underlying."""
    theta_per_day: Floats
    """Dollars per calendar day that passes."""
    vega_per_vol_point: Floats
    """Dollars per volatility point (0.01)."""
    rho_per_rate_point: Floats
    """Dollars per percentage point of the risk-free rate (0.01)."""
    vanna_per_vol_point: Floats
    """Delta per volatility point."""
    volga_per_vol_point: Floats
    """Change of `vega_per_vol_point` per volatility point."""
    charm_per_day: Floats
    """Delta per calendar day that passes."""


def years_to_expiry(as_of: dt.datetime, expiration: ArrayLike) -> Floats:
    """Return the years from `as_of` (aware) to 16:00 New York on each `expiration` (`datetime64[D]` or dates).

    Counted on New York wall time, 365 days a year; zero or negative once expired, NaN without an expiration.
    """
    local = as_of.astimezone(NEW_YORK)
    today = np.datetime64(local.date(), "D")
    days = (np.asarray(expiration, dtype="datetime64[D]") - today) / np.timedelta64(1, "D")
    time_of_day = (local.hour * 3600 + local.minute * 60 + local.second) / _SECONDS_PER_DAY
    return (days + _CLOSE - time_of_day) / DAYS_PER_YEAR


def dividends_present_value(
    *, ex_date: ArrayLike, dollars: ArrayLike, as_of: dt.datetime, expiration: ArrayLike, rate: float
) -> Floats:
    """Return what the dividends inside each option's life are worth at `as_of`, dollars per share, one an expiration.

    Inside are those with an ex-date after `as_of`'s New York date, on or before the expiration; each is discounted from
    its ex-date. `ex_date` and `dollars` have one row a dividend. Raises `InputError` for an amount below zero or that
    is no number.
    """
    dates, amounts = np.asarray(ex_date, dtype="datetime64[D]"), np.asarray(dollars, dtype=np.float64)
    for bad in np.flatnonzero(~((amounts >= 0) & (amounts < np.inf))):
        raise InputError(f"a dividend of {amounts[bad]:g} dollars on {dates[bad]}: give an amount of zero or above")
    worth = amounts * np.exp(-rate * years_to_expiry(as_of, dates))
    coming = dates > np.datetime64(as_of.astimezone(NEW_YORK).date(), "D")
    inside = coming & (dates <= np.asarray(expiration, dtype="datetime64[D]")[..., np.newaxis])
    return np.where(inside, worth, 0.0).sum(axis=-1)


def dividend_yield(*, present_value: ArrayLike, spot: ArrayLike, years: ArrayLike) -> Floats:
    """Return the yields that take dividends worth `present_value` (dollars per share) out of the price until expiry.

    q = -ln(1 - present value / spot) / years. NaN where the dividends are worth the price or more, and as everywhere
    for an impossible input; 0 without dividends.
    """
    worth, price, time = (np.asarray(column, dtype=np.float64) for column in (present_value, spot, years))
    with np.errstate(all="ignore"):
        possible = (worth >= 0) & (worth < price) & (price < np.inf) & ((time > 0) | (worth == 0))
        return np.where(possible, -np.log1p(-worth / price) / np.where(worth > 0, time, 1.0) + 0.0, np.nan)


def price(
    *,
    is_put: ArrayLike,
    spot: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    rate: ArrayLike,
    volatility: ArrayLike,
    dividend_yield: ArrayLike = 0.0,
) -> Floats:
    """Return the values of European options, dollars per share (Hull, equations 17.4 and 17.5)."""
    c = _columns(is_put, spot, strike, years, rate, dividend_yield, volatility)
    with np.errstate(all="ignore"):
        d1, d2 = _d1_d2(c)
        cash, asset = c.strike * np.exp(-c.rate * c.years), c.spot * np.exp(-c.carry * c.years)
        return c.sign * (asset * ndtr(c.sign * d1) - cash * ndtr(c.sign * d2))


def value(
    *,
    is_put: ArrayLike,
    spot: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    rate: ArrayLike,
    volatility: ArrayLike,
    dividend_yield: ArrayLike = 0.0,
) -> Valuation:
    """Return price and greeks of long European options; see `Valuation` for the units."""
    columns = _columns(is_put, spot, strike, years, rate, dividend_yield, volatility)
    shape, count = columns.sign.shape, columns.sign.size
    flat = [column.ravel() for column in columns]
    out = np.empty((9, count))
    with np.errstate(all="ignore"):
        for start in range(0, count, _BLOCK):
            block = slice(start, start + _BLOCK)
            _fill(out[:, block], _Columns(*(column[block] for column in flat)))
    rows = out.reshape(9, *shape)
    return Valuation(
        price=rows[0],
        delta=rows[1],
        gamma=rows[2],
        theta_per_day=rows[3],
        vega_per_vol_point=rows[4],
        rho_per_rate_point=rows[5],
        vanna_per_vol_point=rows[6],
        volga_per_vol_point=rows[7],
        charm_per_day=rows[8],
    )


def implied_volatility(
    *,
    price: ArrayLike,
    is_put: ArrayLike,
    spot: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    rate: ArrayLike,
    dividend_yield: ArrayLike = 0.0,
) -> Floats:
    """Return the volatilities at which European options are worth `price` (dollars per share), annualised fractions.

    NaN where there is none: price at or below zero or the option's lower bound, at or above its upper bound, expired,
    or any input NaN or impossible. Solved by `pyvolr` (after Jaeckel, *Let's Be Rational*, 2015).
    """
    c = _columns(is_put, spot, strike, years, rate, dividend_yield, price)
    target = c.volatility  # the last column, here the price
    with np.errstate(all="ignore"):
        asset, cash = c.spot * np.exp(-c.carry * c.years), c.strike * np.exp(-c.rate * c.years)
        lower = np.maximum(c.sign * (asset - cash), 0.0)
        upper = np.where(c.sign > 0, asset, cash)
        solvable = _possible(c) & (target > lower) & (target < upper)
    result = np.full(target.shape, np.nan)
    if solvable.any():
        sign, s, k, t, r, q, p = (column[solvable] for column in c)
        found = np.asarray(bs.implied_vol(p, sign, s, k, t, r, q, on_error="ignore"))
        result[solvable] = np.where(found > 0, found, np.nan)
    return result


class _Columns(NamedTuple):
    """The inputs as arrays of one shape."""

    sign: Floats
    """1 for calls, -1 for puts."""
    spot: Floats
    strike: Floats
    years: Floats
    rate: Floats
    carry: Floats
    """Dividend yield."""
    volatility: Floats


def _columns(is_put: ArrayLike, *others: ArrayLike) -> _Columns:
    """Return the inputs, in the order of `_Columns`, as arrays of one shape."""
    sign = np.where(np.asarray(is_put, dtype=np.bool_), -1.0, 1.0)
    return _Columns(*np.broadcast_arrays(sign, *(np.asarray(other, dtype=np.float64) for other in others)))


def _possible(c: _Columns) -> NDArray[np.bool_]:
    """Return the rows in which spot, strike, years and volatility are above zero and nothing is infinite."""
    positive = np.minimum(np.minimum(c.spot, c.strike), np.minimum(c.years, c.volatility))
    total = c.spot + c.strike + c.years + c.volatility + np.abs(c.rate) + np.abs(c.carry)
    return (positive > 0) & (total < np.inf)


def _d1_d2(c: _Columns) -> tuple[Floats, Floats]:
    """Return d1 and d2 (Hull, equation 17.4); NaN in impossible rows, so that all that follows from them is NaN."""
    deviation = np.where(_possible(c), c.volatility * np.sqrt(c.years), np.nan)
    drift = (c.rate - c.carry + 0.5 * c.volatility * c.volatility) * c.years
    d1 = (np.log(c.spot / c.strike) + drift) / deviation
    return d1, d1 - deviation


def _fill(out: Floats, c: _Columns) -> None:
    """Write the nine rows of `Valuation` for one block of contracts."""
    d1, d2 = _d1_d2(c)
    root_t = np.sqrt(c.years)
    carried = np.exp(-c.carry * c.years)
    asset, cash = c.spot * carried, c.strike * np.exp(-c.rate * c.years)
    n1, n2 = c.sign * ndtr(c.sign * d1), c.sign * ndtr(c.sign * d2)  # N(d) for calls, -N(-d) for puts
    density = carried * np.exp(-0.5 * d1 * d1) * _INVERSE_SQRT_2_PI
    vega = c.spot * density * root_t

    out[0] = asset * n1 - cash * n2
    out[1] = carried * n1
    out[2] = density / (c.spot * c.volatility * root_t)
    decay = 0.5 * c.spot * density * c.volatility / root_t
    out[3] = (c.carry * asset * n1 - c.rate * cash * n2 - decay) / DAYS_PER_YEAR
    out[4] = vega * _POINT
    out[5] = cash * c.years * n2 * _POINT
    out[6] = -density * d2 / c.volatility * _POINT
    out[7] = vega * d1 * d2 / c.volatility * (_POINT * _POINT)
    drift = (c.rate - c.carry) / (c.volatility * root_t) - 0.5 * d2 / c.years
    out[8] = (c.carry * out[1] - density * drift) / DAYS_PER_YEAR
