"""Stage 3, brief: what the panel said, as those read it who were not on it: the debaters and the fund manager."""

from collections.abc import Iterable
from typing import Any

from mahler_agents.analysts.base import Opinion, Probability, Stance
from mahler_agents.analysts.trade import TradeBrief
from mahler_agents.analysts.untrusted import sanitised
from mahler_agents.llm.failures import Failure
from mahler_agents.types import Frozen

QUORUM = 2
"""Opinions without which there is neither a debate nor a verdict."""
MAX_SUMMARY_CHARS = 400


class OpinionFact(Frozen):
    """One analyst's opinion as the fund manager reads it."""

    analyst: str
    stance: Stance
    confidence: Probability
    p_profit: Probability
    summary: str
    """Sanitised: a model wrote it, perhaps after a headline that meant to be obeyed."""


class UnavailableFact(Frozen):
    """An analyst that gave no opinion: neither for the trade nor against it."""

    analyst: str
    kind: str
    """Code of the failure, e.g. `timeout`."""


class PanelBrief(TradeBrief):
    """What the panel said of a trade."""

    opinions: tuple[OpinionFact, ...]
    """By analyst's name, so that the brief does not depend on which reply came first."""
    unavailable: tuple[UnavailableFact, ...]


def panel_facts(opinions: Iterable[Opinion], failures: Iterable[Failure]) -> dict[str, Any]:
    """Return the fields of `PanelBrief` that are not the trade's."""
    return {
        "opinions": tuple(_opinion_fact(one) for one in sorted(opinions, key=lambda one: one.analyst)),
        "unavailable": tuple(
            UnavailableFact(analyst=one.role, kind=one.kind.value) for one in sorted(failures, key=lambda one: one.role)
        ),
    }


def _opinion_fact(opinion: Opinion) -> OpinionFact:
    return OpinionFact(
        analyst=opinion.analyst,
        stance=opinion.stance,
        confidence=round(opinion.confidence, 2),
        p_profit=round(opinion.p_profit, 2),
        summary=sanitised(opinion.summary, MAX_SUMMARY_CHARS),
    )
