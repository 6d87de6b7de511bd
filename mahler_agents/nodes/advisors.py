"""Nodes of the review graph's advisors: one call each into the stages; they may say anything and stop nothing."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from mahler_agents.advisory import advise
from mahler_agents.analysts import fund_manager as manager
from mahler_agents.analysts.base import Analyst, Brief, Opinion, Reply
from mahler_agents.analysts.grounding import Grounding, grounding
from mahler_agents.errors import RecordError
from mahler_agents.llm.client import Answer
from mahler_agents.llm.failures import Failure, FailureKind, failure
from mahler_agents.llm.router import Asker
from mahler_agents.llm.transport import CallContext
from mahler_agents.nodes.tracing import Node, Update, traced
from mahler_agents.progress import Stage
from mahler_agents.review import ReviewContext, ReviewState

R = TypeVar("R", bound=Reply)
T = TypeVar("T")


def brief(analysts: Sequence[Analyst]) -> Node[ReviewState]:
    """Return the node that writes every analyst's brief from the snapshot."""

    async def stage(state: ReviewState, context: ReviewContext) -> Update:
        briefs: dict[str, Brief] = {}
        failures: list[Failure] = []
        for analyst in analysts:
            written = _walled(
                analyst.name, lambda a=analyst: a.brief(context.snapshot, state["candidate"], context.terms)
            )
            if isinstance(written, Failure):
                failures.append(written)
                _note_failure(context, written)
            else:
                briefs[analyst.name] = written
                context.recording.brief(analyst.name, written)
        return {"briefs": briefs, "failures": failures}

    return traced("brief", stage)


def analyst(analyst: Analyst) -> Node[ReviewState]:
    """Return the node in which one analyst reads its brief and gives an opinion, or fails; it never raises."""

    async def stage(state: ReviewState, context: ReviewContext) -> Update:
        written = state.get("briefs", {}).get(analyst.name)
        if context.llm is None or written is None:
            return {}
        outcome = await _walled_async(analyst.name, _opinion(context.llm, analyst, written, context))
        context.tell(Stage.ANALYST, outcome)
        if isinstance(outcome, Failure):
            _note_failure(context, outcome)
            return {"failures": [outcome]}
        context.recording.opinion(context.candidate_id, outcome)
        return {"opinions": [outcome]}

    return traced(analyst.name, stage)


async def _opinion(llm: Asker, analyst: Analyst, brief: Brief, context: ReviewContext) -> Opinion | Failure:
    if missing := brief.missing():
        return failure(analyst.name, FailureKind.MISSING_FACTS, f"the snapshot has no {', '.join(missing)}")
    answer = await _ask(llm, analyst.name, brief, analyst.reply, context)
    if isinstance(answer, Failure):
        return answer
    said = answer.reply.model_dump(mode="json")
    common = {name: said.pop(name) for name in ("summary", "stance", "confidence", "p_profit")}
    return Opinion(
        analyst=analyst.name,
        **common,
        details=said,
        grounding=_grounding(analyst.name, brief, answer.reply, context),
        brief_hash=brief.content_hash,
        prompt_hash=context.prompts[analyst.name].content_hash,
        model=answer.model,
    )


async def fund_manager_stage(state: ReviewState, context: ReviewContext) -> Update:
    """Ask the fund manager for a verdict on the panel's opinions; without a quorum it is not asked."""
    if context.llm is None:
        return {"verdict": None}
    outcome = await _walled_async(manager.NAME, _verdict(context.llm, state, context))
    context.tell(Stage.FUND_MANAGER, outcome)
    if isinstance(outcome, Failure):
        _note_failure(context, outcome)
        return {"verdict": None, "failures": [outcome]}
    context.recording.verdict(context.candidate_id, outcome)
    return {"verdict": outcome}


async def _verdict(llm: Asker, state: ReviewState, context: ReviewContext) -> manager.Verdict | Failure:
    opinions, failures = state.get("opinions", []), state.get("failures", [])
    if len(opinions) < manager.QUORUM:
        return failure(
            manager.NAME, FailureKind.NO_QUORUM, f"{len(opinions)} opinions, needs {manager.QUORUM}: not asked"
        )
    written = manager.brief(context.snapshot, state["candidate"], context.terms, opinions, failures)
    context.recording.brief(manager.NAME, written)
    answer = await _ask(llm, manager.NAME, written, manager.VerdictReply, context)
    if isinstance(answer, Failure):
        return answer
    return manager.Verdict(
        **answer.reply.model_dump(),
        grounding=_grounding(manager.NAME, written, answer.reply, context),
        brief_hash=written.content_hash,
        prompt_hash=context.prompts[manager.NAME].content_hash,
        model=answer.model,
    )


async def advisory_stage(state: ReviewState, context: ReviewContext) -> Update:
    """Turn the verdict, or its absence, into advice, and have it on disk before any order is decided."""
    advice = advise(
        state.get("verdict"),
        underlying=state["candidate"].spread.underlying,
        environment=context.config.environment,
        llm_on=context.llm is not None,
        live_requires_verdict=context.config.live_requires_verdict,
    )
    context.recording.advice(context.candidate_id, advice)
    context.tell(Stage.ADVISORY, advice)
    await context.recording.flush()
    return {"advice": advice}


async def _ask(llm: Asker, role: str, brief: Brief, reply: type[R], context: ReviewContext) -> Answer[R] | Failure:
    call = CallContext(
        run_id=context.run_id,
        candidate_id=context.candidate_id,
        span_id=f"{context.candidate_id}.{role}",
        brief_hash=brief.content_hash,
    )
    return await llm.ask(role=role, prompt=context.prompts[role], facts=brief.facts(), reply=reply, context=call)


def _grounding(role: str, brief: Brief, reply: Reply, context: ReviewContext) -> Grounding:
    """Return which numbers of a reply's text stand in what the prompt showed of the brief."""
    shown = context.prompts[role].used_variables
    facts = {name: value for name, value in brief.facts().items() if name in shown}
    stated = [value for _, value in reply if isinstance(value, int | float)]
    return grounding(reply.summary, facts, stated=stated)


def _walled(role: str, write: Callable[[], T]) -> T | Failure:
    """Return what `write` returns, or a failure if it raises.

    The wall between advice and trade: a defect in an advisor's own code is that advisor's failure, told and recorded
    like any other, and never keeps a candidate from being sized.
    """
    try:
        return write()
    except Exception as error:  # noqa: BLE001 - see above
        return _defect(role, error)


async def _walled_async(role: str, ask: Awaitable[T | Failure]) -> T | Failure:
    """Return what `ask` returns, or a failure if it raises; a record that cannot be written is no advisor's defect."""
    try:
        return await ask
    except RecordError:
        raise
    except Exception as error:  # noqa: BLE001 - the same wall
        return _defect(role, error)


def _defect(role: str, error: Exception) -> Failure:
    return failure(role, FailureKind.INTERNAL, f"{type(error).__name__}: {error}")


def _note_failure(context: ReviewContext, outcome: Failure) -> None:
    context.recording.failure(context.candidate_id, outcome)
    context.recording.event(
        "advisor_failed",
        f"{outcome.role} failed ({outcome.kind.value}): {outcome.detail}; {outcome.action}",
        candidate_id=context.candidate_id,
        level="warning",
    )
