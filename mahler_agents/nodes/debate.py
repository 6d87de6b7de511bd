"""Nodes of the review graph's debate: a turn each, between the analysts and the fund manager."""

from mahler_agents.analysts import debate
from mahler_agents.analysts.debate import Argument, ArgumentReply, Turn
from mahler_agents.analysts.panel import QUORUM
from mahler_agents.llm.failures import Failure
from mahler_agents.llm.router import Asker
from mahler_agents.nodes.asking import ask, grounding_of, note_failure, walled_async
from mahler_agents.nodes.tracing import Node, Update, traced
from mahler_agents.progress import Stage
from mahler_agents.review import ReviewContext, ReviewState


def debater(turn: Turn) -> Node[ReviewState]:
    """Return the node in which one side speaks, or fails; it never raises. Without a quorum it is not asked."""

    async def stage(state: ReviewState, context: ReviewContext) -> Update:
        if context.llm is None or len(state.get("opinions", [])) < QUORUM:
            return {}
        outcome = await walled_async(turn.name, _argument(context.llm, turn, state, context))
        context.tell(Stage.DEBATE, outcome)
        if isinstance(outcome, Failure):
            note_failure(context, outcome)
            return {"failures": [outcome]}
        context.recording.argument(context.candidate_id, outcome)
        return {"arguments": [outcome]}

    return traced(turn.name, stage)


async def _argument(llm: Asker, turn: Turn, state: ReviewState, context: ReviewContext) -> Argument | Failure:
    side = turn.side.value
    written = debate.brief(
        state["candidate"],
        context.terms,
        turn,
        opinions=state.get("opinions", []),
        failures=state.get("failures", []),
        arguments=state.get("arguments", []),
    )
    context.recording.brief(side, written)
    answer = await ask(llm, side, written, ArgumentReply, context, node=turn.name)
    if isinstance(answer, Failure):
        return answer.model_copy(update={"role": turn.name})  # a side fails in each of its turns by itself
    return Argument(
        side=turn.side,
        round=turn.round,
        **answer.reply.model_dump(),
        grounding=grounding_of(side, written, answer.reply, context),
        brief_hash=written.content_hash,
        prompt_hash=context.prompts[side].content_hash,
        model=answer.model,
    )
