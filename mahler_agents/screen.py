"""Stage 2, screen: a `Snapshot` in, ranked `Candidate`s and a `ScreenReport` out; pure and vectorised."""

import datetime as dt
from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from mahler_agents.types import Frozen, Spread, SpreadQuote

Share = Annotated[float, Field(ge=0, le=1)]


class LegFacts(Frozen):
    """One leg as the screen saw it; greeks of the long option, per share, None where neither given nor computable."""

    symbol: str
    strike: float
    bid: float
    ask: float
    open_interest: float
    volume: float
    implied_volatility: float
    """Annualised fraction."""
    delta: float
    """Dollars per dollar."""
    gamma: float
    theta_per_day: float
    """Dollars per calendar day."""
    vega_per_vol_point: float
    """Dollars per volatility point (0.01)."""


class ScoreParts(Frozen):
    """The four components of a candidate's score, each in [0, 1]; None where the snapshot lacks the facts for it."""

    iv: Share | None
    """IV percentile / 100."""
    delta: Share
    """1 - 10 x | |delta| - 0.10 |."""
    credit: Share
    """2 x min(credit / width, 0.5)."""
    ev: Share
    """max(0, expected value) / width."""


class Candidate(Frozen):
    """A credit spread that passed the screen, with the facts it passed on; prices in dollars per share."""

    spread: Spread
    as_of: dt.datetime
    dte: int
    """Calendar days to expiration, counted on exchange dates."""
    spot: float
    short_leg: LegFacts
    long_leg: LegFacts
    quote: SpreadQuote
    credit: float
    """Credit at mid, per share."""
    score: float
    """Weighted sum of `parts`, in [0, 1]."""
    parts: ScoreParts
    rank: int
    """1 is the best of the scan."""


class NearestMiss(Frozen):
    """The rejected contract or pair that came closest to passing one filter."""

    reason: str
    what: str
    """The contract or pair, e.g. `SPY 540/535 put spread, 2026-04-17`."""
    text: str
    """How far it was off, e.g. `credit 8.4 % of width, needs 10 %`."""


class ScreenReport(Frozen):
    """What the screen looked at and why it rejected what it rejected."""

    contracts: int
    """Contracts in the snapshot."""
    eligible_contracts: int
    """Contracts that can be a leg."""
    pairs: int
    """Pairs of eligible legs in the width range, with the short leg in the delta range."""
    passed: int
    """Pairs that passed every filter: the candidates."""
    rejected_contracts: Mapping[str, int]
    """First reason that rejected a contract -> count."""
    rejected_pairs: Mapping[str, int]
    """First reason that rejected a pair -> count."""
    nearest_misses: tuple[NearestMiss, ...] = ()
    by_underlying: Mapping[str, int] = {}
    """Candidates of each underlying."""


class ScreenParams(Frozen):
    """The screen's filters; percentages as fractions."""

    min_dte: int = 30
    max_dte: int = 45
    min_short_delta: Share = 0.05
    max_short_delta: Share = 0.15
    min_width: Annotated[float, Field(gt=0)] = 2.0
    """Dollars per share."""
    max_width: Annotated[float, Field(gt=0)] = 10.0
    min_credit_to_width: Share = 0.10
    min_open_interest: Annotated[float, Field(ge=0)] = 50
    min_volume: Annotated[float, Field(ge=0)] = 1
    max_bid_ask_to_mid: Annotated[float, Field(gt=0)] = 0.12
    max_quote_age_seconds: Annotated[float, Field(gt=0)] = 1200
    """Free feeds are 15 minutes late."""
