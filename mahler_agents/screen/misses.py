"""Stage 2, screen, explanation: why nothing passed in one direction, told by what came closest.

The rejected contract or pair that got furthest through the checks, and among those the nearest to its limit.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mahler_agents.market.snapshot import Floats
from mahler_agents.screen.contracts import MOST_CONTRACTS, ChainContext, Codes, Legs, Rows
from mahler_agents.screen.pairs import Pairs
from mahler_agents.screen.types import ContractRejection, NearestMiss, PairRejection, ScreenParams
from mahler_agents.types import Spread, SpreadType

_CONTRACT_REASONS = tuple(ContractRejection)
_PAIR_REASONS = tuple(PairRejection)
_FIRST_QUOTE_CHECK = _CONTRACT_REASONS.index(ContractRejection.NO_QUOTE)


@dataclass(frozen=True, kw_only=True)
class ScreenedChain:
    """One chain with all that the screen found out about it."""

    context: ChainContext
    codes: Codes
    """Rejection of each row of the chain, -1 if eligible."""
    legs: Legs
    pairs: Pairs
    pair_codes: Codes
    """Rejection of each pair, -1 if it passed."""


def nearest_miss(screened: ScreenedChain, spread_type: SpreadType) -> NearestMiss | None:
    """Return what came closest to a candidate in one direction; None if one passed, or there are no contracts."""
    is_put = spread_type is SpreadType.BULL_PUT
    pairs = np.flatnonzero(screened.legs.is_put[screened.pairs.short] == is_put)
    if pairs.size:
        return _pair_miss(screened, pairs, spread_type)
    legs = np.flatnonzero(screened.legs.is_put == is_put)
    rejected = np.flatnonzero((screened.context.chain.is_put == is_put) & (screened.codes >= 0))
    sellable = _in_short_delta_range(screened, rejected)
    if legs.size and not sellable.size:
        return _short_leg_miss(screened, legs, spread_type)
    if rejected.size:
        return _contract_miss(screened, sellable if sellable.size else rejected)
    return None


def spread_at(legs: Legs, context: ChainContext, short: int, long: int) -> Spread:
    """Return the spread of two positions in `legs`."""
    chain = context.chain
    return Spread(
        underlying=chain.underlying,
        spread_type=SpreadType.BULL_PUT if legs.is_put[short] else SpreadType.BEAR_CALL,
        expiration=legs.expiration[short].item(),
        short_strike=float(legs.strike[short]),
        long_strike=float(legs.strike[long]),
        short_symbol=str(chain.symbol[legs.row[short]]),
        long_symbol=str(chain.symbol[legs.row[long]]),
    )


def _pair_miss(screened: ScreenedChain, rows: Rows, spread_type: SpreadType) -> NearestMiss | None:
    """Return the pair that failed the last of the checks by the least."""
    codes = screened.pair_codes[rows]
    if (codes == -1).any():
        return None
    reason = _PAIR_REASONS[codes.max()]
    furthest = rows[codes == codes.max()]
    share = screened.pairs.credit[furthest] / screened.pairs.width[furthest]
    too_much = reason is PairRejection.CREDIT_NOT_BELOW_WIDTH
    pair = furthest[share.argmin() if too_much else share.argmax()]
    credit, width = float(screened.pairs.credit[pair]), float(screened.pairs.width[pair])
    minimum = screened.context.params.min_credit_to_width
    text = {
        PairRejection.CREDIT: f"credit {_beside(100 * credit / width, 100 * minimum)} % of width, "
        f"needs {100 * minimum:g} %",
        PairRejection.CREDIT_NOT_POSITIVE: f"credit {credit:.3f}, needs to be above 0",
        PairRejection.CREDIT_NOT_BELOW_WIDTH: f"credit {credit:.3f}, needs to be below the width {width:g}",
        PairRejection.DUPLICATE_POSITION: f"a {spread_type.value.replace('_', ' ')} of this expiration is open",
    }[reason]
    short, long = int(screened.pairs.short[pair]), int(screened.pairs.long[pair])
    spread = spread_at(screened.legs, screened.context, short, long)
    return NearestMiss(reason=reason, what=spread.label, text=text)


def _in_short_delta_range(screened: ScreenedChain, rejected: Rows) -> Rows:
    """Return the rejected rows that could have been sold, by the source's delta, had their quotes been better."""
    params, size = screened.context.params, np.abs(screened.context.chain.delta[rejected])
    in_range = (size >= params.min_short_delta) & (size <= params.max_short_delta)
    return rejected[in_range & (screened.codes[rejected] >= _FIRST_QUOTE_CHECK)]


def _short_leg_miss(screened: ScreenedChain, positions: Rows, spread_type: SpreadType) -> NearestMiss:
    """Return why the eligible legs of one type make no pair: the nearest short delta, or no long leg in reach."""
    params, legs = screened.context.params, screened.legs
    size = np.abs(legs.delta[positions])
    off = _distance(size, params.min_short_delta, params.max_short_delta)
    nearest = int(off.argmin())
    what = _label(screened.context, int(legs.row[positions[nearest]]))
    if off[nearest] > 0:
        wanted = f"{params.min_short_delta:.2f}-{params.max_short_delta:.2f}"
        off_by = max if size[nearest] > params.max_short_delta else min
        limit = off_by(params.min_short_delta, params.max_short_delta)
        return NearestMiss(
            reason="short_delta", what=what, text=f"short |delta| {_beside(size[nearest], limit)}, needs {wanted}"
        )
    side = "below" if spread_type is SpreadType.BULL_PUT else "above"
    wanted = f"{params.min_width:g}-{params.max_width:g} dollars {side}"
    return NearestMiss(reason="width", what=what, text=f"no eligible long leg {wanted}")


def _contract_miss(screened: ScreenedChain, rows: Rows) -> NearestMiss:
    """Return the contract that failed the last of the checks by the least."""
    codes = screened.codes[rows]
    reason = _CONTRACT_REASONS[codes.max()]
    furthest = rows[codes == codes.max()]
    measured = _MEASURES.get(reason)
    if measured is None:
        what = screened.context.chain.underlying
        if reason is not ContractRejection.NO_UNDERLYING_PRICE:
            what = _label(screened.context, int(furthest[0]))
        return NearestMiss(reason=reason, what=what, text=reason.value.replace("_", " "))
    with np.errstate(all="ignore"):
        values = measured.values(screened.context, furthest)
    low, high = measured.limits(screened.context.params)
    nearest = int(_distance(values, low, high).argmin())
    return NearestMiss(
        reason=reason,
        what=_label(screened.context, int(furthest[nearest])),
        text=measured.text(float(values[nearest]), low, high),
    )


@dataclass(frozen=True, kw_only=True)
class _Measure:
    """A contract check that has a number: how to read it, its limits, and how it is told."""

    values: Callable[[ChainContext, Rows], Floats]
    limits: Callable[[ScreenParams], tuple[float, float]]
    name: str
    unit: str = ""
    """After the value and the limit."""
    of: str = ""
    """After the value alone."""
    scale: float = 1
    """Told values per measured one: 100 for percent."""

    def text(self, value: float, low: float, high: float) -> str:
        """Return e.g. `bid-ask 14 % of mid, needs at most 12 %`."""
        value, low, high = (figure * self.scale for figure in (value, low, high))
        needs = f"{low:g}-{high:g}"
        if high == np.inf:
            needs = f"{low:g}"
        elif low == -np.inf:
            needs = f"at most {high:g}"
        limit = high if value > high else low
        shown = f"{_beside(value, limit)}{self.unit}{self.of}" if np.isfinite(value) else "unknown"
        return f"{self.name} {shown}, needs {needs}{self.unit}"


def _count(contracts: Floats) -> Floats:
    return np.where(contracts <= MOST_CONTRACTS, contracts, np.nan)


_MEASURES = {
    ContractRejection.DTE: _Measure(
        values=lambda context, rows: context.dte(rows).astype(np.float64),
        limits=lambda params: (params.min_dte, params.max_dte),
        name="DTE",
    ),
    ContractRejection.STALE_QUOTE: _Measure(
        values=lambda context, rows: np.abs(context.chain.quote_age_seconds[rows]),
        limits=lambda params: (-np.inf, params.max_quote_age_seconds),
        name="quote age",
        unit=" s",
    ),
    ContractRejection.OPEN_INTEREST: _Measure(
        values=lambda context, rows: _count(context.chain.open_interest[rows]),
        limits=lambda params: (params.min_open_interest, np.inf),
        name="open interest",
    ),
    ContractRejection.VOLUME: _Measure(
        values=lambda context, rows: _count(context.chain.volume[rows]),
        limits=lambda params: (params.min_volume, np.inf),
        name="volume",
    ),
    ContractRejection.BID_ASK: _Measure(
        values=lambda context, rows: context.bid_ask_to_mid(rows),
        limits=lambda params: (-np.inf, params.max_bid_ask_to_mid),
        name="bid-ask",
        unit=" %",
        of=" of mid",
        scale=100,
    ),
}


def _distance(values: Floats, low: float, high: float) -> Floats:
    """Return how far the values are outside [low, high]; infinitely far where unknown or impossible."""
    known = np.where(np.isfinite(values), values, np.nan)
    off = np.maximum(np.maximum(low - known, known - high), 0)
    return np.where(np.isnan(off), np.inf, off)


def _label(context: ChainContext, row: int) -> str:
    """Return a contract as a trader says it."""
    chain = context.chain
    right = "put" if chain.is_put[row] else "call"
    return f"{chain.underlying} {chain.strike[row]:g} {right}, {chain.expiration[row]}"


def _beside(value: float, limit: float) -> str:
    """Return the value with as few digits (three at least) as tell it from its limit."""
    if abs(value) >= 1000:  # where three digits would be written with an exponent
        return f"{value:.0f}"
    return next((text for digits in (3, 5, 8) if (text := f"{value:.{digits}g}") != f"{limit:.{digits}g}"), repr(value))
