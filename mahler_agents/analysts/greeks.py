"""Stage 3, brief: the greeks analyst; what the position, as held, gains and loses from price, time and volatility."""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from mahler_agents.analysts.base import Analyst, AnalystReply, Terms, rounded
from mahler_agents.analysts.trade import AnalystBrief, trade_facts
from mahler_agents.market.snapshot import Snapshot
from mahler_agents.screen import Candidate


class GreeksBrief(AnalystBrief):
    """Net greeks of one contract of the spread as held (short the short leg, long the long leg), in dollars."""

    NEEDED: ClassVar[tuple[str, ...]] = ("net_delta", "net_gamma", "net_theta_per_day", "net_vega_per_vol_point")

    net_delta: float | None
    """Dollars gained when the underlying rises by 1 dollar."""
    net_gamma: float | None
    """Change of `net_delta` when the underlying rises by 1 dollar."""
    net_theta_per_day: float | None
    """Dollars gained per calendar day."""
    net_vega_per_vol_point: float | None
    """Dollars gained when implied volatility rises by one point (0.01)."""
    short_leg_delta: float | None
    """Delta of the short contract itself, per share: negative for a put."""
    short_leg_iv_pct: float | None
    """Implied volatility of the short contract, annualised percent."""


class DominantRisk(StrEnum):
    """The greek that can hurt this position most."""

    DELTA = "delta"
    GAMMA = "gamma"
    VEGA = "vega"
    THETA = "theta"


class GreeksReply(AnalystReply):
    """The greeks analyst's reply."""

    dominant_risk: Annotated[DominantRisk, Field(strict=False)]


def brief(snapshot: Snapshot, candidate: Candidate, terms: Terms) -> GreeksBrief:  # noqa: ARG001 - the registry's signature
    """Return the greeks analyst's facts about one candidate."""
    net, short = candidate.greeks, candidate.short_leg
    return GreeksBrief(
        **trade_facts(candidate, terms),
        net_delta=rounded(net.delta, 2),
        net_gamma=rounded(net.gamma, 3),
        net_theta_per_day=rounded(net.theta_per_day, 2),
        net_vega_per_vol_point=rounded(net.vega_per_vol_point, 2),
        short_leg_delta=rounded(short.delta, 3),
        short_leg_iv_pct=rounded(100 * short.implied_volatility, 1),
    )


ANALYST = Analyst(name="greeks", facts=GreeksBrief, brief=brief, reply=GreeksReply)
