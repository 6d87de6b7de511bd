"""Beside the screen, volatility: a chain and a history in, at-the-money implied volatility, IV rank and percentile out.

What cannot be known from the inputs is None, never a default.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mahler_agents import pricing
from mahler_agents.clock import NEW_YORK
from mahler_agents.market.dividends import dividend_yields
from mahler_agents.market.snapshot import Chain, Dividend, Floats, VolatilityHistory

MIN_HISTORY_DAYS = 60
"""Observations that the year before must hold: a rank on fewer speaks of a few weeks."""

MIN_IMPLIED_VOLATILITY = 0.001
"""0.1 %: what is below is what feeds send for "unknown"."""
MAX_IMPLIED_VOLATILITY = 10.0
"""1,000 %: what is above is a placeholder, not a volatility."""

_YEAR = np.timedelta64(365, "D")
_REACH = 0.25  # without expirations on both sides, the nearest may be this share of the term away


@dataclass(frozen=True, kw_only=True)
class _PricingTerms:
    """What a missing volatility is computed with, beside the chain."""

    as_of: dt.datetime
    rate: float
    dividends: Sequence[Dividend] | None


@dataclass(frozen=True, kw_only=True)
class VolatilityStanding:
    """Where an implied volatility stands in the year before it; both in [0, 100]."""

    rank: float
    """(IV - lowest) / (highest - lowest) x 100, clamped: a new high is 100."""
    percentile: float
    """Share of the days on which it was lower, x 100."""
    days: int
    """Observations in the year."""


def standing(
    history: VolatilityHistory | None, implied_volatility: float | None, on: dt.date
) -> VolatilityStanding | None:
    """Return where `implied_volatility` (annualised fraction) stands among the 365 days before `on`.

    None without a volatility, or with fewer than `MIN_HISTORY_DAYS` usable observations in that year. The rank of a
    year that never moved is 50.
    """
    if (
        history is None
        or implied_volatility is None
        or not MIN_IMPLIED_VOLATILITY <= implied_volatility <= MAX_IMPLIED_VOLATILITY
    ):
        return None
    day = np.datetime64(on, "D")
    past = history.implied_volatility[(history.date >= day - _YEAR) & (history.date < day)]
    past = past[(past >= MIN_IMPLIED_VOLATILITY) & (past <= MAX_IMPLIED_VOLATILITY)]
    if past.size < MIN_HISTORY_DAYS:
        return None
    low, high = float(past.min()), float(past.max())
    rank = (implied_volatility - low) / (high - low) * 100 if high > low else 50.0
    return VolatilityStanding(
        rank=min(max(rank, 0.0), 100.0),
        percentile=float(np.count_nonzero(past < implied_volatility)) / past.size * 100,
        days=int(past.size),
    )


def at_the_money_volatility(
    chain: Chain, as_of: dt.datetime, *, days: int, rate: float, dividends: Sequence[Dividend] | None
) -> float | None:
    """Return the chain's at-the-money implied volatility at a term of `days` calendar days, an annualised fraction.

    At each expiration: put and call averaged at the strikes around the spot, interpolated to the spot. Between
    expirations: total variance, linear in time. Without expirations on both sides the nearest is taken if it is
    within a quarter of the term; else None. Volatilities that the source lacks are computed from the mid and
    the `dividends` to come (None: not known, so none).
    """
    if not 0 < chain.spot < np.inf:
        return None
    today = np.datetime64(as_of.astimezone(NEW_YORK).date(), "D")
    terms = {
        int((expiration - today).astype(np.int64)): expiration
        for expiration in np.unique(chain.expiration[~np.isnat(chain.expiration)])
        if expiration > today
    }
    by_distance = sorted(terms, key=lambda term: abs(term - days))
    pricing_terms = _PricingTerms(as_of=as_of, rate=rate, dividends=dividends)
    below = _first_volatility(chain, pricing_terms, {term: terms[term] for term in by_distance if term <= days})
    above = _first_volatility(chain, pricing_terms, {term: terms[term] for term in by_distance if term >= days})
    if below is not None and above is not None:
        return _between(below, above, days)
    found = below or above
    return found[1] if found is not None and abs(found[0] - days) <= _REACH * days else None


def _between(below: tuple[int, float], above: tuple[int, float], days: int) -> float:
    """Return the volatility at `days` from two (term, volatility), total variance linear in time."""
    (near, near_volatility), (far, far_volatility) = below, above
    if near == far:
        return near_volatility
    share = (days - near) / (far - near)
    variance = near_volatility**2 * near * (1 - share) + far_volatility**2 * far * share
    return float(np.sqrt(variance / days))


def _first_volatility(
    chain: Chain, pricing_terms: _PricingTerms, terms: dict[int, np.datetime64]
) -> tuple[int, float] | None:
    """Return the first term that has an at-the-money volatility, and that volatility."""
    for term, expiration in terms.items():
        volatility = _volatility_at_spot(chain, pricing_terms, expiration)
        if volatility is not None:
            return term, volatility
    return None


def _volatility_at_spot(chain: Chain, pricing_terms: _PricingTerms, expiration: np.datetime64) -> float | None:
    """Return one expiration's volatility at the spot, from the nearest strike with one on either side."""
    rows = np.flatnonzero((chain.expiration == expiration) & (chain.strike > 0) & (chain.strike < np.inf))
    strike, volatility = chain.strike[rows], _volatilities(chain, pricing_terms, rows)
    usable = volatility <= MAX_IMPLIED_VOLATILITY
    strike, volatility = strike[usable], volatility[usable]
    around = [strike[strike <= chain.spot], strike[strike >= chain.spot]]
    if not (around[0].size and around[1].size):
        return None
    low, high = float(around[0].max()), float(around[1].min())
    at_low, at_high = float(volatility[strike == low].mean()), float(volatility[strike == high].mean())
    return at_low if low == high else at_low + (at_high - at_low) * (chain.spot - low) / (high - low)


def _volatilities(
    chain: Chain, pricing_terms: _PricingTerms, rows: np.ndarray[tuple[int], np.dtype[np.intp]]
) -> Floats:
    """Return the rows' implied volatilities: the source's, or where it has none what the mid implies."""
    given, expiration = chain.implied_volatility[rows], chain.expiration[rows]
    bid, ask = chain.bid[rows], chain.ask[rows]
    quoted = (bid > 0) & (bid <= ask) & (ask < np.inf)
    mid = (np.where(quoted, bid, np.nan) + np.where(quoted, ask, np.nan)) / 2
    implied = pricing.implied_volatility(
        price=mid,
        is_put=chain.is_put[rows],
        spot=chain.spot,
        strike=chain.strike[rows],
        years=pricing.years_to_expiry(pricing_terms.as_of, expiration),
        rate=pricing_terms.rate,
        dividend_yield=dividend_yields(
            pricing_terms.dividends,
            spot=chain.spot,
            expiration=expiration,
            as_of=pricing_terms.as_of,
            rate=pricing_terms.rate,
        ),
    )
    return np.where((given >= MIN_IMPLIED_VOLATILITY) & (given <= MAX_IMPLIED_VOLATILITY), given, implied)
