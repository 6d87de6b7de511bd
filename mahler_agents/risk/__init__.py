"""Stage 7, size: limits and the account in, contracts and the binding constraint out.

Nothing here imports the LLM side: no number that a model wrote can reach a quantity.
"""

from mahler_agents.risk.breaker import BreakerDecision, CloseShare
from mahler_agents.risk.breaker_book import BreakerBook
from mahler_agents.risk.limits import RiskLimits
from mahler_agents.risk.multiplier import SizeMultiplier, size_multiplier
from mahler_agents.risk.portfolio import (
    DeltaFacts,
    PortfolioDelta,
    TradeDelta,
    delta_facts,
    portfolio_delta,
    trade_delta,
)
from mahler_agents.risk.reductions import Reduction
from mahler_agents.risk.sizing import Constraint, Sizing, size

__all__ = [
    "BreakerBook",
    "BreakerDecision",
    "CloseShare",
    "Constraint",
    "DeltaFacts",
    "PortfolioDelta",
    "Reduction",
    "RiskLimits",
    "SizeMultiplier",
    "Sizing",
    "TradeDelta",
    "delta_facts",
    "portfolio_delta",
    "size",
    "size_multiplier",
    "trade_delta",
]
