"""Below the sample market, history: paths and a session in, what its morning knows of the sessions before out."""

from functools import lru_cache

import numpy as np

from mahler_agents.market import calendar
from mahler_agents.market.sample.caching import read_only
from mahler_agents.market.sample.headlines import SessionMove
from mahler_agents.market.sample.paths import Paths, simulate_paths
from mahler_agents.market.sample.surface import Floats, thirty_day_volatility
from mahler_agents.market.snapshot import Bars, VolatilityHistory

_BARS = 1000
_VOLATILITY_DAYS = 500
_NEWS_SESSIONS = 5


@lru_cache(maxsize=64)
def bars(seed: int, index: int, row: int) -> Bars:
    """Return the 1,000 daily bars of one instrument before the session `row`."""
    paths = simulate_paths(seed)
    rows = slice(row - _BARS, row)
    prices = _cents(paths.log_price[rows, :, index])
    return read_only(
        Bars(
            date=np.asarray(paths.dates[rows], dtype="datetime64[D]"),
            open=prices[:, 0],
            high=prices.max(axis=1),
            low=prices.min(axis=1),
            close=prices[:, -1],
            volume=paths.share_volume[rows, index],
        )
    )


@lru_cache(maxsize=64)
def volatility_history(seed: int, index: int, row: int) -> VolatilityHistory:
    """Return the 30-day at-the-money implied volatility at the 500 closes before the session `row`."""
    paths = simulate_paths(seed)
    rows = slice(row - _VOLATILITY_DAYS, row)
    return read_only(
        VolatilityHistory(
            date=np.asarray(paths.dates[rows], dtype="datetime64[D]"),
            implied_volatility=thirty_day_volatility(paths.factors[rows, -1], index),
        )
    )


def close(paths: Paths, index: int, row: int) -> float:
    """Return the close of one instrument, dollars per share."""
    return float(_cents(paths.log_price[row, -1, index]))


def recent_moves(paths: Paths, index: int, row: int) -> list[SessionMove]:
    """Return the moves of the last 5 sessions before the session `row`."""
    closes = _cents(paths.log_price[row - _NEWS_SESSIONS - 1 : row, -1, index])
    changes = (closes[1:] / closes[:-1] - 1).tolist()
    dates = paths.dates[row - _NEWS_SESSIONS : row]
    return [SessionMove(close=calendar.session_close(d), change=c) for d, c in zip(dates, changes, strict=True)]


def _cents(log_price: Floats) -> Floats:
    return np.exp(log_price).astype(np.float64, copy=False).round(2)
