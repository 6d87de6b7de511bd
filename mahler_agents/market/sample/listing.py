"""Below the sample market, listing: a date in, the option contracts that are listed on it out, as columns.

Weekly expirations for 8 weeks, monthly ones for half a year; strikes on a grid that is finer for near expirations.
"""

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mahler_agents.market import calendar
from mahler_agents.market.occ import ContractTerms, Right, format_symbol
from mahler_agents.market.sample.noise import Keys
from mahler_agents.market.sample.world import INDEX, INSTRUMENTS, SYMBOLS
from mahler_agents.pricing import DAYS_PER_YEAR

Floats = NDArray[np.float64]

WEEKLY_DAYS = 56
"""Weekly expirations are listed this many calendar days ahead."""
MONTHLY_DAYS = 186
_FINE_GRID_DAYS = 46

_FRIDAY = 4
_FULL_SESSION = dt.timedelta(hours=6.5)

# How far from the reference price strikes are shown, in standard deviations until expiration: the wings that trade,
# and a little of the money side.
_PUT_RANGE = (-2.8, 0.2)
_CALL_RANGE = (-0.2, 2.3)
_NEAR_DAYS, _NEAR_REACH = 10, 1.6  # the last days' strikes were listed when the range was wider


@dataclass(frozen=True, kw_only=True)
class Contracts:
    """Contracts as columns, one row each."""

    symbol: NDArray[np.str_]
    instrument: NDArray[np.intp]
    """Index in `INSTRUMENTS`."""
    is_put: NDArray[np.bool_]
    expiration: NDArray[np.datetime64]
    strike: Floats
    early_close_years: Floats
    """How much before 16:00 New York the expiration's session closes, in years."""
    identity: Keys
    """The contract as one number: the key of its noise."""

    def __len__(self) -> int:
        return len(self.symbol)


@lru_cache(maxsize=512)
def expirations(date: dt.date) -> tuple[dt.date, ...]:
    """Return the expirations listed on a session's date, in order, its own among them."""
    fridays = (date + dt.timedelta(days=days) for days in range(MONTHLY_DAYS + 1))
    listed = (
        _trading_day(friday)
        for friday in fridays
        if friday.weekday() == _FRIDAY and ((friday - date).days <= WEEKLY_DAYS or _is_third(friday))
    )
    return tuple(day for day in listed if day >= date)


@lru_cache(maxsize=1024)
def is_monthly(expiration: dt.date) -> bool:
    """Return whether an expiration is that of a third Friday, be it moved by a holiday."""
    friday = expiration + dt.timedelta(days=_FRIDAY - expiration.weekday())
    return _is_third(friday) and _trading_day(friday) == expiration


def is_listed(terms: ContractTerms, date: dt.date) -> bool:
    """Return whether a contract has a market on a date: its expiration is listed, its strike on the finest grid."""
    index = INDEX.get(terms.underlying)
    if index is None or terms.expiration not in expirations(date):
        return False
    return (terms.strike / INSTRUMENTS[index].strike_steps[0]).is_integer()


def shown_contracts(index: int, date: dt.date, reference: float, volatility: float) -> Contracts:
    """Return the contracts that the chain of one instrument shows on a date.

    `reference` is the price (dollars per share) and `volatility` the annualised implied volatility, both of the
    session before: they set the range of strikes.
    """
    return contracts([terms for day in expirations(date) for terms in _strip(index, date, day, reference, volatility)])


def contracts(terms: Sequence[ContractTerms]) -> Contracts:
    """Return contracts of any instruments as columns."""
    instrument = np.array([INDEX[t.underlying] for t in terms], dtype=np.intp)
    is_put = np.array([t.right == "put" for t in terms], dtype=np.bool_)
    expiration = np.array([t.expiration for t in terms], dtype="datetime64[D]")
    strike = np.array([t.strike for t in terms], dtype=np.float64)
    thousandths = np.round(strike * 1000).astype(np.uint64)
    days = expiration.astype(np.int64).astype(np.uint64)
    return Contracts(
        symbol=np.array([format_symbol(*t) for t in terms], dtype=np.str_),
        instrument=instrument,
        is_put=is_put,
        expiration=expiration,
        strike=strike,
        early_close_years=np.array([_early_close_years(t.expiration) for t in terms], dtype=np.float64),
        identity=(instrument.astype(np.uint64) << np.uint64(60))
        | (is_put.astype(np.uint64) << np.uint64(59))
        | (days << np.uint64(32))
        | thousandths,
    )


def _strip(
    index: int, date: dt.date, expiration: dt.date, reference: float, volatility: float
) -> Iterable[ContractTerms]:
    """Yield the shown contracts of one expiration, puts first, strikes ascending."""
    days = (expiration - date).days
    fine, coarse = INSTRUMENTS[index].strike_steps
    step = fine if days <= _FINE_GRID_DAYS else coarse
    deviation = volatility * np.sqrt((days + 1) / DAYS_PER_YEAR)
    reach = _NEAR_REACH if days <= _NEAR_DAYS else 1.0
    ranges: tuple[tuple[Right, tuple[float, float]], ...] = (("put", _PUT_RANGE), ("call", _CALL_RANGE))
    for right, (low, high) in ranges:
        first = int(np.floor(reference * np.exp(low * reach * deviation) / step))
        last = int(np.ceil(reference * np.exp(high * reach * deviation) / step))
        for count in range(max(first, 1), last + 1):
            yield ContractTerms(SYMBOLS[index], expiration, right, count * step)


def _is_third(friday: dt.date) -> bool:
    return 15 <= friday.day <= 21


def _trading_day(friday: dt.date) -> dt.date:
    """Return the day on which options of a Friday expire: the session before, if the exchange is closed."""
    return friday if calendar.is_session(friday) else calendar.previous_session(friday)


@lru_cache(maxsize=1024)
def _early_close_years(expiration: dt.date) -> float:
    hours = calendar.session(expiration)
    return (_FULL_SESSION - (hours.close - hours.open)) / dt.timedelta(days=DAYS_PER_YEAR)
