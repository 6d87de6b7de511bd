"""Stage 3, brief and opinion: the panel; to add an analyst, write its module and its prompt, and list it here."""

from mahler_agents.analysts import greeks, sentiment, technical, volatility
from mahler_agents.analysts.base import Analyst, Terms

ANALYSTS: tuple[Analyst, ...] = (
    greeks.ANALYST,
    technical.ANALYST,
    sentiment.ANALYST,
    volatility.ANALYST,
)
"""The panel, in the order in which opinions are shown."""

__all__ = ["ANALYSTS", "Analyst", "Terms"]
