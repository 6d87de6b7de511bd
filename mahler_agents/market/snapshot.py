"""Stage 1, market: the frozen `Snapshot` that all review of one scan reads, and the protocol of what makes one.

What a market does not know is absent: NaN in a column, None in a field, never a default that looks like a fact.
"""

import datetime as dt
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from pydantic import AwareDatetime, Field

from mahler_agents.types import Frozen, Quote, SpreadType

Floats = NDArray[np.float64]
Strings = NDArray[np.str_]
Dates = NDArray[np.datetime64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Chain:
    """One underlying's option chain as columns of equal length, one row a contract.

    Prices in dollars per share; implied volatility as an annualised fraction (0.20 = 20 %); greeks of the long option,
    per share: delta per dollar, gamma per dollar squared, theta in dollars per calendar day, vega in dollars per
    volatility point (0.01). NaN where the source has none.
    """

    underlying: str
    spot: float
    """Price of the underlying, dollars per share; NaN if the source has none."""
    symbol: Strings
    """OCC symbols."""
    is_put: Bools
    expiration: Dates
    """Exchange dates, `datetime64[D]`."""
    strike: Floats
    bid: Floats
    ask: Floats
    quote_age_seconds: Floats
    """Age of the quote at the snapshot's `as_of`."""
    volume: Floats
    """Contracts: the larger of today's and the last full session's."""
    open_interest: Floats
    multiplier: Floats
    """Shares per contract: 100 unless adjusted."""
    implied_volatility: Floats
    delta: Floats
    gamma: Floats
    theta_per_day: Floats
    vega_per_vol_point: Floats

    def __len__(self) -> int:
        return len(self.symbol)

    def __repr__(self) -> str:
        # Short, because asyncio.run makes (and drops) the repr of what it returns: all columns would cost 0.5 s.
        return f"Chain({self.underlying}, spot {self.spot:g}, {len(self)} contracts)"


@dataclass(frozen=True, kw_only=True)
class Bars:
    """Daily bars of one underlying, oldest first, complete days only; dollars per share, volume in shares.

    A source that has closes only leaves the other columns NaN. Raises `ValueError` for columns of different length, and
    for dates that are not in order, or of which one stands twice or is none.
    """

    date: Dates
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats

    def __post_init__(self) -> None:
        lengths = {name: len(column) for name, column in vars(self).items()}
        if set(lengths.values()) != {len(self.date)}:
            raise ValueError(f"columns of bars differ in length: {lengths}")
        if np.isnat(self.date).any() or not (self.date[1:] > self.date[:-1]).all():
            raise ValueError("bars are not one a date, oldest first")

    def __len__(self) -> int:
        return len(self.date)

    def __repr__(self) -> str:
        return f"Bars({len(self)} days)"


@dataclass(frozen=True, kw_only=True)
class VolatilityHistory:
    """30-day at-the-money implied volatility of one underlying by day, oldest first, before `as_of`'s own day."""

    date: Dates
    implied_volatility: Floats
    """Annualised fraction."""

    def __repr__(self) -> str:
        return f"VolatilityHistory({len(self.date)} days)"


class Headline(Frozen):
    """One news headline: untrusted text."""

    at: dt.datetime
    text: str
    source: str


class Dividend(Frozen):
    """One coming cash dividend: who holds the shares before the session of `ex_date` gets it."""

    ex_date: dt.date
    dollars: Annotated[float, Field(gt=0)] | None = None
    """Per share, announced or expected; None if only the date is known."""
    estimated: Annotated[bool, Field(exclude_if=lambda estimated: not estimated)] = False
    """Nobody has announced it: its date is that of a year ago, moved on."""

    @property
    def date_text(self) -> str:
        """The ex-date, and that it is an estimate if it is."""
        return f"{self.ex_date} (estimated)" if self.estimated else f"{self.ex_date}"


@dataclass(frozen=True, kw_only=True)
class MarketData:
    """What one underlying looks like at `as_of`; empty parts are absent, not zero."""

    chain: Chain
    bars: Bars
    volatility_history: VolatilityHistory | None = None
    headlines: tuple[Headline, ...] | None = None
    """Newest first; None where the source has no news at all, empty where there was none."""
    dividends: tuple[Dividend, ...] | None = None
    """With ex-dates after `as_of`'s New York date, in order; None if unknown, empty if none is to come."""


class Exposure(Frozen):
    """Risk that the account already carries: an open position or a pending order, at its worst price."""

    underlying: str
    spread_type: SpreadType
    expiration: dt.date
    contracts: Annotated[int, Field(gt=0)]
    max_loss_dollars: Annotated[float, Field(ge=0)]
    """Largest loss of one contract before fees, dollars."""
    pending: bool
    short_symbol: str | None = None
    """OCC symbol of the short leg; None in what a version recorded that did not keep it."""
    long_symbol: str | None = None

    @property
    def risk_dollars(self) -> float:
        """Max loss times contracts, dollars."""
        return self.max_loss_dollars * self.contracts


class Account(Frozen):
    """The broker's account at `as_of`, dollars."""

    account_id: Annotated[str, Field(min_length=1)]
    equity: float
    """Zero or below is possible: nothing is opened on it."""
    cash: float
    buying_power: float
    exposures: tuple[Exposure, ...] = ()
    stale_marks: Mapping[str, AwareDatetime] = {}
    """Legs that had no quote at this instant and are marked at their last one -> when that was."""

    @property
    def heat_dollars(self) -> float:
        """Risk of all exposures, dollars."""
        return sum(exposure.risk_dollars for exposure in self.exposures)


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """The market and the account, frozen at `as_of`: everything that a review may read."""

    as_of: dt.datetime
    market: str
    """Name of the market, e.g. `sample`."""
    source: str
    """Where the figures are from, in words for the user."""
    synthetic: bool
    """True if the figures are made up; said wherever they appear."""
    underlyings: Mapping[str, MarketData]
    risk_free_rate: float
    """Annualised, continuously compounded; a dated fact of the config."""
    vix: float | None = None
    """The VIX index, points; never an ETF's share price."""
    vix_3_month: float | None = None
    account: Account | None = None
    missing: Mapping[str, str] = field(default_factory=dict[str, str])
    """What the market could not give: name of the part to the reason, e.g. `headlines` -> `not in the file`."""

    @property
    def all_missing(self) -> Mapping[str, str]:
        """`missing`, and the dividends that are not known, which volatilities and greeks are computed without."""
        unknown = {f"dividends.{name}": _unknown_dividends(held) for name, held in self.underlyings.items()}
        return {**self.missing, **{name: why for name, why in unknown.items() if why}}


def _unknown_dividends(held: MarketData) -> str | None:
    """Say which of an underlying's dividends nobody knows, and what follows from that."""
    without = "volatilities and greeks that the source lacks are computed without"
    if held.dividends is None:
        return f"not known: {without} dividends"
    dates = [dividend.date_text for dividend in held.dividends if dividend.dollars is None]
    return f"the amount of {', '.join(dates)} is not known: {without} it" if dates else None


class Market(Protocol):
    """A source of market data; all of it as of an instant, so that a scan can be run again."""

    @property
    def name(self) -> str:
        """`sample`, `csv`, ..."""
        ...

    @property
    def world(self) -> str:
        """Whose prices these are, e.g. `sample-7`: a paper account lives in one world and never in two."""
        ...

    @property
    def live(self) -> bool:
        """True if quotes of a later instant exist only once that instant has come."""
        ...

    @property
    def synthetic(self) -> bool:
        """True if its figures are made up: said wherever one of them is shown."""
        ...

    @property
    def max_quote_age_seconds(self) -> float:
        """How old a quote of this feed may be: above, the feed has stopped; a free one is 15 minutes late by itself."""
        ...

    def default_as_of(self) -> dt.datetime:
        """Return the instant that a scan uses when none is asked for."""
        ...

    def instant_of(self, date: dt.date) -> dt.datetime:
        """Return the instant that a bare date stands for; raises `InputError` if the market has none on it."""
        ...

    async def snapshot(self, as_of: dt.datetime, underlyings: Sequence[str]) -> Snapshot:
        """Return the market at `as_of`, without the account.

        Raises `InputError` if the market has no data for that instant, `MarketError` if it cannot be reached.
        """
        ...

    async def quotes(self, symbols: Sequence[str], at: dt.datetime) -> Mapping[str, Quote]:
        """Return the quotes of the option symbols at the instant `at`; a symbol without a usable quote is left out."""
        ...

    async def dividends(self, underlyings: Sequence[str], at: dt.datetime) -> Mapping[str, tuple[Dividend, ...]]:
        """Return the dividends with ex-dates after `at`'s New York date, in order, as known at the instant `at`.

        Empty where none is to come; an underlying of which the market does not know that is left out.
        """
        ...

    async def prices(self, underlyings: Sequence[str], at: dt.datetime) -> Mapping[str, float]:
        """Return the underlyings' prices at the instant `at`, dollars per share; those not known are left out.

        At a session's close it is the price at which options that expire that day are settled.
        """
        ...

    async def vix(self, at: dt.datetime) -> float | None:
        """Return the VIX index at the instant `at`, points, without the rest of a snapshot; None if it is not known."""
        ...


@dataclass(frozen=True, kw_only=True)
class Timetable:
    """The instants of one session at which a market has quotes, in order."""

    instants: tuple[dt.datetime, ...] = ()
    """Timezone-aware UTC."""
    absent: str = ""
    """Why there are none, as in `2021-02-15 is not in the file` without the date."""


@runtime_checkable
class ReplayableMarket(Market, Protocol):
    """A market whose days can be gone through one after another: what a simulation needs."""

    def timetable(self, date: dt.date, every: dt.timedelta) -> Timetable:
        """Return when the market can be asked in the session on `date`.

        Every so often from the open to the close if it has quotes of any instant, else at the instants that it has.
        """
        ...


@runtime_checkable
class PresentMarket(Market, Protocol):
    """A market that shows the present instant alone."""

    def check_now(self, at: dt.datetime) -> None:
        """Raise `InputError` for an instant that is not the present one."""
        ...


class PastChain(NamedTuple):
    """The options around the money of one session that is over, at their last trades."""

    at: dt.datetime
    """The session's close."""
    chain: Chain
    dividends: tuple[Dividend, ...]
    """With ex-dates after it."""


@runtime_checkable
class PastMarket(Market, Protocol):
    """A market that tells what options traded at on days that are over."""

    def past_chains(self, underlying: str, dates: tuple[dt.date, ...]) -> AsyncIterator[PastChain]:
        """Yield the days in order; one without trades is left out. Raises `MarketError`."""
        ...


def chain_from_columns(underlying: str, spot: float, columns: Mapping[str, Any]) -> Chain:
    """Return a `Chain` from plain sequences, with NaN for every optional column that is not given.

    Raises `ValueError` if the columns differ in length.
    """
    count = len(columns["symbol"])
    absent = np.full(count, np.nan)

    def floats(name: str) -> Floats:
        return np.asarray(columns.get(name, absent), dtype=np.float64)

    chain = Chain(
        underlying=underlying,
        spot=spot,
        symbol=np.asarray(columns["symbol"], dtype=np.str_),
        is_put=np.asarray(columns["is_put"], dtype=np.bool_),
        expiration=np.asarray(columns["expiration"], dtype="datetime64[D]"),
        strike=floats("strike"),
        bid=floats("bid"),
        ask=floats("ask"),
        quote_age_seconds=floats("quote_age_seconds"),
        volume=floats("volume"),
        open_interest=floats("open_interest"),
        multiplier=floats("multiplier"),
        implied_volatility=floats("implied_volatility"),
        delta=floats("delta"),
        gamma=floats("gamma"),
        theta_per_day=floats("theta_per_day"),
        vega_per_vol_point=floats("vega_per_vol_point"),
    )
    lengths = {name: len(column) for name, column in vars(chain).items() if isinstance(column, np.ndarray)}
    if set(lengths.values()) != {count}:
        raise ValueError(f"columns of {underlying} differ in length: {lengths}")
    return chain
