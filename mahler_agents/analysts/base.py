"""Stage 3, brief and opinion: what an analyst is, and the types that come in (`Brief`) and go out (`Opinion`)."""

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from mahler_agents.analysts.grounding import Grounding
from mahler_agents.exits import ExitParams
from mahler_agents.market.snapshot import Snapshot
from mahler_agents.screen import Candidate
from mahler_agents.types import Frozen

Probability = Annotated[float, Field(ge=0, le=1)]


class Stance(StrEnum):
    """An analyst's view of the trade."""

    FAVOURABLE = "favourable"
    NEUTRAL = "neutral"
    UNFAVOURABLE = "unfavourable"


class Brief(Frozen):
    """The facts that one analyst reads: typed, hashable, the unit of replay.

    It holds every number that the prompt shows, rounded as it is shown. A fact that the snapshot lacks is None.
    """

    NEEDED: ClassVar[tuple[str, ...]] = ()
    """Fields without which this analyst makes no call: if one is absent, the analyst fails with `missing_facts`."""

    def missing(self) -> tuple[str, ...]:
        """Return the names of the needed fields that are absent: None, or a list without entries."""
        return tuple(name for name in self.NEEDED if getattr(self, name) in (None, ()))

    def facts(self) -> dict[str, Any]:
        """Return the fields as plain JSON values: what a prompt's template sees as `brief`."""
        return self.model_dump(mode="json")

    @property
    def content_hash(self) -> str:
        """SHA-256 of the type and `text`, 64 hex characters: equal facts of two roles are two briefs."""
        return hashlib.sha256(f"{type(self).__name__}{self.text}".encode()).hexdigest()

    @property
    def text(self) -> str:
        """The brief as it is recorded: canonical JSON of the fields that were given.

        A field that a later version adds has a default, so that a brief that was recorded without it is read again
        with the hash that it had.
        """
        return self.model_dump_json(exclude_unset=True)


def rounded(value: float | None, digits: int) -> float | None:
    """Return `value` as a brief keeps it: rounded as shown, None where it is absent or NaN, never minus zero."""
    if value is None or not math.isfinite(value):
        return None
    return round(float(value), digits) + 0.0


def side_of(value: float | None, reference: float | None) -> str | None:
    """Return where `value` lies, `above`, `below` or `at` the reference; None if either is absent.

    A prompt says it in words, since a small model reads words better than it compares figures.
    """
    if value is None or reference is None:
        return None
    return "at" if value == reference else "above" if value > reference else "below"


class StrictReply(BaseModel):
    """What a model must write, to the letter: strict types, no field more, no number out of range."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, frozen=True)

    summary: Annotated[str, Field(min_length=1, max_length=600)]
    """One or two sentences."""


class Reply(StrictReply):
    """The reply of every role that forecasts."""

    confidence: Probability
    """Conviction to take this trade."""
    p_profit: Probability
    """Probability that P&L after fees under the exit policy is above 0."""


class AnalystReply(Reply):
    """Every analyst's reply: subclasses add closed enums of their own, never numbers."""

    stance: Annotated[Stance, Field(strict=False)]


class Opinion(Frozen):
    """An analyst's reply and what it was a reply to."""

    analyst: str
    summary: str
    stance: Stance
    confidence: Probability
    p_profit: Probability
    details: Mapping[str, str | bool] = {}
    """The fields that this analyst's reply adds, e.g. `dominant_risk`."""
    grounding: Grounding | None = None
    """Which numbers of the summary stand in the brief; None if that was not looked at."""
    brief_hash: str
    prompt_hash: str
    model: str
    """The model that the provider says replied."""


class Terms(Frozen):
    """What the desk will do with the trade: the exit policy under which it is forecast, and what it costs."""

    exits: ExitParams
    exits_note: str | None = None
    """What the dynamic exit policy made of this trade, in words; None under the fixed one. No brief repeats it."""
    commission_per_contract_and_leg: float
    """Dollars."""

    @property
    def round_trip_fees_dollars(self) -> float:
        """Fees of one contract: two legs, opened and closed."""
        return 4 * self.commission_per_contract_and_leg


@dataclass(frozen=True, kw_only=True)
class Analyst:
    """One role of the panel: which facts it reads and which reply it must write; its prompt is `prompts/NAME.md`."""

    name: str
    facts: type[Brief]
    """The type that `brief` returns: its fields are the variables that the prompt may use."""
    brief: Callable[[Snapshot, Candidate, Terms], Brief]
    reply: type[AnalystReply]
