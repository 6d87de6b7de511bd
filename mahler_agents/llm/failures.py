"""Stage 4, LLM calls: `Failure`, what a failed call leaves behind."""

from mahler_agents.llm.failure_kinds import ACTIONS, RETRYABLE, FailureKind
from mahler_agents.types import Frozen


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


def failure(role: str, kind: FailureKind, detail: str, *, raw_reply: str | None = None) -> Failure:
    """Return a `Failure` of this kind, marked retryable if its kind is."""
    return Failure(role=role, kind=kind, detail=detail, retryable=kind in RETRYABLE, raw_reply=raw_reply)
