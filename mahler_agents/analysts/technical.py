"""Stage 3, brief: the technical analyst; trend of the underlying and how far off the short strike is."""

import math
from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from mahler_agents import indicators
from mahler_agents.analysts.base import Analyst, AnalystReply, Terms, rounded, side_of
from mahler_agents.analysts.trade import AnalystBrief, share_of_spot, trade_facts
from mahler_agents.market.snapshot import Snapshot
from mahler_agents.pricing import DAYS_PER_YEAR
from mahler_agents.screen import Candidate
from mahler_agents.types import SpreadType


class TechnicalBrief(AnalystBrief):
    """Prices of the underlying in dollars per share, from complete daily bars; None where the bars are too few."""

    NEEDED: ClassVar[tuple[str, ...]] = ("spot", "sma_20")

    spot: float | None
    """At the snapshot's instant."""
    short_strike_distance_pct: float | None
    """Percent of spot that the short strike is out of the money."""
    short_strike_distance_sigmas: float | None
    """The same distance in standard deviations to expiration, at the short contract's implied volatility."""
    short_strike_distance_atrs: float | None
    """The same distance in `atr_14`."""
    spot_to_sma_20: str | None
    """`above`, `below` or `at`."""
    sma_20: float | None
    sma_50: float | None
    sma_200: float | None
    rsi_14: float | None
    """Wilder's, 0 to 100; like MACD and ATR absent with fewer than 251 bars, within which they still settle."""
    macd: float | None
    """12-day less 26-day exponential average, dollars."""
    macd_to_signal: str | None
    """`above`, `below` or `at` its own 9-day exponential average."""
    bollinger_pct: float | None
    """Where spot lies between the 20-day bands of two standard deviations: 0 at the lower, 100 at the upper."""
    atr_14: float | None
    """Wilder's average true range, dollars; None for a source that has closes only."""
    high_20: float | None
    """Highest high of 20 days; None for a source that has closes only."""
    low_20: float | None
    support: float | None
    """The nearest swing low below spot that still stands; None without one. The rule: `indicators.swing_levels`."""
    resistance: float | None
    """The nearest swing high above spot."""
    momentum_20_pct: float | None
    """Percent change of the close over 20 days."""
    momentum_side: str | None
    """Where that change leads: `towards`, `away from` or `neither towards nor away from` the short strike."""
    realised_volatility_20_pct: float | None
    """Annualised percent, of 20 daily log returns."""


class Trend(StrEnum):
    """Where the underlying is heading."""

    UP = "up"
    DOWN = "down"
    SIDEWAYS = "sideways"


class TechnicalReply(AnalystReply):
    """The technical analyst's reply."""

    trend: Annotated[Trend, Field(strict=False)]


def sigmas(share: float, implied_volatility: float, dte: int) -> float:
    """Return a distance, given as a share of spot, in standard deviations of the return over `dte` calendar days."""
    deviation = implied_volatility * math.sqrt(max(dte, 0) / DAYS_PER_YEAR)
    return share / deviation if deviation > 0 else math.nan


def momentum_side(change: float | None, spread_type: SpreadType) -> str | None:
    """Return whether a change of the underlying leads towards the short strike or away from it, as a prompt says it."""
    if change is None:
        return None
    if change == 0:
        return "neither towards nor away from"
    falls_on_it = spread_type is SpreadType.BULL_PUT
    return "towards" if (change < 0) is falls_on_it else "away from"


def brief(snapshot: Snapshot, candidate: Candidate, terms: Terms) -> TechnicalBrief:
    """Return the technical analyst's facts about one candidate."""
    bars = snapshot.underlyings[candidate.spread.underlying].bars
    distance = share_of_spot(candidate)
    spot, sma_20 = rounded(candidate.spot, 2), rounded(indicators.simple_moving_average(bars.close, 20), 2)
    momentum = rounded(100 * indicators.momentum(bars.close, 20), 1)
    macd, bands = indicators.macd(bars.close), indicators.bollinger_bands(bars.close)
    atr = indicators.average_true_range(bars.high, bars.low, bars.close)
    levels = indicators.swing_levels(bars.high, bars.low, candidate.spot)
    return TechnicalBrief(
        **trade_facts(candidate, terms),
        spot=spot,
        short_strike_distance_pct=rounded(100 * distance, 1),
        short_strike_distance_sigmas=rounded(
            sigmas(distance, candidate.short_leg.implied_volatility, candidate.dte), 2
        ),
        short_strike_distance_atrs=rounded(distance * candidate.spot / atr if atr > 0 else math.nan, 1),
        spot_to_sma_20=side_of(spot, sma_20),
        sma_20=sma_20,
        sma_50=rounded(indicators.simple_moving_average(bars.close, 50), 2),
        sma_200=rounded(indicators.simple_moving_average(bars.close, 200), 2),
        rsi_14=rounded(indicators.relative_strength_index(bars.close), 1),
        macd=rounded(macd.line, 2),
        macd_to_signal=side_of(rounded(macd.line, 2), rounded(macd.signal, 2)),
        bollinger_pct=rounded(100 * bands.place_of(candidate.spot), 0),
        atr_14=rounded(atr, 2),
        high_20=rounded(indicators.highest(bars.high, 20), 2),
        low_20=rounded(indicators.lowest(bars.low, 20), 2),
        support=rounded(levels.support, 2),
        resistance=rounded(levels.resistance, 2),
        momentum_20_pct=momentum,
        momentum_side=momentum_side(momentum, candidate.spread.spread_type),
        realised_volatility_20_pct=rounded(100 * indicators.realised_volatility(bars.close), 1),
    )


ANALYST = Analyst(name="technical", facts=TechnicalBrief, brief=brief, reply=TechnicalReply)
