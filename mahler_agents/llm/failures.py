"""Stage 4, LLM calls: `Failure`, what a failed call leaves behind."""

from mahler_agents.llm.failure_kinds import ACTIONS, RETRYABLE, FailureKind
from mahler_agents.types import Frozen

DEADLINE_PASSED = "the deadline for all calls passed"
NOT_ASKED = "not asked, since"
NO_WHOLE_REPLY = "no whole reply in"
"""Words with which details begin that speak of the clock, or of other calls."""


class Failure(Frozen):
    """A role that gave no opinion or verdict, and why."""

    role: str
    """`greeks`, `technical`, ... or `fund_manager`."""
    kind: FailureKind
    detail: str
    """One line: what happened, in the provider's or the validator's words."""
    retryable: bool
    raw_reply: str | None = None
    """What the model wrote, if it wrote anything."""
    brief_hash: str | None = None
    prompt_hash: str | None = None

    @property
    def action(self) -> str:
        """What the user should do about it."""
        return ACTIONS[self.kind]

    @property
    def replayable(self) -> bool:
        """Whether a replay may cure it: facts that its brief lacks, no replay can bring."""
        return self.kind is not FailureKind.MISSING_FACTS

    @property
    def of_circumstance(self) -> bool:
        """Whether it came of the clock, the budget or other calls: of nothing that its own calls' record holds."""
        words = (DEADLINE_PASSED, NOT_ASKED, NO_WHOLE_REPLY)
        return self.kind is FailureKind.BUDGET or self.detail.startswith(words)


def failure(role: str, kind: FailureKind, detail: str, *, raw_reply: str | None = None) -> Failure:
    """Return a `Failure` of this kind, marked retryable if its kind is."""
    return Failure(role=role, kind=kind, detail=detail, retryable=kind in RETRYABLE, raw_reply=raw_reply)
