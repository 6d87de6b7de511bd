"""Stage 7, size: limits and the account in, contracts and the binding constraint out.

Nothing here imports the LLM side: no number that a model wrote can reach a quantity.
"""

from mahler_agents.risk.limits import RiskLimits
from mahler_agents.risk.sizing import Constraint, Sizing, size

__all__ = ["Constraint", "RiskLimits", "Sizing", "size"]
