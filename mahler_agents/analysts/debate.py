"""Stage 3, debate: the panel's opinions and the other side's last words in, `Argument` out; off by default.

A bull and a bear take turns between the analysts and the fund manager. Their words are recorded and shown to the fund
manager, and their replies hold no number at all.
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from mahler_agents.analysts.base import Opinion, StrictReply, Terms
from mahler_agents.analysts.grounding import Grounding
from mahler_agents.analysts.panel import MAX_SUMMARY_CHARS, PanelBrief, panel_facts
from mahler_agents.analysts.trade import trade_facts
from mahler_agents.analysts.untrusted import sanitised
from mahler_agents.llm.failures import Failure
from mahler_agents.screen import Candidate
from mahler_agents.types import Frozen


class Side(StrEnum):
    """A debater: the name of its role and of its prompt."""

    BULL = "bull"
    """Argues for the trade."""
    BEAR = "bear"
    """Argues against it."""


class Turn(Frozen):
    """One debater's turn to speak."""

    side: Side
    round: int
    """From 1."""

    @property
    def name(self) -> str:
        """The turn's node, e.g. `bull_1`."""
        return f"{self.side}_{self.round}"


class Strength(StrEnum):
    """How strong a debater finds its own case."""

    WEAK = "weak"
    MODERATE = "moderate"
    STRONG = "strong"


class ArgumentReply(StrictReply):
    """A debater's reply: no number in it, so that none can be mistaken for a forecast."""

    strength: Annotated[Strength, Field(strict=False)]


class Argument(Frozen):
    """A debater's reply and what it was a reply to."""

    side: Side
    round: int
    summary: str
    strength: Strength
    grounding: Grounding | None = None
    """Which numbers of the summary stand in the brief; None if that was not looked at."""
    brief_hash: str
    prompt_hash: str
    model: str
    """The model that the provider says replied."""


class DebateBrief(PanelBrief):
    """What a debater reads before its turn."""

    opposing: str | None
    """The other side's last words, sanitised; None if it has not spoken."""


class ArgumentFact(Frozen):
    """One turn of the debate as the fund manager reads it."""

    side: Side
    strength: Strength
    summary: str
    """Sanitised: a model wrote it."""


def is_turn(role: str) -> bool:
    """Return whether a failed role is a turn of the debate, such as `bull_1`."""
    side, _, number = role.rpartition("_")
    return side in set(Side) and number.isdecimal()


def turns(rounds: int) -> tuple[Turn, ...]:
    """Return who speaks when: in each round the bull, then the bear."""
    return tuple(Turn(side=side, round=number) for number in range(1, rounds + 1) for side in Side)


def brief(
    candidate: Candidate,
    terms: Terms,
    turn: Turn,
    *,
    opinions: Iterable[Opinion],
    failures: Iterable[Failure],
    arguments: Sequence[Argument],
) -> DebateBrief:
    """Return a debater's facts about one candidate; `arguments` are those of the debate so far."""
    return DebateBrief(
        **trade_facts(candidate, terms),
        **panel_facts(opinions, failures),
        opposing=opposing_words(turn, arguments),
    )


def opposing_words(turn: Turn, arguments: Sequence[Argument]) -> str | None:
    """Return what the other side said last, as a debater reads it; None if it has not spoken."""
    opposing = [one.summary for one in arguments if one.side is not turn.side]
    return sanitised(opposing[-1], MAX_SUMMARY_CHARS) if opposing else None


def argument_facts(arguments: Iterable[Argument]) -> tuple[ArgumentFact, ...]:
    """Return the debate as the fund manager reads it, in its order."""
    return tuple(
        ArgumentFact(side=one.side, strength=one.strength, summary=sanitised(one.summary, MAX_SUMMARY_CHARS))
        for one in arguments
    )
