"""Evaluation: a recorded evaluation's variant in, all that it said, by case, out."""

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mahler_agents.errors import InputError
from mahler_agents.evaluation.cases import Case, read_cases
from mahler_agents.evaluation.heard import Heard, heard_of
from mahler_agents.record.cases import CaseFilter, CaseReader
from mahler_agents.record.evaluations import EvaluationReader, EvaluationRow, Row
from mahler_agents.record.runs import LATEST


@dataclass(frozen=True, kw_only=True)
class Told:
    """One variant of one evaluation, and what it said."""

    label: str
    """`EVALUATION.VARIANT`."""
    evaluation: EvaluationRow
    variant: Row
    cases: Mapping[str, Case]
    """By id: those on which it is asked and that can be read."""
    answers: Mapping[str, tuple[Heard, ...]]
    """By case, in the order of the repeats."""
    failures: Mapping[str, int] = field(default_factory=dict[str, int])
    """Kind to count."""

    @property
    def role(self) -> str:
        """The role that was asked."""
        return self.evaluation.role

    @property
    def dates(self) -> Mapping[str, dt.date]:
        """By case."""
        return {name: case.date for name, case in self.cases.items()}

    @property
    def cost_dollars(self) -> float | None:
        """Of all its questions when they were asked; None if that of any is unknown."""
        costs = [one.took.cost_dollars for answers in self.answers.values() for one in answers]
        known = [cost for cost in costs if cost is not None]
        return sum(known) if len(known) == len(costs) else None


def load(path: Path, text: str) -> tuple[Told, ...]:
    """Return the variants of an evaluation, or the one that `EVALUATION.VARIANT` names.

    Raises `UnknownIdError` for an unknown evaluation, `InputError` for an unknown variant.
    """
    name, dot, wanted = text.partition(".")
    with EvaluationReader(path) as reader:
        row = reader.evaluation(name)
        variants = reader.variants(row.id)
        if dot:
            variants = tuple(one for one in variants if one["variant"] == wanted.upper())
            if not variants:
                raise InputError(f"evaluation {row.id} has no variant `{wanted}`; `mahler eval show {row.id}` has them")
        rows = reader.results(row.id)
    with CaseReader(path) as reader:
        cases, _ = read_cases(reader.cases(CaseFilter(evaluation=row.id)))
    by_id = {case.id: case for case in cases}
    return tuple(_told(row, variant, rows, by_id) for variant in variants)


def pair(path: Path, texts: Sequence[str]) -> tuple[Told, Told]:
    """Return the two variants that texts name: two of them, or an evaluation that has two; none is the newest.

    Raises `InputError` if that is not two, and as `load` does.
    """
    if len(texts) > 2:
        raise InputError(f"{len(texts)} variants: name two, such as `latest.A latest.B`")
    if len(texts) == 2:
        first, second = (_one(path, f"{LATEST}.{text}" if len(text) == 1 else text) for text in texts)
        return first, second
    found = load(path, texts[0] if texts else LATEST)
    if len(found) != 2:
        named = found[0].evaluation.id
        has = "one variant is nothing to compare" if len(found) == 1 else f"it has {len(found)} variants"
        raise InputError(f"evaluation {named}: {has}: name two, such as `{named}.A {named}.B`")
    return found[0], found[1]


def _one(path: Path, text: str) -> Told:
    found = load(path, text)
    if len(found) != 1:
        raise InputError(f"evaluation {text} has {len(found)} variants: name one, such as `{text}.A`")
    return found[0]


def _told(evaluation: EvaluationRow, variant: Row, rows: tuple[Row, ...], cases: Mapping[str, Case]) -> Told:
    answers: dict[str, list[Heard]] = defaultdict(list)
    failures: Counter[str] = Counter()
    for row in rows:
        if row["variant"] == variant["variant"] and row["brief_hash"] in cases:
            answers[row["brief_hash"]].append(heard_of(row, cases[row["brief_hash"]], variant["prompt_hash"]))
            failures.update([row["failure_kind"]] if row["failure_kind"] else [])
    return Told(
        label=f"{evaluation.id}.{variant['variant']}",
        evaluation=evaluation,
        variant=variant,
        cases=cases,
        answers={name: tuple(heard) for name, heard in answers.items()},
        failures=failures,
    )
