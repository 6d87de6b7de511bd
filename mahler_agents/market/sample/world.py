"""Below the sample market, world: the constants of the made-up market, chosen to look like the five real ETFs.

Levels, correlations, skews and liquidity are round figures of the right size; none is an estimate of anything.
"""

import datetime as dt
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from mahler_agents.market import calendar

FIRST_DATE = dt.date(2024, 1, 2)
"""First date that can be asked for."""
LAST_DATE = dt.date(2028, 12, 29)
"""Last date that can be asked for."""
HISTORY_START = dt.date(2020, 1, 2)
"""Where the paths begin: more than 1,000 sessions before `FIRST_DATE`."""
ANCHOR_DATE = dt.date(2026, 3, 16)
"""At whose open each underlying stands at its `anchor_price`, whatever the seed."""

RISK_FREE_RATE = 0.04
"""Of the made-up world: a constant, so that no table of real rates can move its prices."""

SESSIONS_PER_YEAR = 252


@dataclass(frozen=True, kw_only=True)
class VolatilityFactor:
    """A mean-reverting (Ornstein-Uhlenbeck) part of log volatility."""

    half_life: float
    """Sessions."""
    deviation: float
    """Stationary standard deviation."""
    leverage: float = 0.0
    """Correlation of its shocks with SPY's returns: markets that fall get wilder."""

    @property
    def rate(self) -> float:
        """Speed of mean reversion per session."""
        return float(np.log(2.0)) / self.half_life


MARKET_FACTORS = (
    VolatilityFactor(half_life=70.0, deviation=0.32, leverage=-0.45),
    VolatilityFactor(half_life=6.0, deviation=0.22, leverage=-0.75),
)
"""Slow and fast: quarters differ, and storms pass."""


@dataclass(frozen=True, kw_only=True)
class Instrument:
    """One underlying of the made-up market."""

    symbol: str
    anchor_price: float
    """Dollars per share."""
    drift: float
    """Expected return a year, dividends included."""
    median_volatility: float
    """Of its returns, annualised."""
    market_share: float
    """How much of the market's log volatility it takes part in."""
    own: VolatilityFactor
    """The part of its log volatility that is its own."""
    variance_premium: float
    """Implied over expected volatility: what sellers of options are paid for."""
    skew: float
    """Correlation parameter of the surface: below zero, puts are dearer than calls."""
    curvature: float
    """Steepness parameter of the surface."""
    strike_steps: tuple[float, float]
    """Dollars between strikes, of near and of far expirations."""
    nickel_above: float
    """Quotes at or above this price move in steps of 5 cents, below it of 1 cent."""
    quote_width: float
    """Bid-ask of an option worth one dollar, beyond the tick, in calm markets."""
    open_interest: float
    """Contracts in a busy monthly strike."""
    weekly_share: float
    """Open interest of a weekly expiration, as a share of a monthly one's."""
    share_volume: float
    """Shares in a median session."""
    dividend: float = 0.0
    """Dollars per share at each ex-date."""
    ex_months: tuple[int, ...] = ()
    ex_day: int = 15
    """The ex-date is the first session on or after this day of the month."""


_QUARTERLY = (3, 6, 9, 12)
_PENNIES = float("inf")

INSTRUMENTS = (
    Instrument(
        symbol="SPY", anchor_price=600.0, drift=0.08, median_volatility=0.120, market_share=1.0,
        own=VolatilityFactor(half_life=15, deviation=0.03), variance_premium=1.13, skew=-0.60, curvature=0.75,
        strike_steps=(5.0, 10.0), nickel_above=_PENNIES, quote_width=0.015, open_interest=9_000, weekly_share=0.17,
        share_volume=60e6, dividend=1.70, ex_months=_QUARTERLY, ex_day=18,
    ),
    Instrument(
        symbol="QQQ", anchor_price=520.0, drift=0.10, median_volatility=0.160, market_share=0.9,
        own=VolatilityFactor(half_life=15, deviation=0.06), variance_premium=1.12, skew=-0.64, curvature=0.72,
        strike_steps=(5.0, 10.0), nickel_above=_PENNIES, quote_width=0.020, open_interest=5_000, weekly_share=0.14,
        share_volume=40e6, dividend=0.73, ex_months=_QUARTERLY, ex_day=21,
    ),
    Instrument(
        symbol="IWM", anchor_price=225.0, drift=0.07, median_volatility=0.180, market_share=0.8,
        own=VolatilityFactor(half_life=15, deviation=0.07), variance_premium=1.10, skew=-0.55, curvature=0.72,
        strike_steps=(1.0, 5.0), nickel_above=_PENNIES, quote_width=0.030, open_interest=400, weekly_share=0.12,
        share_volume=30e6, dividend=0.63, ex_months=_QUARTERLY, ex_day=15,
    ),
    Instrument(
        symbol="TLT", anchor_price=90.0, drift=0.03, median_volatility=0.145, market_share=0.35,
        own=VolatilityFactor(half_life=40, deviation=0.22), variance_premium=1.12, skew=-0.05, curvature=0.70,
        strike_steps=(0.5, 1.0), nickel_above=3.0, quote_width=0.005, open_interest=5_000, weekly_share=0.12,
        share_volume=35e6, dividend=0.30, ex_months=tuple(range(1, 13)), ex_day=1,
    ),
    Instrument(
        symbol="GLD", anchor_price=280.0, drift=0.06, median_volatility=0.145, market_share=0.25,
        own=VolatilityFactor(half_life=40, deviation=0.25), variance_premium=1.09, skew=0.04, curvature=0.70,
        strike_steps=(1.0, 5.0), nickel_above=3.0, quote_width=0.055, open_interest=260, weekly_share=0.12,
        share_volume=9e6,
    ),
)  # fmt: skip

SYMBOLS = tuple(instrument.symbol for instrument in INSTRUMENTS)
INDEX = {symbol: index for index, symbol in enumerate(SYMBOLS)}

CORRELATIONS = np.array(
    [
        [1.00, 0.905, 0.89, -0.15, 0.05],
        [0.905, 1.00, 0.885, -0.12, 0.04],
        [0.89, 0.885, 1.00, -0.18, 0.05],
        [-0.15, -0.12, -0.18, 1.00, 0.10],
        [0.05, 0.04, 0.05, 0.10, 1.00],
    ]
)
"""Of returns, in the order of `INSTRUMENTS`."""


@lru_cache(maxsize=len(INSTRUMENTS))
def ex_dates(index: int) -> tuple[dt.date, ...]:
    """Return all ex-dividend dates of one instrument, in order, to half a year beyond `LAST_DATE`."""
    instrument = INSTRUMENTS[index]
    days = (
        dt.date(year, month, instrument.ex_day)
        for year in range(HISTORY_START.year, LAST_DATE.year + 2)
        for month in instrument.ex_months
    )
    return tuple(day if calendar.is_session(day) else calendar.next_session(day) for day in days)
