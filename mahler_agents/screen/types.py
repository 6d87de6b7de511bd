"""Stage 2, screen: its types and its closed sets of rejection codes."""

import datetime as dt
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from mahler_agents.types import CONTRACT_MULTIPLIER, Frozen, MarketRegime, Spread, SpreadQuote

Share = Annotated[float, Field(ge=0, le=1)]


class ContractRejection(StrEnum):
    """Why a contract cannot be a leg, in the order of the checks: the first that fails is the one counted."""

    NO_UNDERLYING_PRICE = "no_underlying_price"
    """The underlying's price is missing or impossible."""
    ADJUSTED = "adjusted"
    """The multiplier is not 100, or not known."""
    IMPOSSIBLE_CONTRACT = "impossible_contract"
    """The strike is not a positive number below 100,000, or there is no expiration."""
    DTE = "dte"
    """Too near or too far from expiration."""
    NOT_OUT_OF_THE_MONEY = "not_out_of_the_money"
    """At or in the money: only out-of-the-money contracts are sold or bought."""
    SYMBOL_MISMATCH = "symbol_mismatch"
    """The OCC symbol, which is what an order names, says another root, type, strike or expiration than the row."""
    IMPOSSIBLE_DIVIDENDS = "impossible_dividends"
    """The dividends until its expiration are worth the underlying's price or more: one of the two is wrong."""
    NO_QUOTE = "no_quote"
    """Bid or ask is missing, or there is no ask; a zero bid with a positive ask is a quote."""
    IMPOSSIBLE_QUOTE = "impossible_quote"
    """Negative, infinite, or a mid that no option can be worth (a put's strike, a call's underlying)."""
    CROSSED = "crossed"
    """The bid is above the ask; locked (equal) is allowed."""
    STALE_QUOTE = "stale_quote"
    """Older than the limit, as far in the future, or of unknown age."""
    OPEN_INTEREST = "open_interest"
    """Too little, impossible or unknown."""
    VOLUME = "volume"
    """Too little, impossible or unknown."""
    BID_ASK = "bid_ask"
    """Bid to ask is too wide a share of mid."""
    NO_IMPLIED_VOLATILITY = "no_implied_volatility"
    """The source gives none and none can be computed from the mid."""
    NO_GREEKS = "no_greeks"
    """A greek is missing and cannot be computed."""
    DUPLICATE_CONTRACT = "duplicate_contract"
    """The same contract stood in an earlier row."""


class PairRejection(StrEnum):
    """Why a pair of eligible legs is no candidate, in the order of the checks: the first that fails is counted."""

    CREDIT_NOT_POSITIVE = "credit_not_positive"
    """The long leg costs as much as the short one pays, or more."""
    CREDIT_NOT_BELOW_WIDTH = "credit_not_below_width"
    """A credit of the whole width or more would be free money: a quote is wrong."""
    CREDIT = "credit"
    """The credit is too small a share of the width."""
    DUPLICATE_POSITION = "duplicate_position"
    """A position or pending order of the same underlying, type and expiration is open."""


class LegFacts(Frozen):
    """One leg as the screen saw it; greeks of the long option, per share."""

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
    computed: tuple[str, ...] = ()
    """Which of the five the source lacked, so that they were computed from the mid."""


class SpreadGreeks(Frozen):
    """Net greeks of one spread as held (short the short leg, long the long leg), dollars per contract of 100 shares."""

    delta: float
    """Dollars per dollar of the underlying."""
    gamma: float
    """Change of `delta` per dollar of the underlying."""
    theta_per_day: float
    """Dollars per calendar day that passes."""
    vega_per_vol_point: float
    """Dollars per volatility point (0.01) of both legs."""


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
    """Weighted mean of `parts`, in [0, 1]."""
    parts: ScoreParts
    rank: int
    """1 is the best of the scan."""
    iv_rank: Annotated[float, Field(ge=0, le=100)] | None = None
    """Where the underlying's 30-day implied volatility stands between its least (0) and greatest (100) of a year."""

    @property
    def greeks(self) -> SpreadGreeks:
        """Net greeks of the position as held, dollars per contract: a bull put has positive delta, negative vega."""
        short, long = self.short_leg, self.long_leg
        return SpreadGreeks(
            delta=(long.delta - short.delta) * CONTRACT_MULTIPLIER,
            gamma=(long.gamma - short.gamma) * CONTRACT_MULTIPLIER,
            theta_per_day=(long.theta_per_day - short.theta_per_day) * CONTRACT_MULTIPLIER,
            vega_per_vol_point=(long.vega_per_vol_point - short.vega_per_vol_point) * CONTRACT_MULTIPLIER,
        )


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
    """Pairs that passed every filter; the candidates are the best of them, see `ScreenParams.max_listed`."""
    rejected_contracts: Mapping[str, int]
    """First reason that rejected a contract -> count; reasons in the order of the checks."""
    rejected_pairs: Mapping[str, int]
    """First reason that rejected a pair -> count; reasons in the order of the checks."""
    nearest_misses: tuple[NearestMiss, ...] = ()
    """One for each underlying and direction in which nothing passed."""
    by_underlying: Mapping[str, int] = {}
    """Pairs of each underlying that passed."""


class ScoreWeights(Frozen):
    """What each component counts; a component without facts is left out and the others share its weight."""

    iv: Share = 0.25
    """Of the implied volatility's percentile."""
    delta: Share = 0.25
    """Of the short delta's nearness to 0.10."""
    credit: Share = 0.25
    """Of the credit as a share of the width."""
    ev: Share = 0.25
    """Of the expected value."""

    @model_validator(mode="after")
    def _add_up(self) -> Self:
        if abs(self.iv + self.delta + self.credit + self.ev - 1) > 1e-9 or self.iv == 1:
            raise ValueError("score weights must add up to 1, and not all of it on iv, which may be absent")
        return self


REGIME_WEIGHTS: Mapping[MarketRegime, ScoreWeights] = {
    MarketRegime.BULL_LOW_VOL: ScoreWeights(iv=0.20, delta=0.20, credit=0.25, ev=0.35),
    MarketRegime.BULL_HIGH_VOL: ScoreWeights(iv=0.25, delta=0.35, credit=0.20, ev=0.20),
    MarketRegime.BEAR_LOW_VOL: ScoreWeights(iv=0.20, delta=0.25, credit=0.35, ev=0.20),
    MarketRegime.BEAR_HIGH_VOL: ScoreWeights(iv=0.35, delta=0.30, credit=0.20, ev=0.15),
}
"""Weights of the score in each regime; never validated on trades, so configurable."""


class ScreenParams(Frozen):
    """The screen's filters; percentages as fractions."""

    min_dte: Annotated[int, Field(ge=0)] = 30
    """Calendar days to expiration, at least."""
    max_dte: int = 45
    """Calendar days to expiration, at most."""
    min_short_delta: Share = 0.05
    """Of the short leg, without its sign."""
    max_short_delta: Share = 0.15
    """Of the short leg, without its sign."""
    min_width: Annotated[float, Field(gt=0)] = 2.0
    """Dollars per share."""
    max_width: Annotated[float, Field(gt=0)] = 10.0
    """Dollars per share."""
    min_credit_to_width: Share = 0.10
    """Credit at mid as a share of the width."""
    min_open_interest: Annotated[float, Field(ge=0)] = 50
    """Contracts, of each leg."""
    min_volume: Annotated[float, Field(ge=0)] = 1
    """Contracts of each leg, of today or the last full session."""
    max_bid_ask_to_mid: Annotated[float, Field(gt=0)] = 0.12
    """Of each leg, as a share of its mid."""
    max_quote_age_seconds: Annotated[float, Field(gt=0)] = 1200
    """A desk takes what its market says of its feed, unless this is set; 1,200 is for a free one, 15 minutes late."""
    weights: ScoreWeights = ScoreWeights()
    """Used where the regime is not known."""
    regime_weights: Mapping[MarketRegime, ScoreWeights] = REGIME_WEIGHTS
    max_listed: Annotated[int, Field(ge=1)] = 10
    """Candidates made of each underlying and direction, best first; all that pass are counted in the report."""

    @model_validator(mode="after")
    def _ranges(self) -> Self:
        for name, low, high in (
            ("dte", self.min_dte, self.max_dte),
            ("short_delta", self.min_short_delta, self.max_short_delta),
            ("width", self.min_width, self.max_width),
        ):
            if low > high:
                raise ValueError(f"min_{name} {low:g} is above max_{name} {high:g}")
        return self
