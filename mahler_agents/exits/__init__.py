"""Stage 9, monitor: when and why a spread is closed; pure."""

from mahler_agents.exits.marks import Mark, NoMark, mark_spread
from mahler_agents.exits.policy import ExitPolicy, ResolvedExits, TradingGroup, resolve
from mahler_agents.exits.rules import ExitDecision, ExitParams, ExitRule, decide

__all__ = [
    "ExitDecision",
    "ExitParams",
    "ExitPolicy",
    "ExitRule",
    "Mark",
    "NoMark",
    "ResolvedExits",
    "TradingGroup",
    "decide",
    "mark_spread",
    "resolve",
]
