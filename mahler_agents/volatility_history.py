"""Beside a scan, volatility history: what a market that has only now was on earlier days, from our own record.

Each scan leaves the day's 30-day at-the-money volatility; days without a scan are solved from bars of the options.
"""

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from mahler_agents.clock import NEW_YORK, utc_text
from mahler_agents.config import risk_free_rate
from mahler_agents.errors import InputError, MarketError
from mahler_agents.market import calendar
from mahler_agents.market.snapshot import Chain, Dividend, Market, MarketData, PastMarket, Snapshot, VolatilityHistory
from mahler_agents.record.implied import DayOfVolatility, keep_volatilities, volatilities_before
from mahler_agents.types import Frozen
from mahler_agents.volatility import (
    MAX_IMPLIED_VOLATILITY,
    MIN_HISTORY_DAYS,
    MIN_IMPLIED_VOLATILITY,
    at_the_money_volatility,
)

TERM_DAYS = 30
_YEAR = np.timedelta64(365, "D")


class Backfilled(Frozen):
    """What came of one underlying's past days."""

    underlying: str
    asked: int
    """Sessions that were asked for and not known."""
    solved: int
    """Those whose trades gave a volatility."""
    failed: str | None = None
    """Why the market did not answer to the end; None if it did."""


def with_history(snapshot: Snapshot, path: Path, world: str, *, max_quote_age_seconds: float = np.inf) -> Snapshot:
    """Return a snapshot with the history of implied volatility that the record has of its market, and keep its own day.

    Where a year's rank needs more days than there are, `missing` says so: the score then goes without it.
    """
    date = snapshot.as_of.astimezone(NEW_YORK).date()
    underlyings: dict[str, MarketData] = dict(snapshot.underlyings)
    missing = dict(snapshot.missing)
    for name, held in snapshot.underlyings.items():
        if held.volatility_history is not None:
            continue  # the market's own
        history = _history(path, world, name, date)
        underlyings[name] = replace(held, volatility_history=history)
        days = _usable(history, date)
        if days < MIN_HISTORY_DAYS:
            missing[f"volatility_history.{name}"] = (
                f"{days} of the {MIN_HISTORY_DAYS} days that a rank needs: the score goes without it, its weight shared"
                " out; each scan adds a day, `mahler data backfill` the past"
            )
    keep_volatilities(path, world, _today(snapshot, date, max_quote_age_seconds), "scan")
    return replace(snapshot, underlyings=underlyings, missing=missing)


async def backfill(
    market: Market, path: Path, underlyings: Sequence[str], first: dt.date, last: dt.date
) -> tuple[Backfilled, ...]:
    """Solve and keep the volatilities of the sessions between two dates that the record lacks, from options' trades.

    Where the market does not answer that underlying says so, what was solved of it is kept, and the others go on.
    Raises `InputError` for a market that does not tell of the past and a span without a session.
    """
    if not isinstance(market, PastMarket):
        raise InputError(f"the market {market.name} has no past trades of options to solve volatilities from")
    dates = calendar.sessions(first, last) if first <= last else ()
    if not dates:
        raise InputError(f"there is no session that is over from {first} to {last}")
    return tuple([await _backfilled(market, path, market.world, name, dates) for name in underlyings])


async def _backfilled(
    market: PastMarket, path: Path, world: str, underlying: str, dates: tuple[dt.date, ...]
) -> Backfilled:
    known = {date for date, _ in volatilities_before(path, world, underlying, dt.date.max)}
    wanted = tuple(date for date in dates if date not in known)
    solved = 0
    failed: str | None = None
    try:
        async for day in market.past_chains(underlying, wanted):
            date = day.at.astimezone(NEW_YORK).date()
            found = _volatility(day.chain, day.at, risk_free_rate(date), day.dividends)
            if found is not None:
                one = DayOfVolatility(underlying, date, found, utc_text(day.at))
                keep_volatilities(path, world, [one], "option_bars")
                solved += 1
    except MarketError as error:
        failed = str(error)
    return Backfilled(underlying=underlying, asked=len(wanted), solved=solved, failed=failed)


def _history(path: Path, world: str, underlying: str, date: dt.date) -> VolatilityHistory:
    days = volatilities_before(path, world, underlying, date)
    return VolatilityHistory(
        date=np.asarray([day for day, _ in days], dtype="datetime64[D]"),
        implied_volatility=np.asarray([found for _, found in days], dtype=np.float64),
    )


def _usable(history: VolatilityHistory, date: dt.date) -> int:
    return int((history.date >= np.datetime64(date, "D") - _YEAR).sum())


def _today(snapshot: Snapshot, date: dt.date, max_quote_age_seconds: float) -> Iterator[DayOfVolatility]:
    for name, held in snapshot.underlyings.items():
        chain = _quoted_by(held.chain, max_quote_age_seconds)
        found = _volatility(chain, snapshot.as_of, snapshot.risk_free_rate, held.dividends)
        if found is not None:
            yield DayOfVolatility(name, date, found, utc_text(snapshot.as_of))


def _quoted_by(chain: Chain, max_age_seconds: float) -> Chain:
    """Return the chain without the quotes, and the volatilities made of them, that are older or of unknown age."""
    fresh = chain.quote_age_seconds <= max_age_seconds
    return replace(
        chain,
        bid=np.where(fresh, chain.bid, np.nan),
        implied_volatility=np.where(fresh, chain.implied_volatility, np.nan),
    )


def _volatility(chain: Chain, at: dt.datetime, rate: float, dividends: tuple[Dividend, ...] | None) -> float | None:
    found = at_the_money_volatility(chain, at, days=TERM_DAYS, rate=rate, dividends=dividends)
    if found is None or not MIN_IMPLIED_VOLATILITY <= found <= MAX_IMPLIED_VOLATILITY:
        return None
    return found
