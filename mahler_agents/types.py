"""The words that every stage shares: spread, quotes, and the closed sets of codes.

Each stage's own type lives in that stage's module; here is only what more than one of them speaks of.
"""

import datetime as dt
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from mahler_agents.units import CONTRACT_MULTIPLIER
from mahler_agents.wording import spread_label, strike_text

UNIVERSE = ("SPY", "QQQ", "IWM", "TLT", "GLD")
"""The underlyings of the desk, in the order in which ties are broken."""


class Frozen(BaseModel):
    """Base of the stages' types: immutable, keyword-only, no unknown field, no NaN or infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)


class Environment(StrEnum):
    """What the desk trades with: paper money or real money."""

    PAPER = "paper"
    LIVE = "live"


class SpreadType(StrEnum):
    """The two credit spreads of the desk."""

    BULL_PUT = "bull_put"
    """Short put, long put at a lower strike: profits unless the underlying falls."""
    BEAR_CALL = "bear_call"
    """Short call, long call at a higher strike: profits unless the underlying rises."""


class MarketRegime(StrEnum):
    """Trend and volatility of the market, as the regime model names them."""

    BULL_LOW_VOL = "bull_low_vol"
    BULL_HIGH_VOL = "bull_high_vol"
    BEAR_LOW_VOL = "bear_low_vol"
    BEAR_HIGH_VOL = "bear_high_vol"


class AssetClass(StrEnum):
    """Classes whose members move together: SPY, QQQ and IWM are 86-92 % correlated."""

    EQUITY = "equity"
    TREASURY = "treasury"
    COMMODITY = "commodity"


ASSET_CLASSES = {
    "SPY": AssetClass.EQUITY,
    "QQQ": AssetClass.EQUITY,
    "IWM": AssetClass.EQUITY,
    "TLT": AssetClass.TREASURY,
    "GLD": AssetClass.COMMODITY,
}


class Reason(StrEnum):
    """Why a candidate ended as it did; the codes of the record and of every notification."""

    FILLED = "filled"
    """The order was filled."""
    RANKED_OUT = "ranked_out"
    """A better candidate of the same underlying and direction, or ten better ones, were reviewed instead."""
    LOW_CONFIDENCE = "low_confidence"
    """Live only: low confidence from the fund manager and no explicit approval."""
    NO_VERDICT = "no_verdict"
    """Live only: no quorum of opinions, or the fund manager gave no verdict."""
    NO_OPPORTUNITIES = "no_opportunities"
    """Nothing passed the screen."""
    MAX_TRADES_PER_SCAN = "max_trades_per_scan"
    """This scan has opened as many trades as it may."""
    DUPLICATE_POSITION = "duplicate_position"
    """A position or order of the same underlying, type and expiration is open."""
    ALREADY_ORDERED = "already_ordered"
    """This slot has ordered this spread before, however that ended: a slot that runs again orders nothing twice."""
    NO_EQUITY = "no_equity"
    """The account's equity is zero or below."""
    MAX_RISK_PER_TRADE = "max_risk_per_trade"
    """The risk of one trade as a share of equity."""
    MAX_SINGLE_POSITION = "max_single_position"
    """The risk of one position as a share of equity."""
    MAX_PORTFOLIO_HEAT = "max_portfolio_heat"
    """The risk of all positions and pending orders as a share of equity."""
    MAX_PER_UNDERLYING = "max_per_underlying"
    """The risk in one underlying as a share of equity."""
    MAX_EQUITY_CLASS = "max_equity_class"
    """The risk in SPY, QQQ and IWM together as a share of equity."""
    MAX_TREASURY_CLASS = "max_treasury_class"
    """The risk in TLT as a share of equity."""
    MAX_COMMODITY_CLASS = "max_commodity_class"
    """The risk in GLD as a share of equity."""
    MAX_POSITIONS_PER_EQUITY_CLASS = "max_positions_per_equity_class"
    """The number of open and pending positions in SPY, QQQ and IWM."""
    MAX_BETA_WEIGHTED_DELTA = "max_beta_weighted_delta"
    """The portfolio's gain or loss for a 1 % move of SPY as a share of equity; off unless configured."""
    UNKNOWN_PORTFOLIO_DELTA = "unknown_portfolio_delta"
    """The limit on it is on, and the delta of the trade or of something that is held is not known."""
    HALTED = "halted"
    """The circuit breaker has halted the desk: nothing is opened, exits go on."""
    KILL_SWITCH = "kill_switch"
    """The trading state is HALTED, by `mahler halt` or since it cannot be read: nothing is opened, exits go on."""
    REDUCING = "reducing"
    """The trading state is REDUCING, by `mahler halt --reducing` or a broken leg: nothing is opened, exits go on."""
    BROKER_UNREADABLE = "broker_unreadable"
    """The broker's positions could not be read, so that nobody knows what the account holds."""
    EXTERNAL_POSITION = "external_position"
    """The broker holds something in this underlying that is not the ledger's; it is never traded."""
    BROKEN_LEG = "broken_leg"
    """A leg of an open position in this underlying is missing at the broker."""
    NO_VIX = "no_vix"
    """Live only: the VIX is not known, so that its rules cannot be evaluated."""
    CIRCUIT_BREAKER = "circuit_breaker"
    """The circuit breaker's multiplier of the size."""
    REGIME = "regime"
    """Live only: the market regime's multiplier of the size."""
    BUYING_POWER = "buying_power"
    """The account's buying power does not carry one more contract."""
    QUOTE_MOVED = "quote_moved"
    """The quote at the decision time was below the lowest credit that the order was sized on."""
    NO_QUOTE = "no_quote"
    """A leg had no usable quote at the decision time."""
    STALE_SNAPSHOT = "stale_snapshot"
    """The scan was resumed too long after its snapshot: reviews are completed, and nothing is opened."""
    REVIEW_ONLY = "review_only"
    """A review was asked for, and no trade."""
    UNFILLED = "unfilled"
    """The order conceded to its last step and was not filled."""
    EXPIRED = "expired"
    """The session closed while the order was worked, and nothing was filled."""
    NOT_HELD = "not_held"
    """The broker rejected a closing order for contracts that the account does not hold, or closes already."""
    REJECTED = "rejected"
    """The broker rejected the order."""
    ABANDONED = "abandoned"
    """The process ended before the order had reached the broker."""
    ERROR = "error"
    """The review failed; the run's trace names the error."""


class Spread(Frozen):
    """A vertical credit spread: one short and one long leg of one underlying, type and expiration.

    A bull put's long strike lies below its short one, a bear call's above: anything else is refused, since it would
    cost a debit, and its risk would be counted wrong.
    """

    underlying: str
    spread_type: SpreadType
    expiration: dt.date
    short_strike: Annotated[float, Field(gt=0)]
    """Dollars per share."""
    long_strike: Annotated[float, Field(gt=0)]
    """Dollars per share."""
    short_symbol: str
    """OCC symbol of the short leg, e.g. `SPY260417P00540000`."""
    long_symbol: str

    @model_validator(mode="after")
    def _sells_the_dearer_leg(self) -> Self:
        below = self.long_strike < self.short_strike
        above = self.long_strike > self.short_strike
        if not (below if self.spread_type is SpreadType.BULL_PUT else above):
            side = "below" if self.spread_type is SpreadType.BULL_PUT else "above"
            raise ValueError(
                f"long strike {self.long_strike} of a {self.spread_type.value} is not {side} its short strike"
                f" {self.short_strike}"
            )
        return self

    @property
    def width(self) -> float:
        """Distance of the strikes, dollars per share."""
        return abs(self.short_strike - self.long_strike)

    @property
    def right(self) -> Literal["put", "call"]:
        """The legs' option type."""
        return "put" if self.spread_type is SpreadType.BULL_PUT else "call"

    @property
    def key(self) -> str:
        """A readable key that no other spread has, e.g. `SPY-20260417-P-540-535`."""
        return (
            f"{self.underlying}-{self.expiration:%Y%m%d}-{self.right[0].upper()}"
            f"-{strike_text(self.short_strike)}-{strike_text(self.long_strike)}"
        )

    @property
    def label(self) -> str:
        """The spread as a trader says it, e.g. `SPY 540/535 put spread, 2026-04-17`."""
        return spread_label(
            underlying=self.underlying,
            spread_type=self.spread_type,
            short_strike=self.short_strike,
            long_strike=self.long_strike,
            expiration=self.expiration,
        )

    def breakeven(self, credit: float) -> float:
        """Return the underlying's price at expiry at which the P&L before fees is zero, for `credit` per share."""
        return self.short_strike - credit if self.spread_type is SpreadType.BULL_PUT else self.short_strike + credit

    def max_loss_dollars(self, credit: float) -> float:
        """Return the largest loss of one contract before fees, in dollars: (width - credit) x 100."""
        return (self.width - credit) * CONTRACT_MULTIPLIER


class Quote(Frozen):
    """Bid and ask of one option, dollars per share; a zero bid with a positive ask is a quote, a crossed one is not."""

    bid: Annotated[float, Field(ge=0)]
    ask: Annotated[float, Field(gt=0)]
    at: AwareDatetime
    """When the quote was made."""

    @model_validator(mode="after")
    def _is_not_crossed(self) -> Self:
        if self.bid > self.ask:
            raise ValueError(f"bid {self.bid} is above ask {self.ask}: a crossed quote is no quote")
        return self

    @property
    def mid(self) -> float:
        """Midpoint of bid and ask, dollars per share."""
        return (self.bid + self.ask) / 2


class SpreadQuote(Frozen):
    """Quotes of both legs, seen as one price: what a seller of the spread is paid, per share."""

    short: Quote
    long: Quote

    @classmethod
    def of(cls, quotes: Mapping[str, Quote], spread: Spread) -> "SpreadQuote | None":
        """Return the spread's quote from its legs' by symbol, None if one of them has none."""
        short, long = quotes.get(spread.short_symbol), quotes.get(spread.long_symbol)
        return None if short is None or long is None else cls(short=short, long=long)

    @property
    def mid_credit(self) -> float:
        """Short mid less long mid, dollars per share."""
        return self.short.mid - self.long.mid

    @property
    def natural_credit(self) -> float:
        """Credit when both legs trade at the worse side: short bid less long ask, dollars per share."""
        return self.short.bid - self.long.ask

    def credit_at(self, concession: float) -> float:
        """Return the credit after conceding a share (0 = mid, 1 = natural) of the way, dollars per share."""
        return self.mid_credit - concession * (self.mid_credit - self.natural_credit)
