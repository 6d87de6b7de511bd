"""Nodes of the review graph's debate: a turn each, between the analysts and the fund manager."""

from mahler_agents.analysts import debate
from mahler_agents.analysts.debate import Argument, Turn
from mahler_agents.analysts.hearing import hear_debater, walled_async
from mahler_agents.analysts.panel import QUORUM
from mahler_agents.llm.failures import Failure
from mahler_agents.llm.router import Asker
from mahler_agents.nodes.tracing import Node, Update, note_failure, traced
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
    written = debate.brief(
        state["candidate"],
        context.terms,
        turn,
        opinions=state.get("opinions", []),
        failures=state.get("failures", []),
        arguments=state.get("arguments", []),
    )
    context.recording.brief(turn.side.value, written, candidate_id=context.candidate_id)
    return await hear_debater(llm, turn, written, context)
