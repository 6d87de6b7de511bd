"""Stage 7, size: the breaker's decision and the market's regime in, the one multiplier of a trade's size out; pure."""

from typing import Annotated

from pydantic import Field

from mahler_agents.regime import Regime, RegimeParams, RegimeUnknown
from mahler_agents.risk.breaker import BreakerDecision
from mahler_agents.types import Environment, Frozen, Reason
from mahler_agents.wording import effective_multiplier, multiplier_text

Share = Annotated[float, Field(ge=0, le=1)]


class SizeMultiplier(Frozen):
    """What a trade's size is multiplied by, and its parts: the least of them counts, once."""

    risk: Share = 1.0
    """The circuit breaker's; 0 opens nothing."""
    risk_reason: Reason = Reason.CIRCUIT_BREAKER
    """Why `risk` is below 1."""
    regime: Share = 1.0
    bypassed: bool = True
    """True in paper trading: the regime's part is shown and does not count."""

    @property
    def value(self) -> float:
        """The multiplier."""
        return effective_multiplier(risk=self.risk, regime=self.regime, bypassed=self.bypassed)

    @property
    def reason(self) -> Reason:
        """The code of the part that counts."""
        return self.risk_reason if self.risk <= self.value else Reason.REGIME

    @property
    def text(self) -> str:
        """The multiplier and its parts, for the user and the record."""
        return multiplier_text(risk=self.risk, regime=self.regime, bypassed=self.bypassed)


def size_multiplier(
    breaker: BreakerDecision, regime: Regime | RegimeUnknown, params: RegimeParams, environment: Environment
) -> SizeMultiplier:
    """Return the multiplier of every trade of a scan; live trading opens nothing without a VIX."""
    live = environment is Environment.LIVE
    if breaker.halted:
        risk, reason = 0.0, Reason.HALTED
    elif live and not breaker.vix_evaluated:
        risk, reason = 0.0, Reason.NO_VIX
    else:
        risk, reason = breaker.size, Reason.CIRCUIT_BREAKER
    return SizeMultiplier(
        risk=risk, risk_reason=reason, regime=params.multiplier(regime, environment), bypassed=not live
    )
