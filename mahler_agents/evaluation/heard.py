"""Evaluation: what came of one variant on one case, once: from the record's row, and back to one."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mahler_agents.analysts.base import Opinion
from mahler_agents.analysts.debate import Argument, Side
from mahler_agents.analysts.fund_manager import NAME as FUND_MANAGER
from mahler_agents.analysts.fund_manager import Verdict
from mahler_agents.analysts.grounding import Grounding
from mahler_agents.evaluation.cases import Case
from mahler_agents.llm.failure_kinds import FailureKind

Said = Opinion | Argument | Verdict

OF_THE_MODEL = frozenset(
    {
        FailureKind.REFUSED,
        FailureKind.TRUNCATED,
        FailureKind.CONTENT_FILTERED,
        FailureKind.EMPTY,
        FailureKind.NOT_JSON,
        FailureKind.SCHEMA_VIOLATION,
    }
)
"""Failures that say something of the model and the prompt; the others say something of the network or the budget."""

_SOURCES = {"grounding", "brief_hash", "prompt_hash", "model"}
_KINDS: Mapping[str, type[Said]] = {FUND_MANAGER: Verdict, **dict.fromkeys((side.value for side in Side), Argument)}


@dataclass(frozen=True, kw_only=True)
class Took:
    """What all HTTP attempts of a question took; None is unknown."""

    attempts: int = 0
    prompt_tokens: int | None = 0
    completion_tokens: int | None = 0
    cost_dollars: float | None = 0.0
    milliseconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Heard:
    """What came of one variant on one case, once: what a scorer scores."""

    case: Case
    variant: str
    repeat: int
    """From 1."""
    said: Said | None
    """The opinion, verdict or argument; None if there is none."""
    failure: FailureKind | None
    """Why there is none."""
    detail: str | None
    repaired: bool
    """Whether the model had to be shown its error."""
    took: Took

    @property
    def failed_by_itself(self) -> bool:
        """Whether the model failed, and not the network or the budget."""
        return self.failure in OF_THE_MODEL

    @property
    def p_profit(self) -> float | None:
        """The forecast; None if there is none."""
        return self.said.p_profit if isinstance(self.said, Opinion | Verdict) else None


def row_of(heard: Heard) -> dict[str, Any]:
    """Return the columns of a result, without its evaluation and its request."""
    said, took = heard.said, heard.took
    grounding = said.grounding if said is not None else None
    return {
        "variant": heard.variant,
        "brief_hash": heard.case.id,
        "repeat": heard.repeat,
        "reply": None if said is None else said.model_dump_json(exclude=_SOURCES),
        "failure_kind": heard.failure and heard.failure.value,
        "failure_detail": heard.detail,
        "attempts": took.attempts,
        "repaired": heard.repaired,
        "prompt_tokens": took.prompt_tokens,
        "completion_tokens": took.completion_tokens,
        "cost_dollars": took.cost_dollars,
        "milliseconds": round(took.milliseconds, 3),
        "numbers": grounding and grounding.numbers,
        "ungrounded": grounding and json.dumps(grounding.ungrounded, ensure_ascii=False),
        "model": said and said.model,
    }


def heard_of(row: Mapping[str, Any], case: Case, prompt_hash: str) -> Heard:
    """Return a result of the record in its types."""
    return Heard(
        case=case,
        variant=row["variant"],
        repeat=row["repeat"],
        said=None if row["reply"] is None else _said(row, case, prompt_hash),
        failure=row["failure_kind"] and FailureKind(row["failure_kind"]),
        detail=row["failure_detail"],
        repaired=bool(row["repaired"]),
        took=Took(
            attempts=row["attempts"],
            prompt_tokens=row["prompt_tokens"],
            completion_tokens=row["completion_tokens"],
            cost_dollars=row["cost_dollars"],
            milliseconds=row["milliseconds"],
        ),
    )


def _said(row: Mapping[str, Any], case: Case, prompt_hash: str) -> Said:
    fields = json.loads(row["reply"])
    if row["numbers"] is not None:
        fields["grounding"] = Grounding(numbers=row["numbers"], ungrounded=tuple(json.loads(row["ungrounded"])))
    sources = {"brief_hash": case.id, "prompt_hash": prompt_hash, "model": row["model"]}
    return _KINDS.get(case.role, Opinion).model_validate({**fields, **sources})
