"""Evaluation: an evaluation of the record in, its variants' mean scores out; or all that was said of one case."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mahler_agents.errors import InputError
from mahler_agents.evaluation.aggregates import AGGREGATES
from mahler_agents.evaluation.heard import Heard
from mahler_agents.evaluation.loading import Told, load
from mahler_agents.evaluation.scorers import Scorer
from mahler_agents.types import Frozen


class VariantSummary(Frozen):
    """One variant of an evaluation."""

    label: str
    prompt_hash: str
    model: str
    base_url: str
    toy_model: bool
    answered: int
    failures: Mapping[str, int]
    cost_dollars: float | None
    scores: Mapping[str, float | None]
    """By scorer: the mean over cases; None if no case has one."""
    scored: Mapping[str, int]
    """By scorer: cases with a score."""


class Summary(Frozen):
    """One evaluation."""

    id: str
    status: str
    state: str
    """`running`, `done`, `with failures` or `unfinished`."""
    role: str
    query: str
    cases: int
    repeats: int
    expected: int
    answered: int
    failed: int
    calls: int
    variants: tuple[VariantSummary, ...]


def summary(path: Path, text: str, scorers: Sequence[Scorer]) -> Summary:
    """Return the summary of the evaluation that `text` names. Raises `UnknownIdError` for an unknown one."""
    told = load(path, text.partition(".")[0])
    row = told[0].evaluation
    return Summary(
        id=row.id,
        status=row.status,
        state=row.state,
        role=row.role,
        query=row.cases_query,
        cases=row.cases,
        repeats=row.repeats,
        expected=row.expected,
        answered=row.answered,
        failed=row.failed,
        calls=row.calls,
        variants=tuple(_variant(one, scorers) for one in told),
    )


def _variant(told: Told, scorers: Sequence[Scorer]) -> VariantSummary:
    values = {
        scorer.name: [found.value for answers in told.answers.values() if (found := scorer.score(answers)) is not None]
        for scorer in scorers
    }
    known = [
        (case.profit, [one.p_profit for one in told.answers.get(name, ()) if one.p_profit is not None])
        for name, case in told.cases.items()
    ]
    forecasts = [(happened, sum(said) / len(said)) for happened, said in known if happened is not None and said]
    scores: dict[str, float | None] = {
        name: sum(found) / len(found) if found else None for name, found in values.items()
    }
    scored = {name: len(found) for name, found in values.items()}
    for one in AGGREGATES:
        scores[one.name] = _aggregate(one.function, forecasts)
        scored[one.name] = len(forecasts)
    return VariantSummary(
        label=told.label,
        prompt_hash=told.variant["prompt_hash"],
        model=told.variant["model"],
        base_url=told.variant["base_url"],
        toy_model=bool(told.variant["toy_model"]),
        answered=sum(one.said is not None for answers in told.answers.values() for one in answers),
        failures=told.failures,
        cost_dollars=told.cost_dollars,
        scores=scores,
        scored=scored,
    )


def _aggregate(function: Any, forecasts: Sequence[tuple[bool, float]]) -> float | None:
    if not forecasts:
        return None
    happened, said = zip(*forecasts, strict=True)
    return function(happened, said)


def case_document(path: Path, text: str, case_id: str, scorers: Sequence[Scorer]) -> dict[str, Any]:
    """Return all that an evaluation heard of one case, with scores and their explanations.

    Raises `InputError` for a case that it was not asked on.
    """
    told = load(path, text)
    found = sorted({name for one in told for name in one.cases if name.startswith(case_id)})
    if len(found) != 1:
        fits = "fits no case" if not found else f"fits {len(found)} cases"
        raise InputError(f"`{case_id}` {fits} of evaluation {told[0].evaluation.id}; `mahler case list` shows ids")
    case = told[0].cases[found[0]]
    return {
        "case": case.id,
        "role": case.role,
        "as_of": case.as_of.isoformat(),
        "brief": json.loads(case.brief.text),
        "pnl_dollars": case.pnl_dollars,
        "variants": {one.label: _heard(one.answers.get(case.id, ()), scorers) for one in told},
    }


def _heard(answers: Sequence[Heard], scorers: Sequence[Scorer]) -> dict[str, Any]:
    scores = {scorer.name: scorer.score(answers) for scorer in scorers}
    return {
        "answers": [
            {
                "repeat": one.repeat,
                "said": None if one.said is None else one.said.model_dump(mode="json"),
                "failure": one.failure,
                "detail": one.detail,
                "repaired": one.repaired,
            }
            for one in answers
        ],
        "scores": {name: None if one is None else vars(one) for name, one in scores.items()},
    }
