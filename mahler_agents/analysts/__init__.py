"""Stage 3, brief and opinion: the panel; to add an analyst, write its module and its prompt, and name it here."""

from importlib import import_module

from mahler_agents.analysts.base import Analyst, Terms

ANALYSTS: tuple[Analyst, ...] = tuple(
    import_module(f"{__name__}.{name}").ANALYST
    for name in (
        "greeks",
        "technical",
        "sentiment",
        "volatility",
    )
)
"""The panel, in the order in which opinions are shown."""

__all__ = ["ANALYSTS", "Analyst", "Terms"]
