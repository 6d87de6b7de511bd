"""Stage 7, size: the limits on risk, as shares of equity."""

from typing import Annotated, Self

from pydantic import Field

from mahler_agents.types import AssetClass, Frozen, Reason

Share = Annotated[float, Field(gt=0, le=1)]


class RiskLimits(Frozen):
    """Limits on the risk (max loss x contracts, pending orders included) as fractions of the account's equity.

    The defaults are the paper profile; `RiskLimits.live()` is the live one.
    """

    max_risk_per_trade_pct: Share = 0.02
    """Of one trade."""
    max_single_position_pct: Share = 0.05
    """Of one position."""
    max_portfolio_heat_pct: Share = 0.20
    """Of all positions and pending orders."""
    max_per_underlying_pct: Share = 0.20
    """In one underlying."""
    max_equity_class_pct: Share = 0.50
    """In SPY, QQQ and IWM together."""
    max_treasury_class_pct: Share = 0.25
    """In TLT."""
    max_commodity_class_pct: Share = 0.25
    """In GLD."""
    max_positions_per_equity_class: Annotated[int, Field(ge=0)] = 5
    """Open and pending positions in SPY, QQQ and IWM."""
    max_beta_weighted_delta_pct: Share | None = None
    """Dollars that the portfolio gains or loses for a 1 % move of SPY, as a share of equity; None: no such limit.

    Off by default: the predecessor's 0.30 had no unit and was never enforced, so that no value has been lived with.
    """

    @classmethod
    def live(cls) -> Self:
        """Return the live profile: 10 % per underlying and 3 equity positions."""
        return cls(max_per_underlying_pct=0.10, max_positions_per_equity_class=3)

    def class_limit(self, asset_class: AssetClass) -> tuple[Reason, float]:
        """Return the reason code and the share of equity that bound one asset class."""
        return {
            AssetClass.EQUITY: (Reason.MAX_EQUITY_CLASS, self.max_equity_class_pct),
            AssetClass.TREASURY: (Reason.MAX_TREASURY_CLASS, self.max_treasury_class_pct),
            AssetClass.COMMODITY: (Reason.MAX_COMMODITY_CLASS, self.max_commodity_class_pct),
        }[asset_class]
