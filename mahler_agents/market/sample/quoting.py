"""Below the sample market, quoting: contracts and the market's state in; quotes, interest and gaps of the feed out.

European values (the real options are American: a value below intrinsic is lifted to it), a bid and an ask around
them on the exchange's tick, and per contract noise that depends on nothing but the contract and the day.
"""

import datetime as dt
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mahler_agents import pricing
from mahler_agents.market.sample.listing import MONTHLY_DAYS, WEEKLY_DAYS, Contracts, is_monthly
from mahler_agents.market.sample.noise import Topic, normal, uniform
from mahler_agents.market.sample.paths import MARKET
from mahler_agents.market.sample.surface import MarketState, implied_volatilities
from mahler_agents.market.sample.world import INSTRUMENTS, RISK_FREE_RATE, ex_dates

Floats = NDArray[np.float64]

_SHORTEST_YEARS = 60 / (86_400 * pricing.DAYS_PER_YEAR)
"""A minute: at the very close there is no time left, and no formula."""

_CENT, _NICKEL = 0.01, 0.05
_NICKEL_ABOVE = np.array([i.nickel_above for i in INSTRUMENTS])
_QUOTE_WIDTHS = np.array([i.quote_width for i in INSTRUMENTS])
_OPEN_INTEREST = np.array([i.open_interest for i in INSTRUMENTS])
_WEEKLY_SHARES = np.array([i.weekly_share for i in INSTRUMENTS])
_SKEWED = np.array([i.skew < -0.3 for i in INSTRUMENTS])

_OLDEST_QUOTE_SECONDS = 120.0
_MISSING_SHARE = 0.03
_TURNOVER = 0.15
"""Contracts traded in a median session, as a share of open interest."""


@dataclass(frozen=True, kw_only=True)
class Quoted:
    """Bid and ask of contracts at one instant, dollars per share, and what they were made from."""

    bid: Floats
    ask: Floats
    age_seconds: Floats
    years: Floats
    volatility: Floats
    dividend_yield: Floats


def quote(seed: int, contracts: Contracts, state: MarketState, at: dt.datetime, seconds_open: float) -> Quoted:
    """Return the quotes at the instant `at`, `seconds_open` after the session's opening."""
    years = pricing.years_to_expiry(at, contracts.expiration) - contracts.early_close_years
    years = np.maximum(years, _SHORTEST_YEARS)
    dividend_yield = _dividend_yield(contracts, state, at, years)
    volatility = implied_volatilities(
        state,
        instrument=contracts.instrument,
        strike=contracts.strike,
        years=years,
        dividend_yield=dividend_yield,
    )
    spot = state.spot[contracts.instrument]
    european = pricing.price(
        is_put=contracts.is_put,
        spot=spot,
        strike=contracts.strike,
        years=years,
        rate=RISK_FREE_RATE,
        volatility=volatility,
        dividend_yield=dividend_yield,
    )
    intrinsic = np.where(contracts.is_put, contracts.strike - spot, spot - contracts.strike)
    fair = np.maximum(european, np.maximum(intrinsic, 0.0))
    bid, ask = _around(seed, contracts, state, fair)
    slot = int(at.timestamp()) // 300
    freshness = uniform(seed, Topic.QUOTE_AGE, contracts.identity, slot)
    return Quoted(
        bid=bid,
        ask=ask,
        age_seconds=np.minimum(np.round(_OLDEST_QUOTE_SECONDS * freshness**3, 1), seconds_open),
        years=years,
        volatility=volatility,
        dividend_yield=dividend_yield,
    )


def _dividend_yield(contracts: Contracts, state: MarketState, at: dt.datetime, years: Floats) -> Floats:
    """Return what the dividends inside each contract's life come to, as a yield."""
    worth = np.zeros(len(contracts))
    for index in np.unique(contracts.instrument).tolist():
        mine = np.flatnonzero(contracts.instrument == index)
        expirations, place = np.unique(contracts.expiration[mine], return_inverse=True)
        dates = np.asarray(ex_dates(index), dtype="datetime64[D]")
        worth[mine] = pricing.dividends_present_value(
            ex_date=dates,
            dollars=np.full(len(dates), INSTRUMENTS[index].dividend),
            as_of=at,
            expiration=expirations,
            rate=RISK_FREE_RATE,
        )[place]
    return pricing.dividend_yield(present_value=worth, spot=state.spot[contracts.instrument], years=years)


def _around(seed: int, contracts: Contracts, state: MarketState, fair: Floats) -> tuple[Floats, Floats]:
    """Return bid and ask, the fair value between them: wider for dear options and in storms, at least a tick apart."""
    storm = float(np.exp(max(0.0, state.factors[:MARKET].sum())))
    own = np.exp(0.35 * normal(seed, Topic.SPREAD, contracts.identity))
    half = 0.5 * (_CENT + _QUOTE_WIDTHS[contracts.instrument] * np.sqrt(fair) * storm * own)
    low, high = np.maximum(fair - half, 0.0), fair + half
    tick = np.where(fair >= _NICKEL_ABOVE[contracts.instrument], _NICKEL, _CENT)
    between = (fair / tick).round(6)
    bid_ticks = np.minimum((low / tick).round(6).round(), np.floor(between))
    ask_ticks = np.maximum(np.maximum((high / tick).round(6).round(), np.ceil(between)), bid_ticks + 1)
    return (bid_ticks * tick).round(2), (ask_ticks * tick).round(2)


def open_interest(seed: int, contracts: Contracts, date: dt.date, reference: float, volatility: float) -> Floats:
    """Return the open interest on a date: gathers as expiration nears, at round strikes and in monthly expirations.

    `reference` (dollars per share) and `volatility` (annualised) are those of the session before.
    """
    days = (contracts.expiration - np.datetime64(date)).astype(np.float64)
    monthly = np.array([is_monthly(day) for day in contracts.expiration.astype(object).tolist()], dtype=np.bool_)
    listed_days = np.where(monthly, MONTHLY_DAYS, WEEKLY_DAYS)
    age = np.clip(1.0 - days / (listed_days + 1.0), 0.0, 1.0)
    distance = np.log(contracts.strike / reference) / (volatility * np.sqrt((days + 1) / pricing.DAYS_PER_YEAR))
    peak = np.where(contracts.is_put, -0.9, 0.7)
    shape = np.exp(-0.5 * ((distance - peak) / 1.1) ** 2)
    sought = np.where(_SKEWED[contracts.instrument], np.where(contracts.is_put, 1.6, 0.5), 1.0)
    expected = (
        _OPEN_INTEREST[contracts.instrument]
        * np.where(monthly, 1.0, _WEEKLY_SHARES[contracts.instrument])
        * age**2
        * shape
        * sought
    )
    own = np.exp(0.7 * normal(seed, Topic.OPEN_INTEREST, contracts.identity))
    return np.floor(expected * _roundness(contracts.strike) * own)


def _roundness(strike: Floats) -> Floats:
    """Return how strikes draw interest: most at tens, then fives, then whole dollars."""
    return np.select([strike % 10 == 0, strike % 5 == 0, strike % 1 == 0], [1.0, 0.6, 0.25], default=0.1)


def session_volume(seed: int, contracts: Contracts, interest: Floats, date: dt.date) -> Floats:
    """Return the contracts that trade in the whole session of a date."""
    noise = normal(seed, Topic.VOLUME, contracts.identity, date.toordinal())
    return np.floor(_TURNOVER * interest * np.exp(noise))


def without_greeks(seed: int, contracts: Contracts, date: dt.date) -> NDArray[np.bool_]:
    """Return the contracts for which the feed has no implied volatility and no greeks on a date."""
    return uniform(seed, Topic.MISSING, contracts.identity, date.toordinal()) < _MISSING_SHARE
