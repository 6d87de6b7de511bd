"""Stage 3, brief: the volatility analyst; whether the volatility that the trade sells is rich or cheap."""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from mahler_agents import indicators
from mahler_agents.analysts.base import Analyst, AnalystReply, Terms, rounded, side_of
from mahler_agents.analysts.trade import AnalystBrief, trade_facts
from mahler_agents.clock import NEW_YORK
from mahler_agents.market.snapshot import Snapshot
from mahler_agents.screen import Candidate
from mahler_agents.volatility import at_the_money_volatility, standing

TERM_DAYS = 30
FAR_TERM_DAYS = 90
CONTANGO_BELOW = 0.95
BACKWARDATION_ABOVE = 1.05


class VolatilityBrief(AnalystBrief):
    """Volatilities in annualised percent; None where the market does not know."""

    NEEDED: ClassVar[tuple[str, ...]] = ("atm_iv_30_day_pct", "realised_volatility_20_day_pct")

    short_leg_iv_pct: float | None
    """Implied volatility of the short contract."""
    atm_iv_30_day_pct: float | None
    """At the money, interpolated to 30 days."""
    atm_iv_90_day_pct: float | None
    """At the money, interpolated to 90 days; None for a chain that does not reach that far."""
    iv_term_ratio: float | None
    """The underlying's own implied volatility of 30 days over that of 90 days."""
    iv_term_structure: str | None
    """`contango` (ratio below 0.95), `flat` or `backwardation` (above 1.05)."""
    iv_rank: float | None
    """Where `atm_iv_30_day_pct` lies between the lowest and the highest of a year, 0 to 100."""
    iv_percentile: float | None
    """Percent of the days of a year that were below it."""
    realised_volatility_20_day_pct: float | None
    """Of 20 daily log returns."""
    iv_less_realised_pct: float | None
    """`atm_iv_30_day_pct` less `realised_volatility_20_day_pct`, in volatility points."""
    iv_to_realised: str | None
    """`above`, `below` or `at`."""
    vix: float | None
    """Index points."""
    vix_3_month: float | None
    """Index points."""
    term_structure_ratio: float | None
    """The market's implied volatility of 30 days over that of 90 days: VIX over VIX 3-month."""
    term_structure: str | None
    """`term_structure_ratio` in the words of `iv_term_structure`."""


class Richness(StrEnum):
    """What the premium is worth against the underlying's own past."""

    RICH = "rich"
    FAIR = "fair"
    CHEAP = "cheap"


class VolatilityReply(AnalystReply):
    """The volatility analyst's reply."""

    richness: Annotated[Richness, Field(strict=False)]


def term_structure_ratio(near: float | None, far: float | None) -> float | None:
    """Return the 30-day over the 90-day implied volatility, in any one unit; None if one is unknown."""
    return near / far if near is not None and far else None


def term_structure(ratio: float | None) -> str | None:
    """Return the name of a 30-day over 90-day ratio."""
    if ratio is None:
        return None
    if ratio < CONTANGO_BELOW:
        return "contango"
    return "backwardation" if ratio > BACKWARDATION_ABOVE else "flat"


def brief(snapshot: Snapshot, candidate: Candidate, terms: Terms) -> VolatilityBrief:
    """Return the volatility analyst's facts about one candidate."""
    market = snapshot.underlyings[candidate.spread.underlying]
    at_the_money, far = (
        at_the_money_volatility(
            market.chain, snapshot.as_of, days=days, rate=snapshot.risk_free_rate, dividends=market.dividends
        )
        for days in (TERM_DAYS, FAR_TERM_DAYS)
    )
    year = standing(market.volatility_history, at_the_money, snapshot.as_of.astimezone(NEW_YORK).date())
    implied = None if at_the_money is None else rounded(100 * at_the_money, 1)
    realised = rounded(100 * indicators.realised_volatility(market.bars.close), 1)
    own_ratio = rounded(term_structure_ratio(at_the_money, far), 2)
    ratio = rounded(term_structure_ratio(snapshot.vix, snapshot.vix_3_month), 2)
    return VolatilityBrief(
        **trade_facts(candidate, terms),
        short_leg_iv_pct=rounded(100 * candidate.short_leg.implied_volatility, 1),
        atm_iv_30_day_pct=implied,
        atm_iv_90_day_pct=None if far is None else rounded(100 * far, 1),
        iv_term_ratio=own_ratio,
        iv_term_structure=term_structure(own_ratio),
        iv_rank=None if year is None else rounded(year.rank, 1),
        iv_percentile=None if year is None else rounded(year.percentile, 1),
        realised_volatility_20_day_pct=realised,
        iv_less_realised_pct=None if implied is None or realised is None else rounded(implied - realised, 1),
        iv_to_realised=side_of(implied, realised),
        vix=rounded(snapshot.vix, 2),
        vix_3_month=rounded(snapshot.vix_3_month, 2),
        term_structure_ratio=ratio,
        term_structure=term_structure(ratio),
    )


ANALYST = Analyst(name="volatility", facts=VolatilityBrief, brief=brief, reply=VolatilityReply)
