"""Stage 7, size: open positions, pending entries, spots, betas and leg deltas in, the portfolio's delta out; pure."""

from collections.abc import Iterable, Mapping, Sequence

from mahler_agents.market.snapshot import Exposure, Snapshot
from mahler_agents.risk.beta import Beta, betas
from mahler_agents.screen import ScreenParams, leg_deltas
from mahler_agents.types import CONTRACT_MULTIPLIER, Frozen, Spread

_ONE_PERCENT = 0.01


class DeltaFacts(Frozen):
    """What turns a spread into dollars per 1 % move of SPY; what is not known is left out."""

    spots: Mapping[str, float]
    """Underlying -> price, dollars per share."""
    betas: Mapping[str, Beta]
    """Underlying -> beta to SPY."""
    leg_deltas: Mapping[str, float]
    """OCC symbol -> delta of the long option, dollars per dollar."""


class UnderlyingDelta(Frozen):
    """What the positions in one underlying gain when SPY rises by 1 %, dollars; of those that are known."""

    underlying: str
    dollars_per_pct: float
    beta: Beta


class PortfolioDelta(Frozen):
    """Beta-weighted delta of all open positions and pending entries, these as if they were filled."""

    dollars_per_pct: float | None
    """Gain in dollars when SPY rises by 1 %, of what is known; None if nothing of what is held is."""
    share_of_equity: float | None
    """The same as a fraction of equity; None without equity, too."""
    by_underlying: tuple[UnderlyingDelta, ...] = ()
    unknown: tuple[str, ...] = ()
    """What is not counted, and why: with any, the total is one of a part only."""


class TradeDelta(Frozen):
    """What a trade meets and what it adds, dollars per 1 % move of SPY."""

    portfolio: PortfolioDelta
    per_contract: float | None
    """Of one contract; None if it is not known."""


def delta_facts(
    snapshot: Snapshot, exposures: Sequence[Exposure], spreads: Iterable[Spread], params: ScreenParams
) -> DeltaFacts:
    """Return the snapshot's facts on what is held and what may be traded, the legs' deltas as the screen has them."""
    legs = [(one.underlying, one.short_symbol, one.long_symbol) for one in (*exposures, *spreads)]
    markets = snapshot.underlyings
    return DeltaFacts(
        spots={name: market.chain.spot for name, market in markets.items() if 0 < market.chain.spot < float("inf")},
        betas=betas(dict.fromkeys(underlying for underlying, *_ in legs), markets),
        leg_deltas=leg_deltas(snapshot, [leg for _, *both in legs for leg in both if leg is not None], params),
    )


def portfolio_delta(exposures: Sequence[Exposure], facts: DeltaFacts, equity: float) -> PortfolioDelta:
    """Return the beta-weighted delta of all exposures, in all and by underlying, in the order of first appearance.

    A pending entry counts as filled. An exposure of which a fact is missing is named in `unknown` and not counted.
    """
    dollars: dict[str, float] = {}
    unknown: list[str] = []
    for one in exposures:
        missing = _missing(one, facts)
        if missing:
            unknown.append(f"{one.contracts} x {one.underlying} {one.spread_type.value} {one.expiration}: {missing}")
        else:
            dollars[one.underlying] = dollars.get(one.underlying, 0.0) + one.contracts * _per_contract(one, facts)
    total = sum(dollars.values()) if dollars or not unknown else None
    return PortfolioDelta(
        dollars_per_pct=total,
        share_of_equity=None if total is None or equity <= 0 else total / equity,
        by_underlying=tuple(
            UnderlyingDelta(underlying=name, dollars_per_pct=value, beta=facts.betas[name])
            for name, value in dollars.items()
        ),
        unknown=tuple(unknown),
    )


def trade_delta(spread: Spread, exposures: Sequence[Exposure], facts: DeltaFacts, equity: float) -> TradeDelta:
    """Return what the portfolio's delta is, and what one contract of a spread would add to it."""
    return TradeDelta(
        portfolio=portfolio_delta(exposures, facts, equity),
        per_contract=None if _missing(spread, facts) else _per_contract(spread, facts),
    )


def _per_contract(legs: Exposure | Spread, facts: DeltaFacts) -> float:
    """Return what one contract gains when SPY rises by 1 %, dollars.

    (delta_long - delta_short) x 100 x spot x beta x 0.01, since the underlying then moves by beta x 1 % of its spot. It
    is the brokers' beta-weighted delta (delta x beta x spot / SPY) times 1 % of SPY, whose price drops out.
    """
    held = _leg_delta(legs.long_symbol, facts) - _leg_delta(legs.short_symbol, facts)
    dollars_per_dollar = held * CONTRACT_MULTIPLIER
    return dollars_per_dollar * facts.spots[legs.underlying] * facts.betas[legs.underlying].value * _ONE_PERCENT


def _leg_delta(symbol: str | None, facts: DeltaFacts) -> float:
    return facts.leg_deltas[symbol or ""]


def _missing(legs: Exposure | Spread, facts: DeltaFacts) -> str:
    """Return which facts about a spread are not known, in words; empty if none is missing."""
    lacking = [
        f"delta of {symbol or 'a leg that was not recorded'}"
        for symbol in (legs.short_symbol, legs.long_symbol)
        if symbol not in facts.leg_deltas
    ]
    if legs.underlying not in facts.spots:
        lacking.append(f"price of {legs.underlying}")
    if legs.underlying not in facts.betas:
        lacking.append(f"beta of {legs.underlying}")
    return f"no {', no '.join(lacking)}" if lacking else ""
