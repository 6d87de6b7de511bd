"""Mahler Agents: LLM analysts advise on option credit spreads, deterministic rules trade, everything is recorded."""

from typing import TYPE_CHECKING, Any

from mahler_agents.version import __version__

if TYPE_CHECKING:
    from mahler_agents.desk import Desk

__all__ = ["Desk", "__version__"]


def __getattr__(name: str) -> Any:
    # The desk imports LangGraph and the model client, 2 s of it: only who asks for it pays.
    if name == "Desk":
        from mahler_agents.desk import Desk

        return Desk
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
