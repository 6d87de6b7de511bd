"""Stage 4, LLM calls: what a model wrote comes in, a valid reply or a named fault goes out; nothing is guessed."""

from dataclasses import dataclass
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from mahler_agents.llm.failures import FailureKind

R = TypeVar("R", bound=BaseModel)


@dataclass(frozen=True, kw_only=True)
class Fault:
    """Why one attempt gave no valid reply."""

    kind: FailureKind
    detail: str
    """One line, in the provider's or the validator's words."""
    raw_reply: str | None = None
    retry_after: float | None = None
    """Seconds that the provider asked to wait."""
    unsent: bool = False
    """Whether no request was made, since it was known to be useless: nor is there a use in another attempt."""


def read_reply(text: str, reply: type[R]) -> R | Fault:
    """Return `text` as a `reply`, or the fault: empty, not one JSON document, or not of the schema."""
    if not text.strip():
        return Fault(kind=FailureKind.EMPTY, detail="the model wrote nothing", raw_reply=text)
    try:
        return reply.model_validate_json(text)
    except ValidationError as error:
        kind = FailureKind.NOT_JSON if _is_not_json(error) else FailureKind.SCHEMA_VIOLATION
        return Fault(kind=kind, detail=explain(error), raw_reply=text)


def explain(error: ValidationError) -> str:
    """Return a validation error as one line: each place and what is wrong there, at most three of them."""
    problems = error.errors(include_url=False, include_context=False)
    shown = [f"{'.'.join(map(str, problem['loc'])) or 'reply'}: {problem['msg']}" for problem in problems[:3]]
    more = f"; and {len(problems) - len(shown)} more" if len(problems) > len(shown) else ""
    return " ".join(("; ".join(shown) + more).split())


def _is_not_json(error: ValidationError) -> bool:
    return any(problem["type"] == "json_invalid" for problem in error.errors(include_url=False))
