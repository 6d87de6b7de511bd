"""Stage 3, brief: the volatility analyst; whether the volatility that the trade sells is rich or cheap."""

import datetime as dt
import math
from enum import StrEnum
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from mahler_agents import indicators
from mahler_agents.analysts.base import Analyst, AnalystReply, rounded
from mahler_agents.analysts.trade import TradeBrief, trade_facts
from mahler_agents.clock import NEW_YORK
from mahler_agents.market.snapshot import Chain, Snapshot, VolatilityHistory
from mahler_agents.screen import Candidate

DAYS_OF_A_YEAR = 252
CONTANGO_BELOW = 0.95
BACKWARDATION_ABOVE = 1.05


class VolatilityBrief(TradeBrief):
    """Volatilities in annualised percent; None where the market does not know."""

    NEEDED: ClassVar[tuple[str, ...]] = ("atm_iv_30_day_pct", "realised_volatility_20_day_pct")

    short_leg_iv_pct: float | None
    """Implied volatility of the short contract."""
    atm_iv_30_day_pct: float | None
    """At the money, interpolated to 30 days."""
    iv_rank: float | None
    """Where `atm_iv_30_day_pct` lies between the lowest and the highest of a year, 0 to 100."""
    iv_percentile: float | None
    """Percent of the days of a year that were below it."""
    realised_volatility_20_day_pct: float | None
    """Of 20 daily log returns."""
    iv_less_realised_pct: float | None
    """`atm_iv_30_day_pct` less `realised_volatility_20_day_pct`, in volatility points."""
    vix: float | None
    """Index points."""
    vix_3_month: float | None
    """Index points."""
    term_structure_ratio: float | None
    """Implied volatility of 30 days over that of 90 days."""
    term_structure: str | None
    """`contango` (ratio below 0.95), `flat` or `backwardation` (above 1.05)."""


class Richness(StrEnum):
    """What the premium is worth against the underlying's own past."""

    RICH = "rich"
    FAIR = "fair"
    CHEAP = "cheap"


class VolatilityReply(AnalystReply):
    """The volatility analyst's reply."""

    richness: Annotated[Richness, Field(strict=False)]


def at_the_money_volatility(chain: Chain, as_of: dt.datetime) -> float:
    """Return the 30-day volatility at the money, an annualised fraction; NaN if the chain has none near 30 days.

    Each expiration counts by its contracts at the strike nearest to spot; between two expirations total variance is
    linear in time, outside of them the nearest one stands, if it is 15 to 60 days away.
    """
    usable = np.isfinite(chain.implied_volatility) & (chain.implied_volatility > 0)
    days: list[int] = []
    level: list[float] = []
    for expiration in np.unique(chain.expiration[usable]):
        rows = usable & (chain.expiration == expiration)
        off = np.abs(chain.strike[rows] - chain.spot)
        days.append((expiration.astype(dt.date) - as_of.astimezone(NEW_YORK).date()).days)
        level.append(float(np.mean(chain.implied_volatility[rows][off == off.min()])))
    after = np.array(days, dtype=np.float64)
    if not days or not np.any((after >= 15) & (after <= 60)):
        return math.nan
    variance = np.interp(30.0, after, np.square(level) * after)
    return math.sqrt(variance / min(max(30.0, after[0]), after[-1]))


def rank_and_percentile(history: VolatilityHistory | None, now: float) -> tuple[float | None, float | None]:
    """Return where `now` lies in the last year of `history`: rank between its extremes and percentile, 0 to 100."""
    if history is None or len(history.implied_volatility) < DAYS_OF_A_YEAR or not math.isfinite(now):
        return None, None
    year = history.implied_volatility[-DAYS_OF_A_YEAR:]
    low, high = float(np.min(year)), float(np.max(year))
    rank = 100 * (min(max(now, low), high) - low) / (high - low) if high > low else None
    return rank, 100 * float(np.mean(year < now))


def term_structure_ratio(vix: float | None, vix_3_month: float | None) -> float | None:
    """Return the market's 30-day over its 90-day implied volatility, both as indices; None if one is unknown."""
    return vix / vix_3_month if vix is not None and vix_3_month else None


def term_structure(ratio: float | None) -> str | None:
    """Return the name of a 30-day over 90-day ratio."""
    if ratio is None:
        return None
    if ratio < CONTANGO_BELOW:
        return "contango"
    return "backwardation" if ratio > BACKWARDATION_ABOVE else "flat"


def brief(snapshot: Snapshot, candidate: Candidate) -> VolatilityBrief:
    """Return the volatility analyst's facts about one candidate."""
    market = snapshot.underlyings[candidate.spread.underlying]
    at_the_money = at_the_money_volatility(market.chain, snapshot.as_of)
    rank, percentile = rank_and_percentile(market.volatility_history, at_the_money)
    realised = indicators.realised_volatility(market.bars.close)
    ratio = term_structure_ratio(snapshot.vix, snapshot.vix_3_month)
    return VolatilityBrief(
        **trade_facts(candidate),
        short_leg_iv_pct=rounded(100 * candidate.short_leg.implied_volatility, 1),
        atm_iv_30_day_pct=rounded(100 * at_the_money, 1),
        iv_rank=rounded(rank, 1),
        iv_percentile=rounded(percentile, 1),
        realised_volatility_20_day_pct=rounded(100 * realised, 1),
        iv_less_realised_pct=rounded(100 * (at_the_money - realised), 1),
        vix=rounded(snapshot.vix, 2),
        vix_3_month=rounded(snapshot.vix_3_month, 2),
        term_structure_ratio=rounded(ratio, 2),
        term_structure=term_structure(ratio),
    )


ANALYST = Analyst(name="volatility", facts=VolatilityBrief, brief=brief, reply=VolatilityReply)
