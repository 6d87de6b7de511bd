"""Mahler Agents: LLM analysts advise on option credit spreads, deterministic rules trade, everything is recorded."""

from typing import TYPE_CHECKING

from mahler_agents.late import late
from mahler_agents.version import __version__

if TYPE_CHECKING:
    from mahler_agents.desk import Desk

__all__ = ["Desk", "__version__"]

# The desk imports LangGraph and the model client, 2 s of it: only who asks for it pays.
__getattr__ = late(__name__, {"Desk": "desk"})
