"""Stage 2, screen, first half: a chain in, the contracts that can be a leg out, and why the others cannot."""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from mahler_agents import pricing
from mahler_agents.clock import NEW_YORK
from mahler_agents.market.dividends import dividend_yields
from mahler_agents.market.snapshot import Bools, Chain, Dates, Dividend, Floats
from mahler_agents.screen.types import ContractRejection, ScreenParams
from mahler_agents.types import CONTRACT_MULTIPLIER
from mahler_agents.volatility import MAX_IMPLIED_VOLATILITY, MIN_IMPLIED_VOLATILITY

Rows: TypeAlias = NDArray[np.intp]
Codes: TypeAlias = NDArray[np.int8]

PRICE_TOLERANCE = 1e-9
"""Dollars: a limit that is met exactly in decimals is met, whatever binary fractions make of it."""

FACTS = ("implied_volatility", "delta", "gamma", "theta_per_day", "vega_per_vol_point")
"""What the source may lack and the screen then computes."""
_DELTA = FACTS.index("delta")

_PRICE_BOUND = 100_000.0  # a symbol has five digits for a strike's dollars
_GAMMA_BOUND = 1_000.0
MOST_CONTRACTS = 1e9
"""Open interest or volume above this is no count of contracts."""


@dataclass(frozen=True, kw_only=True)
class ChainContext:
    """One chain and what its contracts are judged by."""

    chain: Chain
    as_of: dt.datetime
    params: ScreenParams
    rate: float
    """Annualised, continuously compounded."""
    dividends: tuple[Dividend, ...] | None
    """Of the underlying, to come; None if not known."""

    def dte(self, rows: Rows) -> NDArray[np.int64]:
        """Return the calendar days to expiration on exchange dates."""
        today = np.datetime64(self.as_of.astimezone(NEW_YORK).date(), "D")
        return (self.chain.expiration[rows] - today).astype(np.int64)

    def dividend_yields(self, rows: Rows) -> Floats:
        """Return the yields of the dividends inside each contract's life; NaN where they are impossible."""
        return dividend_yields(
            self.dividends,
            spot=self.chain.spot,
            expiration=self.chain.expiration[rows],
            as_of=self.as_of,
            rate=self.rate,
        )

    def bid_ask_to_mid(self, rows: Rows) -> Floats:
        """Return the distance from bid to ask as a share of mid."""
        bid, ask = self.chain.bid[rows], self.chain.ask[rows]
        return (ask - bid) / ((ask + bid) / 2)


@dataclass(frozen=True, kw_only=True)
class Legs:
    """The eligible contracts of one chain as columns, sorted by type, expiration and strike."""

    row: Rows
    """Row in the chain."""
    is_put: Bools
    expiration: Dates
    dte: NDArray[np.int64]
    strike: Floats
    mid: Floats
    facts: Floats
    """One row for each of `FACTS`, one column a leg."""
    computed: Bools
    """Of the same shape: True where the source had no such fact."""

    def __len__(self) -> int:
        return len(self.row)

    @property
    def delta(self) -> Floats:
        """Deltas of the long options."""
        return self.facts[_DELTA]


def eligible_legs(context: ChainContext) -> tuple[Legs, Codes]:
    """Return the contracts that can be a leg, and for each row of the chain its rejection.

    A code is an index into `tuple(ContractRejection)`, -1 for an eligible contract.
    """
    codes = np.full(len(context.chain), -1, dtype=np.int8)
    rows = np.arange(len(context.chain))

    def keep(reason: ContractRejection, passes: Bools) -> None:
        nonlocal rows
        codes[rows[~passes]] = _CODE[reason]
        rows = rows[passes]

    with np.errstate(all="ignore"):
        for reason, check in _CHECKS:
            keep(reason, check(context, rows))
        facts, computed = _facts(context, rows)
        for reason, passes in (
            (ContractRejection.NO_IMPLIED_VOLATILITY, np.isfinite(facts[0])),
            (ContractRejection.NO_GREEKS, np.isfinite(facts[1:]).all(axis=0)),
        ):
            alive = codes[rows] == -1
            codes[rows[alive & ~passes]] = _CODE[reason]
    alive = codes[rows] == -1
    order = _order(context.chain, rows)
    order = order[alive[order]]
    repeated = _repeats_previous(context.chain, rows[order])
    codes[rows[order[repeated]]] = _CODE[ContractRejection.DUPLICATE_CONTRACT]
    kept = order[~repeated]
    return _legs(context, rows[kept], facts[:, kept], computed[:, kept]), codes


def deltas(context: ChainContext, symbols: Sequence[str]) -> Mapping[str, float]:
    """Return the deltas of those of the symbols that the chain lists and that have one, of the long options.

    One that must be computed takes a quote that a leg could have, except that it may be wide.
    """
    with np.errstate(all="ignore"):
        rows = np.flatnonzero(np.isin(context.chain.symbol, symbols))
        for check in _IS_THE_CONTRACT:
            rows = rows[check(context, rows)]
        facts, computed = _facts(context, rows)
        quoted = np.logical_and.reduce([check(context, rows) for check in _IS_QUOTED])
    delta = np.where(computed[_DELTA] & ~quoted, np.nan, facts[_DELTA])
    known = np.flatnonzero(np.isfinite(delta))[::-1]  # of a contract in two rows the first counts, as in the screen
    return {str(context.chain.symbol[rows[one]]): float(delta[one]) for one in known}


def _legs(context: ChainContext, rows: Rows, facts: Floats, computed: Bools) -> Legs:
    """Return the columns of the rows that passed."""
    chain = context.chain
    return Legs(
        row=rows,
        is_put=chain.is_put[rows],
        expiration=chain.expiration[rows],
        dte=context.dte(rows),
        strike=chain.strike[rows],
        mid=(chain.bid[rows] + chain.ask[rows]) / 2,
        facts=facts,
        computed=computed,
    )


def _order(chain: Chain, rows: Rows) -> Rows:
    """Return the positions of `rows` sorted by type, expiration and strike; equal ones stay in chain order."""
    return np.lexsort((chain.strike[rows], chain.expiration[rows], chain.is_put[rows]))


def _repeats_previous(chain: Chain, rows: Rows) -> Bools:
    """Return where sorted `rows` hold the same contract as the one before."""
    repeated = np.zeros(len(rows), dtype=np.bool_)
    same = [column[rows[1:]] == column[rows[:-1]] for column in (chain.is_put, chain.expiration, chain.strike)]
    repeated[1:] = np.logical_and.reduce(same)
    return repeated


def _facts(context: ChainContext, rows: Rows) -> tuple[Floats, Bools]:
    """Return `FACTS` of the rows, and where they had to be computed: what the source lacks, or has impossible, is.

    A delta of 0, or of the wrong sign, is what brokers send for "unknown".
    """
    chain = context.chain
    facts = np.stack([getattr(chain, name)[rows] for name in FACTS])
    volatility, delta, gamma, theta, vega = facts
    sign = np.where(chain.is_put[rows], -1.0, 1.0)
    given = np.stack(
        [
            (volatility >= MIN_IMPLIED_VOLATILITY) & (volatility <= MAX_IMPLIED_VOLATILITY),
            (sign * delta > 0) & (sign * delta <= 1),
            (gamma > 0) & (gamma < _GAMMA_BOUND),
            (theta != 0) & (np.abs(theta) < chain.spot),
            (vega > 0) & (vega < chain.spot),
        ]
    )
    lacking = np.flatnonzero(~given.all(axis=0))
    if lacking.size:
        found = _compute(context, rows[lacking], np.where(given[0], volatility, np.nan)[lacking])
        facts[:, lacking] = np.where(given[:, lacking], facts[:, lacking], found)
    return facts, ~given


def _compute(context: ChainContext, rows: Rows, volatility: Floats) -> Floats:
    """Return `FACTS` at the given volatilities, or where those are NaN at the volatilities that the mids imply."""
    chain = context.chain
    contracts = {
        "is_put": chain.is_put[rows],
        "spot": chain.spot,
        "strike": chain.strike[rows],
        "years": pricing.years_to_expiry(context.as_of, chain.expiration[rows]),
        "rate": context.rate,
        "dividend_yield": context.dividend_yields(rows),
    }
    mid = (chain.bid[rows] + chain.ask[rows]) / 2
    implied = pricing.implied_volatility(price=np.where(np.isnan(volatility), mid, np.nan), **contracts)
    volatility = np.where(np.isnan(volatility), implied, volatility)
    values = pricing.value(volatility=volatility, **contracts)
    return np.stack([volatility, *(getattr(values, name) for name in FACTS[1:])])


def _has_underlying_price(context: ChainContext, rows: Rows) -> Bools:
    return np.full(len(rows), 0 < context.chain.spot < _PRICE_BOUND)


def _has_standard_multiplier(context: ChainContext, rows: Rows) -> Bools:
    return context.chain.multiplier[rows] == CONTRACT_MULTIPLIER


def _is_possible(context: ChainContext, rows: Rows) -> Bools:
    strike = context.chain.strike[rows]
    return (strike > 0) & (strike < _PRICE_BOUND) & ~np.isnat(context.chain.expiration[rows])


def _is_in_dte_range(context: ChainContext, rows: Rows) -> Bools:
    dte = context.dte(rows)
    return (dte >= context.params.min_dte) & (dte <= context.params.max_dte)


def _is_out_of_the_money(context: ChainContext, rows: Rows) -> Bools:
    strike, spot = context.chain.strike[rows], context.chain.spot
    return np.where(context.chain.is_put[rows], strike < spot, strike > spot)


def _has_its_symbol(context: ChainContext, rows: Rows) -> Bools:
    """Compare the symbols, as matrices of code points, with what the OCC's pattern makes of the row.

    Root, yymmdd, C or P, strike in thousandths with eight digits: `SPY260417P00540000`.
    """
    chain = context.chain
    root = np.array([ord(character) for character in chain.underlying], dtype=np.uint32)
    symbols = np.ascontiguousarray(chain.symbol[rows])
    width, length = symbols.dtype.itemsize // 4, len(root) + 15
    if width < length or not rows.size:
        return np.zeros(len(rows), dtype=np.bool_)
    expiration = chain.expiration[rows]
    months = expiration.astype("datetime64[M]")
    days = (expiration - months.astype("datetime64[D]")).astype(np.int64) + 1
    months_since_1970 = months.astype(np.int64)
    year, month = 1970 + months_since_1970 // 12, months_since_1970 % 12 + 1
    expected = np.zeros((len(rows), width), dtype=np.uint32)  # numpy pads strings with zeros
    expected[:, : len(root)] = root
    expected[:, len(root) : length - 9] = _digits(year % 100 * 10_000 + month * 100 + days, 6)
    expected[:, length - 9] = np.where(chain.is_put[rows], ord("P"), ord("C"))
    expected[:, length - 8 : length] = _digits(np.rint(chain.strike[rows] * 1000).astype(np.int64), 8)
    return (symbols.view(np.uint32).reshape(len(rows), width) == expected).all(axis=1)


def _digits(numbers: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Return the last `count` decimal digits as code points, one row a number."""
    return numbers[:, np.newaxis] // 10 ** np.arange(count - 1, -1, -1) % 10 + ord("0")


def _has_possible_dividends(context: ChainContext, rows: Rows) -> Bools:
    return ~np.isnan(context.dividend_yields(rows))


def _has_quote(context: ChainContext, rows: Rows) -> Bools:
    bid, ask = context.chain.bid[rows], context.chain.ask[rows]
    return ~np.isnan(bid) & ~np.isnan(ask) & (ask != 0)


def _has_possible_quote(context: ChainContext, rows: Rows) -> Bools:
    chain = context.chain
    bid, ask = chain.bid[rows], chain.ask[rows]
    most = np.where(chain.is_put[rows], chain.strike[rows], chain.spot)
    return (bid >= 0) & (ask > 0) & ((bid + ask) / 2 < most)


def _is_not_crossed(context: ChainContext, rows: Rows) -> Bools:
    return context.chain.bid[rows] <= context.chain.ask[rows]


def _has_fresh_quote(context: ChainContext, rows: Rows) -> Bools:
    return np.abs(context.chain.quote_age_seconds[rows]) <= context.params.max_quote_age_seconds


def _has_open_interest(context: ChainContext, rows: Rows) -> Bools:
    open_interest = context.chain.open_interest[rows]
    return (open_interest >= context.params.min_open_interest) & (open_interest <= MOST_CONTRACTS)


def _has_volume(context: ChainContext, rows: Rows) -> Bools:
    volume = context.chain.volume[rows]
    return (volume >= context.params.min_volume) & (volume <= MOST_CONTRACTS)


def _has_narrow_bid_ask(context: ChainContext, rows: Rows) -> Bools:
    return context.bid_ask_to_mid(rows) <= context.params.max_bid_ask_to_mid + PRICE_TOLERANCE


_CHECKS: tuple[tuple[ContractRejection, Callable[[ChainContext, Rows], Bools]], ...] = (
    (ContractRejection.NO_UNDERLYING_PRICE, _has_underlying_price),
    (ContractRejection.ADJUSTED, _has_standard_multiplier),
    (ContractRejection.IMPOSSIBLE_CONTRACT, _is_possible),
    (ContractRejection.DTE, _is_in_dte_range),
    (ContractRejection.NOT_OUT_OF_THE_MONEY, _is_out_of_the_money),
    (ContractRejection.SYMBOL_MISMATCH, _has_its_symbol),
    (ContractRejection.IMPOSSIBLE_DIVIDENDS, _has_possible_dividends),
    (ContractRejection.NO_QUOTE, _has_quote),
    (ContractRejection.IMPOSSIBLE_QUOTE, _has_possible_quote),
    (ContractRejection.CROSSED, _is_not_crossed),
    (ContractRejection.STALE_QUOTE, _has_fresh_quote),
    (ContractRejection.OPEN_INTEREST, _has_open_interest),
    (ContractRejection.VOLUME, _has_volume),
    (ContractRejection.BID_ASK, _has_narrow_bid_ask),
)
_IS_THE_CONTRACT = (_has_underlying_price, _has_standard_multiplier, _is_possible, _has_its_symbol)
_IS_QUOTED = (_has_quote, _has_possible_quote, _is_not_crossed, _has_fresh_quote)
_CODE = {reason: code for code, reason in enumerate(ContractRejection)}
