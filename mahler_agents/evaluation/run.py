"""Evaluation: prompts, models and a query of cases in, every variant's answers on the same cases out, recorded.

Each answer is a row of its own the moment it is there, so that a process that dies repeats no call that had ended: the
same command goes on. What was asked before, to the byte, is served from the record.
"""

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from mahler_agents.clock import Clock, Ids, SystemClock, utc_text
from mahler_agents.errors import InputError
from mahler_agents.evaluation.cases import Case, panel_roles, read_cases
from mahler_agents.evaluation.query import of_role, parse_query
from mahler_agents.evaluation.references import prompt_of
from mahler_agents.evaluation.remembering import briefs_of
from mahler_agents.evaluation.requests import request_hashes
from mahler_agents.evaluation.variants import Variant, one_role, open_variants, reopen_variants, spec_hash
from mahler_agents.evaluation.work import Progress, Work, Worked, unwatched
from mahler_agents.llm.attempts import CallLimits
from mahler_agents.llm.budget import ScanBudget, Spent
from mahler_agents.llm.models import Endpoint
from mahler_agents.llm.prices import load_prices
from mahler_agents.llm.prompts import Prompt
from mahler_agents.llm.router import check_priced
from mahler_agents.record.abandoned import mark_abandoned
from mahler_agents.record.cases import CaseFilter, CaseReader
from mahler_agents.record.database import open_database
from mahler_agents.record.evaluations import EvaluationReader, begin, reopen
from mahler_agents.record.location import newest_database
from mahler_agents.record.presence import at_work
from mahler_agents.record.prompt_versions import PromptReader
from mahler_agents.record.writer import as_json
from mahler_agents.types import Frozen
from mahler_agents.version import __version__


class EvaluationResult(Frozen):
    """What an evaluation came to."""

    id: str
    role: str
    variants: tuple[dict[str, str | bool], ...]
    """`variant`, `prompt_hash`, `model`, `base_url` and `toy_model` of each."""
    cases: int
    repeats: int
    answered: int
    """Valid answers on record, of all processes that worked on it."""
    failures: Mapping[str, int]
    """Kind to count."""
    asked: int
    """Questions that this process asked."""
    served: int
    """Questions that it found answered in another evaluation."""
    resumed: bool
    """Whether it went on with what another process had left."""
    not_read: tuple[str, ...]
    """Cases that could not be used, and why; one line each."""
    spent: Spent
    """By this process."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How an evaluation asks."""

    budget: ScanBudget
    call_limits: CallLimits | None
    clock: Clock
    ids: Ids
    environ: Mapping[str, str]
    watch: Callable[[Progress], None]


async def evaluate(
    prompts: Sequence[str | Prompt],
    *,
    cases: str = "all",
    models: Sequence[str | Endpoint] = (),
    repeat: int = 1,
    database: Path | None = None,
    budget: ScanBudget | None = None,
    call_limits: CallLimits | None = None,
    clock: Clock | None = None,
    ids: Ids | None = None,
    environ: Mapping[str, str] = os.environ,
    watch: Callable[[Progress], None] = unwatched,
) -> EvaluationResult:
    """Ask every prompt with every model on the same stored cases, `repeat` times each.

    `prompts` are as `mahler eval run` takes them, all of one role; `cases` is a query of words such as `outcome=loss`.
    An evaluation of the same variants, cases and repeats that did not come to its end is gone on with.

    Raises `InputError` for fewer than two variants, for no case, and for another process at work on the same;
    `UnknownIdError` for an unknown version, `ConfigError` for a prompt or model that cannot be used. A question that
    fails is counted in the result.
    """
    if repeat < 1:
        raise InputError(f"--repeat {repeat}: at least 1")
    settings = Settings(
        budget=budget or ScanBudget(),
        call_limits=call_limits,
        clock=clock or SystemClock(),
        ids=ids or Ids(),
        environ=environ,
        watch=watch,
    )
    path = open_database(newest_database(database, environ))
    with PromptReader(path) as reader:
        read = [prompt_of(one, reader.content) if isinstance(one, str) else one for one in prompts]
    role = one_role(read)
    found, not_read = await asyncio.to_thread(_cases, path, of_role(parse_query([cases]), role), cases)
    async with AsyncExitStack() as stack:
        variants = open_variants(read, models, stack, environ)
        work = _work(path, variants, found, repeat, settings)
        await stack.enter_async_context(at_work(path, lambda: _mark(path, settings.clock)))
        run_id, resumed = await asyncio.to_thread(_begin, work, cases)
        worked = await work.do(run_id)
    return _result(path, run_id, worked, resumed=resumed, not_read=not_read)


async def retry(
    text: str = "latest",
    *,
    database: Path | None = None,
    budget: ScanBudget | None = None,
    call_limits: CallLimits | None = None,
    clock: Clock | None = None,
    environ: Mapping[str, str] = os.environ,
    watch: Callable[[Progress], None] = unwatched,
) -> EvaluationResult:
    """Ask again what failed in an evaluation, and what was not asked; nothing else.

    Raises `UnknownIdError` for an unknown evaluation, `InputError` if nothing failed or a model cannot be asked again.
    """
    settings = Settings(
        budget=budget or ScanBudget(),
        call_limits=call_limits,
        clock=clock or SystemClock(),
        ids=Ids(),
        environ=environ,
        watch=watch,
    )
    path = open_database(newest_database(database, environ))
    with EvaluationReader(path) as reader:
        row = reader.evaluation(text)
        stored = reader.variants(row.id)
    if row.answered == row.expected:
        raise InputError(f"evaluation {row.id}: nothing failed, so there is nothing to retry")
    found, not_read = await asyncio.to_thread(
        _cases, path, CaseFilter(evaluation=row.id, roles=(row.role,)), row.cases_query
    )
    async with AsyncExitStack() as stack:
        variants = reopen_variants(row.id, row.role, stored, stack, environ)
        work = _work(path, variants, found, row.repeats, settings)
        await stack.enter_async_context(at_work(path, lambda: _mark(path, settings.clock)))
        await asyncio.to_thread(reopen, path, row.id)
        worked = await work.do(row.id, again=True)
    return _result(path, row.id, worked, resumed=True, not_read=not_read)


def _cases(path: Path, chosen: CaseFilter, query: str) -> tuple[list[Case], list[str]]:
    with CaseReader(path) as reader:
        rows = reader.cases(chosen)
    role = ", ".join(chosen.roles)
    if not rows:
        raise InputError(f"no case of {role} fits `{query}` in {path}: `mahler case list` shows what there is")
    cases, not_read = read_cases(rows)
    if not cases:
        raise InputError(f"no case of {role} that fits `{query}` can be used: {not_read[0]}")
    return cases, not_read


def _work(path: Path, variants: Sequence[Variant], cases: Sequence[Case], repeats: int, settings: Settings) -> Work:
    prices = load_prices(settings.environ)
    check_priced((variant.endpoint for variant in variants), settings.budget, prices)
    briefs = briefs_of(path, variants, cases)
    return Work(
        path=path,
        variants=variants,
        cases=cases,
        repeats=repeats,
        briefs=briefs,
        hashes=request_hashes(variants, cases, panel_roles()[cases[0].role][1], briefs),
        prices=prices,
        budget=settings.budget,
        call_limits=settings.call_limits,
        clock=settings.clock,
        ids=settings.ids,
        environ=settings.environ,
        watch=settings.watch,
    )


async def _mark(path: Path, clock: Clock) -> None:
    await asyncio.to_thread(mark_abandoned, path, at=utc_text(clock.now()))


def _begin(work: Work, query: str) -> tuple[str, bool]:
    """Return the evaluation to work on, and whether it is one that was left unfinished."""
    spec = spec_hash(work.variants, [case.id for case in work.cases], work.repeats)
    with EvaluationReader(work.path) as reader:
        left = reader.unfinished(spec)
    if left is not None:
        reopen(work.path, left["id"])
        return left["id"], True
    now = work.clock.now()
    run_id = work.ids.run_id(now)
    begin(
        work.path,
        (
            ("prompts", [_prompt_row(one.prompt) for one in work.variants]),
            ("runs", [_run_row(work, run_id, utc_text(now))]),
            ("evaluations", [_evaluation_row(work, run_id, spec, query)]),
            ("evaluation_variants", [{"run_id": run_id, **one.row} for one in work.variants]),
            ("evaluation_cases", [{"run_id": run_id, "brief_hash": case.id} for case in work.cases]),
        ),
    )
    return run_id, False


def _prompt_row(prompt: Prompt) -> dict[str, object]:
    return {"hash": prompt.content_hash, "name": prompt.name, "content": prompt.text}


def _evaluation_row(work: Work, run_id: str, spec: str, query: str) -> dict[str, object]:
    return {
        "run_id": run_id,
        "spec_hash": spec,
        "role": work.cases[0].role,
        "cases": query,
        "repeats": work.repeats,
    }


def _run_row(work: Work, run_id: str, now: str) -> dict[str, object]:
    return {
        "id": run_id,
        "kind": "evaluation",
        "slot": f"evaluation-{run_id}",
        "status": "running",
        "as_of": now,
        "decision_at": now,
        "started_at": now,
        "environment": "paper",
        "market": ", ".join(sorted({case.market for case in work.cases})),
        "source": "stored cases",
        "synthetic": any(case.synthetic for case in work.cases),
        "broker": "none",
        "account_id": "none",
        "model": ", ".join(dict.fromkeys(one.endpoint.model for one in work.variants)),
        "toy_model": any(one.toy for one in work.variants),
        "version": __version__,
        "config": as_json({"budget": work.budget.model_dump(mode="json")}),
        "retrospective": True,
    }


def _result(path: Path, run_id: str, worked: Worked, *, resumed: bool, not_read: Sequence[str]) -> EvaluationResult:
    with EvaluationReader(path) as reader:
        row, variants, failures = reader.evaluation(run_id), reader.variants(run_id), reader.failures(run_id)
    return EvaluationResult(
        id=run_id,
        role=row.role,
        variants=tuple(
            {
                **{name: one[name] for name in ("variant", "prompt_hash", "model", "base_url")},
                "toy_model": bool(one["toy_model"]),
            }
            for one in variants
        ),
        cases=row.cases,
        repeats=row.repeats,
        answered=row.answered,
        failures=failures,
        asked=worked.asked,
        served=worked.served,
        resumed=resumed,
        not_read=tuple(not_read),
        spent=worked.spent,
    )
