"""Below the sample market, paths: a seed in, prices and volatility factors on a grid of 5 minutes out.

Log volatility is a sum of Ornstein-Uhlenbeck factors (Scott, 1987), two of the market and one of each underlying;
returns are correlated normals of that volatility. The nights are one step that weighs as `_NIGHT` of a session.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mahler_agents.market import calendar
from mahler_agents.market.sample.caching import read_only
from mahler_agents.market.sample.world import (
    ANCHOR_DATE,
    CORRELATIONS,
    HISTORY_START,
    INSTRUMENTS,
    LAST_DATE,
    MARKET_FACTORS,
    SESSIONS_PER_YEAR,
    ex_dates,
)

Floats = NDArray[np.float64]
Counts = NDArray[np.intp]

GRID_MINUTES = 5
STEPS = 78
"""Steps of a full session: 6.5 hours of 5 minutes; the grid has one point more."""

_NIGHT = 0.3
_STEP_WEIGHTS = np.array([_NIGHT] + [(1.0 - _NIGHT) / STEPS] * STEPS)  # in sessions; the night comes first

FACTORS = (*MARKET_FACTORS, *(instrument.own for instrument in INSTRUMENTS))
"""All volatility factors: the market's, then each instrument's own."""

MARKET = len(MARKET_FACTORS)

LOADINGS = np.hstack(
    [np.repeat([[instrument.market_share] for instrument in INSTRUMENTS], MARKET, axis=1), np.eye(len(INSTRUMENTS))]
)
"""How much of each factor (column) an instrument's log volatility (row) takes in."""

_LOG_MEDIANS = np.log([instrument.median_volatility for instrument in INSTRUMENTS])


@dataclass(frozen=True, kw_only=True)
class Paths:
    """The whole history of one seed; read-only arrays, first axis the session, second the point of the day's grid.

    On half-days the points after the close repeat it.
    """

    dates: tuple[dt.date, ...]
    rows: Mapping[dt.date, int]
    """Date -> index of the session."""
    last_point: Counts
    """Index of each session's close on the grid: 78, or 42 on half-days."""
    log_price: Floats
    """(session, point, instrument), of dollars per share."""
    factors: Floats
    """(session, point, factor), log volatility."""
    share_volume: Floats
    """(session, instrument), shares."""


@lru_cache(maxsize=2)
def simulate_paths(seed: int) -> Paths:
    """Return the history of one seed, the same on every call; about 0.2 s and 20 MB, kept for the last two seeds."""
    dates = calendar.sessions(HISTORY_START, LAST_DATE)
    last_point = np.array([_points(date) for date in dates])
    shocks = np.random.default_rng([seed, 0]).standard_normal((len(dates), 1 + STEPS, len(INSTRUMENTS) + len(FACTORS)))
    returns = shocks[..., : len(INSTRUMENTS)] @ np.linalg.cholesky(CORRELATIONS).T
    leverage = np.array([factor.leverage for factor in FACTORS])
    own = shocks[..., len(INSTRUMENTS) :]
    factors = _factors(leverage * returns[..., :1] + np.sqrt(1 - leverage**2) * own, last_point, seed)
    log_price = _log_prices(returns, factors, last_point)
    log_price += np.log([i.anchor_price for i in INSTRUMENTS]) - log_price[dates.index(ANCHOR_DATE), 0]
    log_price += _log_shares_left(log_price[:, -1], dates)[:, None]
    return read_only(
        Paths(
            dates=dates,
            rows={date: row for row, date in enumerate(dates)},
            last_point=last_point,
            log_price=log_price,
            factors=factors,
            share_volume=_share_volumes(factors, seed),
        )
    )


def _points(date: dt.date) -> int:
    hours = calendar.session(date)
    return int((hours.close - hours.open) / dt.timedelta(minutes=GRID_MINUTES))


def _factors(shocks: Floats, last_point: Counts, seed: int) -> Floats:
    """Return the factors' exact discretisation, driven by standard normal `shocks` (session, night and steps, factor).

    Within a day x[j] = a^j x[0] + sum of a^(j-i) b shock[i], one product of matrices a factor; only the openings
    have to follow each other.
    """
    rates = np.array([factor.rate for factor in FACTORS])
    deviations = np.array([factor.deviation for factor in FACTORS])
    night, step = (np.exp(-rates * weight) for weight in _STEP_WEIGHTS[:2])
    points = np.arange(STEPS + 1)
    fading = step ** points[:, None]  # (point, factor)
    driven = np.empty((len(shocks), STEPS + 1, len(FACTORS)))
    for k, factor_shocks in enumerate(np.moveaxis(shocks[:, 1:], -1, 0)):
        response = np.tril(step[k] ** np.maximum(points[:, None] - points[1:], 0), k=-1)
        driven[..., k] = deviations[k] * np.sqrt(1 - step[k] ** 2) * factor_shocks @ response.T
    opening = deviations * np.random.default_rng([seed, 1]).standard_normal(len(FACTORS))
    overnight = deviations * np.sqrt(1 - night**2) * shocks[:, 0]
    openings = np.empty((len(shocks), len(FACTORS)))
    for day, last in enumerate(last_point):
        openings[day] = opening
        closing = fading[last] * opening + driven[day, last]
        opening = night * closing + overnight[min(day + 1, len(shocks) - 1)]
    return _held_after_close(fading * openings[:, None] + driven, last_point)


def _log_prices(returns: Floats, factors: Floats, last_point: Counts) -> Floats:
    """Return log prices that begin anywhere and pay nothing: each step has the volatility that stood at its start."""
    closing = np.take_along_axis(factors, last_point[:, None, None], axis=1)
    before_night = np.concatenate([factors[:1, :1], closing[:-1]])
    at_start = np.concatenate([before_night, factors[:, :-1]], axis=1)
    deviation = np.exp(_LOG_MEDIANS + at_start @ LOADINGS.T) / np.sqrt(SESSIONS_PER_YEAR)
    drift = np.array([i.drift for i in INSTRUMENTS]) / SESSIONS_PER_YEAR
    weights = _STEP_WEIGHTS[:, None]
    steps = deviation * np.sqrt(weights) * returns + (drift - 0.5 * deviation**2) * weights
    within = np.concatenate([np.zeros_like(steps[:, :1]), np.cumsum(steps[:, 1:], axis=1)], axis=1)
    within = _held_after_close(within, last_point)
    openings = np.cumsum(steps[:, 0], axis=0)
    openings[1:] += np.cumsum(within[:-1, -1], axis=0)
    return openings[:, None] + within


def _log_shares_left(closing: Floats, dates: tuple[dt.date, ...]) -> Floats:
    """Return how much of the price each session is left after all dividends, log, 0 on `ANCHOR_DATE`.

    Whoever holds the price that pays nothing, and sells of it each dividend at the close before its ex-date, holds this
    share of it: the price less dividends. `closing` are the log prices that pay nothing, (session, instrument).
    """
    days = np.asarray(dates, dtype="datetime64[D]")
    sold = np.zeros_like(closing)
    for index, instrument in enumerate(INSTRUMENTS):
        going_ex = np.flatnonzero(np.isin(days[1:], np.asarray(ex_dates(index), dtype="datetime64[D]")))
        sold[going_ex + 1, index] = instrument.dividend / np.exp(closing[going_ex, index])
    left = 1.0 - np.cumsum(sold, axis=0)
    return np.log1p(left - left[dates.index(ANCHOR_DATE)])


def _held_after_close(path: Floats, last_point: Counts) -> Floats:
    points = np.minimum(np.arange(path.shape[1]), last_point[:, None])
    return np.take_along_axis(path, points[..., None], axis=1)


def _share_volumes(factors: Floats, seed: int) -> Floats:
    """Return the shares traded: more of them in wild markets."""
    noise = np.random.default_rng([seed, 2]).standard_normal((len(factors), len(INSTRUMENTS)))
    wildness = factors[:, -1] @ LOADINGS.T
    medians = np.array([instrument.share_volume for instrument in INSTRUMENTS])
    return (medians * np.exp(0.6 * wildness + 0.2 * noise)).round()
