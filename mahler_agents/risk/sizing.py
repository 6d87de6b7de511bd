"""Stage 7, size: a spread, its lowest credit, the account and what is open in, `Sizing` out; pure."""

import math
from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from mahler_agents.market.snapshot import Account, Exposure
from mahler_agents.risk.limits import RiskLimits
from mahler_agents.risk.multiplier import SizeMultiplier
from mahler_agents.risk.portfolio import TradeDelta
from mahler_agents.types import ASSET_CLASSES, AssetClass, Frozen, Reason, Spread

_ROUNDING = 1e-9  # 2,000 / 400 must be 5 contracts, whatever binary fractions make of it


class Constraint(Frozen):
    """One limit and how many contracts it leaves room for."""

    code: Reason
    contracts: int | None
    """Contracts that this limit allows; None if it does not bound their number."""
    limit_dollars: float | None = None
    """Of risk; of the portfolio's delta, dollars per 1 % move of SPY either way."""
    used_dollars: float | None = None
    """Risk already taken against `limit_dollars`; of the portfolio's delta, where it stands, with its sign."""


class Sizing(Frozen):
    """How many contracts may be traded, and which limit says so."""

    contracts: Annotated[int, Field(ge=0)]
    binding: Reason
    """The limit that allows the fewest contracts."""
    constraints: tuple[Constraint, ...]
    """Every limit, in the order in which ties are broken."""
    limit_credit: float
    """The lowest credit per share that the order may concede to: what it was sized on."""
    max_loss_dollars: float
    """Largest loss of one contract at `limit_credit`, before fees."""
    multiplier: SizeMultiplier
    """What the contracts that the limits allow were multiplied by."""

    @property
    def risk_dollars(self) -> float:
        """Max loss times contracts, dollars."""
        return self.max_loss_dollars * self.contracts

    def forbidden_by(self, code: Reason) -> "Sizing":
        """Return this sizing with one more limit, which allows nothing."""
        constraints = (Constraint(code=code, contracts=0), *self.constraints)
        return self.model_copy(update={"contracts": 0, "binding": code, "constraints": constraints})


def size(
    *,
    spread: Spread,
    limit_credit: float,
    account: Account,
    exposures: Sequence[Exposure],
    limits: RiskLimits,
    trades_left: int,
    multiplier: SizeMultiplier,
    delta: TradeDelta | None = None,
) -> Sizing:
    """Return the largest number of contracts that every limit allows, times `multiplier`, floored, and what binds.

    `exposures` is the risk at this moment: open positions and pending orders, those of this scan included; `account` is
    the snapshot's. `trades_left` is how many more trades this scan may open. `delta` is needed where
    `limits.max_beta_weighted_delta_pct` is set: without it that limit allows nothing. Raises `ValueError` unless
    0 < `limit_credit` < width.
    """
    if not 0 < limit_credit < spread.width:
        raise ValueError(f"credit {limit_credit} of a spread {spread.width} wide is not between 0 and its width")
    max_loss = spread.max_loss_dollars(limit_credit)
    limited = (
        *_yes_or_no(spread, account, exposures, limits, trades_left),
        *_dollar_limits(spread, max_loss, account, exposures, limits),
        *_delta_limit(account, limits, delta),
    )
    constraints = (_multiplied(limited, multiplier), *limited)
    bounded = [constraint for constraint in constraints if constraint.contracts is not None]
    binding = min(bounded, key=lambda constraint: constraint.contracts or 0)
    return Sizing(
        contracts=binding.contracts or 0,
        binding=binding.code,
        constraints=constraints,
        limit_credit=limit_credit,
        max_loss_dollars=max_loss,
        multiplier=multiplier,
    )


def _multiplied(limited: Sequence[Constraint], multiplier: SizeMultiplier) -> Constraint:
    """Return the multiplier as a limit: of the fewest contracts that the others allow, its share, floored.

    At 0 it binds whatever the others allow: a halted desk says so of every trade.
    """
    if multiplier.value == 1:
        return Constraint(code=multiplier.reason, contracts=None)
    fewest = min(constraint.contracts for constraint in limited if constraint.contracts is not None)
    if fewest == 0 and multiplier.value > 0:  # another limit forbids the trade: that is the reason
        return Constraint(code=multiplier.reason, contracts=None)
    return Constraint(code=multiplier.reason, contracts=math.floor(fewest * multiplier.value + _ROUNDING))


def _yes_or_no(
    spread: Spread, account: Account, exposures: Sequence[Exposure], limits: RiskLimits, trades_left: int
) -> list[Constraint]:
    """Limits that either forbid the trade or do not bound its size."""
    duplicate = any(_same_position(exposure, spread) for exposure in exposures)
    in_equities = sum(_class_of(exposure.underlying) is AssetClass.EQUITY for exposure in exposures)
    too_many = (
        _class_of(spread.underlying) is AssetClass.EQUITY and in_equities >= limits.max_positions_per_equity_class
    )
    forbidden = {
        Reason.NO_EQUITY: account.equity <= 0,
        Reason.DUPLICATE_POSITION: duplicate,
        Reason.MAX_TRADES_PER_SCAN: trades_left <= 0,
        Reason.MAX_POSITIONS_PER_EQUITY_CLASS: too_many,
    }
    return [Constraint(code=code, contracts=0 if forbids else None) for code, forbids in forbidden.items()]


def _dollar_limits(
    spread: Spread, max_loss: float, account: Account, exposures: Sequence[Exposure], limits: RiskLimits
) -> list[Constraint]:
    """Limits in dollars of risk: each allows as many contracts as fit between what is used and the limit."""
    asset_class = _class_of(spread.underlying)
    class_code, class_share = limits.class_limit(asset_class)
    heat = _risk(exposures)
    same_underlying = _risk([exposure for exposure in exposures if exposure.underlying == spread.underlying])
    same_class = _risk([exposure for exposure in exposures if _class_of(exposure.underlying) is asset_class])
    since_snapshot = max(0.0, heat - account.heat_dollars)
    rows = (
        (Reason.MAX_RISK_PER_TRADE, limits.max_risk_per_trade_pct * account.equity, 0.0),
        (Reason.MAX_SINGLE_POSITION, limits.max_single_position_pct * account.equity, 0.0),
        (Reason.MAX_PORTFOLIO_HEAT, limits.max_portfolio_heat_pct * account.equity, heat),
        (Reason.MAX_PER_UNDERLYING, limits.max_per_underlying_pct * account.equity, same_underlying),
        (class_code, class_share * account.equity, same_class),
        # The broker's figure is as old as the snapshot: what was reserved since then is taken off.
        (Reason.BUYING_POWER, account.buying_power, since_snapshot),
    )
    return [
        Constraint(
            code=code,
            contracts=max(0, math.floor((limit - used) / max_loss + _ROUNDING)),
            limit_dollars=limit,
            used_dollars=used,
        )
        for code, limit, used in rows
    ]


def _delta_limit(account: Account, limits: RiskLimits, delta: TradeDelta | None) -> list[Constraint]:
    """The limit on the portfolio's beta-weighted delta, if it is on."""
    if limits.max_beta_weighted_delta_pct is None:
        return []
    cap = limits.max_beta_weighted_delta_pct * account.equity
    now = None if delta is None or delta.portfolio.unknown else delta.portfolio.dollars_per_pct
    if delta is None or now is None or delta.per_contract is None:
        return [Constraint(code=Reason.UNKNOWN_PORTFOLIO_DELTA, contracts=0, limit_dollars=cap)]
    room = _contracts_within(cap, now, delta.per_contract)
    return [Constraint(code=Reason.MAX_BETA_WEIGHTED_DELTA, contracts=room, limit_dollars=cap, used_dollars=now)]


def _contracts_within(cap: float, now: float, each: float) -> int | None:
    """Return how many contracts may be added one by one, each ending within the cap or nearer to zero than before it.

    None if a contract moves nothing.
    """
    if abs(each) < _ROUNDING:
        return None
    along = now if each > 0 else -now  # negative: the trade takes the delta towards zero, and then beyond
    within = math.floor((cap - along) / abs(each) + _ROUNDING)
    nearing = math.ceil(-along / abs(each) - 0.5 - _ROUNDING) if along < 0 else 0
    return max(0, within, nearing)


def _same_position(exposure: Exposure, spread: Spread) -> bool:
    return (exposure.underlying, exposure.spread_type, exposure.expiration) == (
        spread.underlying,
        spread.spread_type,
        spread.expiration,
    )


def _risk(exposures: Sequence[Exposure]) -> float:
    return sum(exposure.risk_dollars for exposure in exposures)


def _class_of(underlying: str) -> AssetClass:
    # A symbol outside the universe (a position opened by hand) can only be a stock or a stock fund.
    return ASSET_CLASSES.get(underlying, AssetClass.EQUITY)
