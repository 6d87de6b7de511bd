"""Evaluation: variants and cases in, the briefs out of those whose prompt is given what became of similar trades.

What had been closed is the record's of today, as of each case's own instant: no case sees how a later trade ended.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

from mahler_agents.analysts.base import Brief
from mahler_agents.evaluation.cases import Case
from mahler_agents.evaluation.variants import Variant
from mahler_agents.llm.prompts import Prompt
from mahler_agents.memory import Memory
from mahler_agents.record.remembered import RememberedReader

Briefs = Mapping[tuple[str, str], Brief]
"""By variant and case; a variant without a memory reads the case's own brief, and is not there."""


def briefs_of(path: Path, variants: Iterable[Variant], cases: Iterable[Case]) -> Briefs:
    """Return the briefs of the variants whose prompt asks for similar trades."""
    asking = [variant for variant in variants if variant.prompt.front.memory]
    if not asking:
        return {}
    remember = Remembering(path)
    known = list(cases)
    return {(variant.name, case.id): remember(variant.prompt, case) for variant in asking for case in known}


class Remembering:
    """Gives a case's brief what a prompt asks for of similar trades that had been closed by then."""

    def __init__(self, path: Path) -> None:
        self._memory = Memory(path)
        with RememberedReader(path) as reader:
            self._pools = reader.pools()

    def __call__(self, prompt: Prompt, case: Case) -> Brief:
        """Return the brief that a prompt is filled with."""
        pool = None if case.run_id is None else self._pools.get(case.run_id)
        return self._memory.recalled(case.role, case.brief, prompt.front.memory, pool=pool, as_of=case.as_of)
