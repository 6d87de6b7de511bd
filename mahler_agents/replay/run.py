"""Replay: advisors of a recorded run are asked again, on recorded briefs, and what they say is recorded beside it.

It reads the record and never a market, and holds neither broker nor ledger: a replay cannot trade.
"""

import asyncio
import datetime as dt
import os
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

from mahler_agents.analysts import ANALYSTS, Analyst
from mahler_agents.clock import Clock, Ids, SystemClock
from mahler_agents.errors import InputError
from mahler_agents.llm.attempts import CallLimits
from mahler_agents.llm.budget import ScanBudget, Spent
from mahler_agents.llm.models import Endpoint
from mahler_agents.llm.past import MissError
from mahler_agents.llm.prices import load_prices
from mahler_agents.llm.prompts import Prompt, check_prompt, read_prompt
from mahler_agents.llm.recorded import RecordedModels
from mahler_agents.llm.router import Asker, ModelRouter, check_priced
from mahler_agents.logs import within
from mahler_agents.memory import Memory, Pool, Recall
from mahler_agents.record.location import newest_database
from mahler_agents.record.replays import read_original
from mahler_agents.record.writer import Writer
from mahler_agents.redaction import Redactor
from mahler_agents.replay.choice import Plan, ReplayChoice, planned
from mahler_agents.replay.keeping import Keeping, Unkept, Work, by_run
from mahler_agents.replay.models import models_of_replay
from mahler_agents.replay.original import Original, OriginalCandidate, Outcome, original_of
from mahler_agents.replay.results import Answer, ReplayResult, spreads
from mahler_agents.replay.stages import Rehearing
from mahler_agents.version import __version__


async def replay(
    run: str = "latest",
    *,
    database: Path | None = None,
    choice: ReplayChoice | None = None,
    prompt: Path | Prompt | None = None,
    model: str | Endpoint | None = None,
    model_for: Mapping[str, str | Endpoint] | None = None,
    repeat: int = 1,
    budget: ScanBudget | None = None,
    call_limits: CallLimits | None = None,
    panel: Sequence[Analyst] = ANALYSTS,
    clock: Clock | None = None,
    ids: Ids | None = None,
    environ: Mapping[str, str] = os.environ,
) -> ReplayResult:
    """Ask advisors of a recorded run again, and return what they had said and say now.

    `run` is an id, the beginning of one, or `latest`, the newest scan; `database` the newest record in this folder
    unless given. `prompt` stands in for that of the role that it names, and without chosen roles only that is asked.
    `model` and `model_for` are as a desk takes them; without one, every role asks the model that it had. Each of the
    `repeat` repetitions is recorded as a run of its own, kind `replay`, in retrospect; the `budget` is that of all.

    Raises `UnknownIdError` for an unknown run, `InputError` if nothing can be replayed, `ConfigError` for a prompt or
    model that cannot be used. A call that fails is in the result.
    """
    clock, chosen = clock or SystemClock(), choice or ReplayChoice()
    path = newest_database(database, environ)
    original = await asyncio.to_thread(lambda: original_of(read_original(path, run), panel))
    prompts, chosen = _prompts(original, prompt, chosen)
    plan = planned(original, chosen)
    prices = load_prices(environ)
    ids = ids or Ids()
    if repeat < 1:
        raise InputError(f"--repeat {repeat}: at least 1")
    async with AsyncExitStack() as stack:
        models = models_of_replay(original, model, model_for or {}, environ)
        used = {role: prompts[role] for role in plan.roles(original)}
        endpoints = models.open(stack, used, environ)
        budget = budget or ScanBudget()
        check_priced(endpoints.values(), budget, prices)
        keys = [endpoint.api_key for endpoint in endpoints.values()]
        writer = stack.enter_context(Writer(path, redact=Redactor.of(environ, keys=keys)))
        work = Work(original=original, prompts=used, endpoints=endpoints, toy=models.has_toy, budget=budget)
        keepings = [Keeping(writer, clock, ids, work, plan) for _ in range(repeat)]
        router = ModelRouter(
            endpoints, clock=clock, log=by_run(keepings), limits=call_limits, budget=budget, prices=prices
        )
        llm = await stack.enter_async_context(router)
        recall = _recall(path, original)
        heard = await asyncio.gather(
            *(_once(original, plan, prompts, llm, recall=recall, keeping=one) for one in keepings)
        )
        answers = tuple(one for repetition in heard for one in repetition)
        spent = router.spent
    return ReplayResult(
        replay_of=original.run["id"],
        run_ids=tuple(keeping.run_id for keeping in keepings),
        exact=False,
        answers=answers,
        spreads=spreads(answers),
        not_replayed=plan.not_replayed,
        spent=spent,
    )


async def replay_exactly(
    run: str = "latest",
    *,
    database: Path | None = None,
    choice: ReplayChoice | None = None,
    prompt: Path | Prompt | None = None,
    panel: Sequence[Analyst] = ANALYSTS,
    clock: Clock | None = None,
    environ: Mapping[str, str] = os.environ,
) -> ReplayResult:
    """Serve a run's recorded calls again, and return whether the same comes of them; no request is made.

    Errors, broken connections and time-outs are served as they were, without a wait. What is asked and not on record,
    since a prompt, a brief or a schema is another, is a `miss` of its answer. Nothing is written: it would be what the
    record holds. Raises as `replay` does.
    """
    path, chosen = newest_database(database, environ), choice or ReplayChoice()
    if chosen.failed or chosen.downstream:
        raise InputError("--exact serves what is on record: leave out --failed and --downstream")
    original = await asyncio.to_thread(lambda: original_of(read_original(path, run), panel))
    if (pruned := original.run["pruned_at"]) is not None:
        raise InputError(f"run {original.run['id']} was pruned at {pruned}: its replies are gone")
    prompts, chosen = _prompts(original, prompt, chosen)
    plan = planned(original, chosen)
    async with RecordedModels(original.questions(), clock=clock or SystemClock()) as llm:
        answers = await _once(
            original, plan, prompts, llm, recall=_recall(path, original), keeping=Unkept(original.run["id"])
        )
    return ReplayResult(
        replay_of=original.run["id"],
        run_ids=(),
        exact=True,
        answers=answers,
        spreads=(),
        not_replayed=plan.not_replayed,
        spent=Spent(),
    )


async def _once(
    original: Original,
    plan: Plan,
    prompts: Mapping[str, Prompt],
    llm: Asker,
    *,
    recall: Recall,
    keeping: Keeping | Unkept,
) -> tuple[Answer, ...]:
    """Return the answers of one repetition."""

    async def of_candidate(candidate: OriginalCandidate) -> list[Answer]:
        candidate_id = keeping.candidate(candidate)
        rehearing = Rehearing(
            run_id=keeping.run_id,
            candidate_id=candidate_id,
            prompts=prompts,
            original=original,
            candidate=candidate,
            llm=llm,
            recall=recall,
            heard=keeping.hearer(candidate_id),
        )
        nodes = plan.nodes[candidate.id]
        with within(candidate_id=candidate_id):
            found = await (rehearing.onward(nodes) if plan.onward else rehearing.as_it_was(nodes))
        version = original.run["version"]
        return [_answer(keeping.run_id, version, candidate, node, outcome) for node, outcome in found.items()]

    with within(job="replay", run_id=keeping.run_id):
        async with keeping:
            asked = [candidate for candidate in original.candidates if candidate.id in plan.nodes]
            heard = await asyncio.gather(*map(of_candidate, asked))
    return tuple(one for answers in heard for one in answers)


def _recall(path: Path, original: Original) -> Recall:
    """Return what gives briefs the similar trades that had been closed before the run."""
    run = original.run
    as_of = dt.datetime.fromisoformat(run["as_of"])
    return partial(Memory(path).recalled, pool=Pool.of_run(run), as_of=as_of)


def _answer(run_id: str, version: str, candidate: OriginalCandidate, node: str, now: Outcome | MissError) -> Answer:
    missed = isinstance(now, MissError)
    return Answer(
        run_id=run_id,
        candidate_id=candidate.id,
        rank=candidate.row["rank"],
        label=candidate.label,
        node=node,
        was=candidate.outcomes.get(node),
        now=None if missed else now,
        miss=str(now) if missed else None,
        same_version=version == __version__,
    )


def _prompts(
    original: Original, prompt: Path | Prompt | None, choice: ReplayChoice
) -> tuple[Mapping[str, Prompt], ReplayChoice]:
    """Return the prompts of a replay, and the choice, which a prompt of the user's own narrows to its role."""
    if prompt is None:
        return original.prompts, choice
    own = read_prompt(prompt) if isinstance(prompt, Path) else prompt
    if own.name not in original.roles:
        known = ", ".join(original.roles)
        raise InputError(f"{own.path}: run {original.run['id']} has no role `{own.name}`; name it one of: {known}")
    facts, reply = original.roles[own.name]
    check_prompt(own, tuple(facts.model_fields), reply)
    if not choice.roles and not choice.failed:
        choice = ReplayChoice(roles=(own.name,), ranks=choice.ranks, downstream=choice.downstream)
    return {**original.prompts, own.name: own}, choice
