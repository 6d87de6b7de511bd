"""Memory: closed trades that resemble the one of a brief, for an analyst whose prompt asks for them."""

from mahler_agents.memory.recall import Memory, Recall
from mahler_agents.record.remembered import Pool

__all__ = ["Memory", "Pool", "Recall"]
