"""Nodes of the review graph's advisors: one call each into the stages; they may say anything and stop nothing."""

import asyncio
from collections.abc import Sequence

from mahler_agents.advisory import advise
from mahler_agents.analysts import fund_manager as manager
from mahler_agents.analysts.base import Analyst, Brief
from mahler_agents.analysts.hearing import hear_analyst, hear_fund_manager, walled, walled_async
from mahler_agents.llm.failures import Failure
from mahler_agents.llm.router import Asker
from mahler_agents.nodes.tracing import Node, Update, note_failure, traced
from mahler_agents.progress import Stage
from mahler_agents.review import ReviewContext, ReviewState


def brief(analysts: Sequence[Analyst]) -> Node[ReviewState]:
    """Return the node that writes every analyst's brief from the snapshot."""

    async def stage(state: ReviewState, context: ReviewContext) -> Update:
        briefs: dict[str, Brief] = {}
        failures: list[Failure] = []
        for analyst in analysts:
            written = walled(
                analyst.name, lambda a=analyst: a.brief(context.snapshot, state["candidate"], context.terms)
            )
            if not isinstance(written, Failure):
                written = await walled_async(analyst.name, _remembering(analyst.name, written, context))
            if isinstance(written, Failure):
                failures.append(written)
                note_failure(context, written)
            else:
                briefs[analyst.name] = written
                context.recording.brief(analyst.name, written, candidate_id=context.candidate_id)
        return {"briefs": briefs, "failures": failures}

    return traced("brief", stage)


async def _remembering(role: str, written: Brief, context: ReviewContext) -> Brief:
    """Return the brief with what became of similar trades, if the role's prompt shows that."""
    prompt = context.prompts.get(role)
    if prompt is None or prompt.front.memory == 0:
        return written
    return await asyncio.to_thread(context.recall, role, written, prompt.front.memory)


def analyst(analyst: Analyst) -> Node[ReviewState]:
    """Return the node in which one analyst reads its brief and gives an opinion, or fails; it never raises."""

    async def stage(state: ReviewState, context: ReviewContext) -> Update:
        written = state.get("briefs", {}).get(analyst.name)
        if context.llm is None or written is None:
            return {}
        outcome = await walled_async(analyst.name, hear_analyst(context.llm, analyst, written, context))
        context.tell(Stage.ANALYST, outcome)
        if isinstance(outcome, Failure):
            note_failure(context, outcome)
            return {"failures": [outcome]}
        context.recording.opinion(context.candidate_id, outcome)
        return {"opinions": [outcome]}

    return traced(analyst.name, stage)


async def fund_manager_stage(state: ReviewState, context: ReviewContext) -> Update:
    """Ask the fund manager for a verdict on the panel's opinions; without a quorum it is not asked."""
    if context.llm is None:
        return {"verdict": None}
    outcome = await walled_async(manager.NAME, _verdict(context.llm, state, context))
    context.tell(Stage.FUND_MANAGER, outcome)
    if isinstance(outcome, Failure):
        note_failure(context, outcome)
        return {"verdict": None, "failures": [outcome]}
    context.recording.verdict(context.candidate_id, outcome)
    return {"verdict": outcome}


async def _verdict(llm: Asker, state: ReviewState, context: ReviewContext) -> manager.Verdict | Failure:
    written = manager.brief(
        context.snapshot,
        state["candidate"],
        context.terms,
        state.get("opinions", []),
        state.get("failures", []),
        arguments=state.get("arguments", []),
    )
    # Recorded even if it is not asked: a replay that repairs the panel asks with the portfolio of this brief.
    context.recording.brief(manager.NAME, written, candidate_id=context.candidate_id)
    return await hear_fund_manager(llm, written, context)


async def advisory_stage(state: ReviewState, context: ReviewContext) -> Update:
    """Turn the verdict, or its absence, into advice, and have it on disk before any order is decided.

    With it, all that came before it: the candidate's row, to which its sizing, order and shadow refer.
    """
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
