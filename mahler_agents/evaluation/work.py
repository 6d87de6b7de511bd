"""Evaluation: variants, cases and what the record has of them in, the answers that are missing asked and recorded."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from mahler_agents.clock import Clock, Ids
from mahler_agents.evaluation.asking import Cell, EvaluationLog, ask
from mahler_agents.evaluation.cases import Case
from mahler_agents.evaluation.heard import OF_THE_MODEL, row_of
from mahler_agents.evaluation.remembering import Briefs
from mahler_agents.evaluation.variants import Variant
from mahler_agents.llm.attempts import CallLimits
from mahler_agents.llm.budget import ScanBudget, Spent
from mahler_agents.llm.past import PastCall, RecordedQuestion
from mahler_agents.llm.prices import Prices
from mahler_agents.llm.router import ModelRouter, Past
from mahler_agents.record.evaluations import EvaluationReader, PastResults, Row
from mahler_agents.record.writer import Writer
from mahler_agents.recording import Recording
from mahler_agents.redaction import Redactor
from mahler_agents.replay.original import question_of

_BREATHE_EVERY = 500
"""Cached answers between two looks at what else the loop has to do, such as an interrupt."""
_KINDS = tuple(sorted(kind.value for kind in OF_THE_MODEL))


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far an evaluation is, in questions."""

    done: int
    total: int
    failed: int
    served: int
    """Found answered in another evaluation."""


def unwatched(progress: Progress) -> None:
    """Ignore progress."""
    del progress


@dataclass(frozen=True, kw_only=True)
class Worked:
    """What one process did."""

    asked: int
    served: int
    spent: Spent


@dataclass(frozen=True, kw_only=True)
class Work:
    """What an evaluation asks, and how."""

    path: Path
    variants: Sequence[Variant]
    cases: Sequence[Case]
    repeats: int
    briefs: Briefs
    hashes: Mapping[tuple[str, str], str]
    """Request by variant and case."""
    prices: Prices
    budget: ScanBudget
    call_limits: CallLimits | None
    clock: Clock
    ids: Ids
    environ: Mapping[str, str]
    watch: Callable[[Progress], None]

    async def do(self, run_id: str, *, again: bool = False) -> Worked:
        """Ask what an evaluation lacks; with `again` what failed in it, too, and that of no other's record."""
        with EvaluationReader(self.path) as reader:
            ended = {(row["variant"], row["brief_hash"], row["repeat"]): row for row in reader.results(run_id)}
            calls = reader.calls(run_id)
        cells = self._cells(run_id)
        failed = [cell for cell in cells if again and cell.key in ended and ended[cell.key]["reply"] is None]
        missing = [cell for cell in cells if cell.key not in ended]
        keys = [variant.endpoint.api_key for variant in self.variants]
        with Writer(self.path, redact=Redactor.of(self.environ, keys=keys)) as writer:
            recording = Recording(writer, run_id, self.clock)
            process = _Process(self, run_id, recording, writer, done=len(cells) - len(failed) - len(missing))
            try:
                missing = await process.serve(missing)
                spent = await process.ask(missing, failed, calls) if missing or failed else Spent()
                recording.run_ended("done")
            except BaseException as error:
                recording.run_left(f"{type(error).__name__}: {error}".rstrip(": "))
                raise
        return Worked(asked=process.asked, served=process.served, spent=spent)

    @property
    def total(self) -> int:
        """Questions in all."""
        return len(self.variants) * len(self.cases) * self.repeats

    def _cells(self, run_id: str) -> list[Cell]:
        """Return all questions: case by case, so that a budget that ends has met every variant alike.

        Of the embedded model variant by variant: it has read the beginning of the prompt that it was asked last.
        """
        cells = [
            Cell(
                run_id=run_id,
                variant=variant,
                case=case,
                brief=self.briefs.get((variant.name, case.id), case.brief),
                repeat=repeat,
            )
            for case in self.cases
            for variant in self.variants
            for repeat in range(1, self.repeats + 1)
        ]
        embedded = any(variant.endpoint.slots is not None for variant in self.variants)
        return sorted(cells, key=lambda cell: cell.variant.name) if embedded else cells


class _Process:
    """One process at work on an evaluation."""

    def __init__(self, work: Work, run_id: str, recording: Recording, writer: Writer, *, done: int) -> None:
        self.asked = self.served = 0
        self._work = work
        self._run_id = run_id
        self._recording = recording
        self._writer = writer
        self._done = done
        self._failed = 0

    async def serve(self, cells: Sequence[Cell]) -> list[Cell]:
        """Answer what was asked before, to the byte, and return what was not."""
        left: list[Cell] = []
        with closing(PastResults(self._work.path)) as past:
            for number, cell in enumerate(cells):
                found = past.find(self._hash(cell), cell.repeat, _KINDS)
                if found is None:
                    left.append(cell)
                    continue
                own = {"run_id": self._run_id, "variant": cell.variant.name, "served_from": found["run_id"]}
                self._writer.insert("evaluation_results", {**found, **own})
                self.served += 1
                self._told(failed=found["reply"] is None)
                if number % _BREATHE_EVERY == 0:
                    await asyncio.sleep(0)
        return left

    async def ask(self, missing: Sequence[Cell], failed: Sequence[Cell], calls: Sequence[Row]) -> Spent:
        """Ask the models what is missing, going on where a process before had stopped, and what failed, from the start.

        What that process spent counts towards the budget of this one, unless it is to ask again.
        """
        work = self._work
        log = EvaluationLog(self._recording, calls)
        past = Past(
            questions=_questions(missing, failed, calls), calls=[] if failed else [_past_call(row) for row in calls]
        )
        router = ModelRouter(
            {variant.name: variant.endpoint for variant in work.variants},
            clock=work.clock,
            log=log,
            limits=work.call_limits,
            budget=work.budget,
            prices=work.prices,
            past=past,
        )
        cells = [*missing, *failed]
        waiting = iter(cells)
        async with router:

            async def worker() -> None:
                for cell in waiting:
                    heard = await ask(cell, router.asker(cell.variant.name), log)
                    row = {"run_id": self._run_id, **row_of(heard), "request_hash": self._hash(cell)}
                    self._writer.replace("evaluation_results", row)
                    self.asked += 1
                    self._told(failed=heard.said is None)

            limits = work.call_limits or CallLimits()
            # Twice what may be in flight, so that a question that waits for its next attempt leaves its place to one.
            async with asyncio.TaskGroup() as group:
                for _ in range(min(len(cells), 2 * limits.max_in_flight)):
                    group.create_task(worker())
            return router.spent

    def _hash(self, cell: Cell) -> str:
        return self._work.hashes[cell.variant.name, cell.case.id]

    def _told(self, *, failed: bool) -> None:
        self._done += 1
        self._failed += failed
        done, total = self._done, self._work.total
        self._work.watch(Progress(done=done, total=total, failed=self._failed, served=self.served))


def _questions(missing: Sequence[Cell], failed: Sequence[Cell], calls: Sequence[Row]) -> dict[str, RecordedQuestion]:
    """Return what the record has of questions, by span: of one that failed only the numbers that its calls have."""
    of_span: dict[str, list[Row]] = defaultdict(list)
    for row in calls:
        of_span[row["span_id"]].append(row)
    found: dict[str, RecordedQuestion] = {}
    for cell in missing:
        if rows := of_span.get(cell.span_id):
            found[cell.span_id] = question_of(cell.whose, rows, ended=False, failure=None)
    for cell in failed:
        if rows := of_span.get(cell.span_id):
            taken = max(row["attempt"] for row in rows)
            found[cell.span_id] = RecordedQuestion(whose=cell.whose, attempts={}, abandoned=taken, ended=False)
    return found


def _past_call(row: Row) -> PastCall:
    prompt, completion = row["prompt_tokens"], row["completion_tokens"]
    return PastCall(
        model=row["model"],
        request=row["request"],
        used=None if prompt is None or completion is None else (prompt, completion),
        dollars=row["cost_dollars"],
    )
