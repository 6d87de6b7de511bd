"""The review graph: how one candidate passes from its briefs to the record; nodes and edges, nothing else."""

from collections.abc import Sequence
from functools import cache

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from mahler_agents.analysts import ANALYSTS, Analyst
from mahler_agents.analysts.debate import turns
from mahler_agents.nodes import advisors, debate, review
from mahler_agents.nodes.tracing import traced
from mahler_agents.review import ReviewContext, ReviewInput, ReviewState

ReviewGraph = CompiledStateGraph[ReviewState, ReviewContext, ReviewInput, ReviewState]


def build(analysts: Sequence[Analyst] = ANALYSTS, debate_rounds: int = 0) -> ReviewGraph:
    """Return the compiled graph: input `ReviewInput`, context `ReviewContext`, output `ReviewState`.

    It holds nothing of a desk's: that of the desk's own panel is compiled once in a process.
    """
    return _of_the_panel(debate_rounds) if analysts is ANALYSTS else _compiled(analysts, debate_rounds)


@cache
def _of_the_panel(debate_rounds: int) -> ReviewGraph:
    return _compiled(ANALYSTS, debate_rounds)


def _compiled(analysts: Sequence[Analyst], debate_rounds: int) -> ReviewGraph:
    graph = StateGraph(ReviewState, context_schema=ReviewContext, input_schema=ReviewInput)
    graph.add_node("brief", advisors.brief(analysts))
    graph.add_node("fund_manager", traced("fund_manager", advisors.fund_manager_stage))
    graph.add_node("advisory", traced("advisory", advisors.advisory_stage))
    graph.add_node("size", traced("size", review.size_stage), input_schema=review.SizeInput)
    graph.add_node("execute", traced("execute", review.execute_stage), input_schema=review.ExecuteInput)
    graph.add_node("record", traced("record", review.record_stage))

    graph.add_edge(START, "brief")
    for analyst in analysts:
        graph.add_node(analyst.name, advisors.analyst(analyst))
        graph.add_edge("brief", analyst.name)
    heard = [analyst.name for analyst in analysts]
    for turn in turns(debate_rounds):
        graph.add_node(turn.name, debate.debater(turn))
        graph.add_edge(heard, turn.name)
        heard = [turn.name]
    graph.add_edge(heard, "fund_manager")
    graph.add_edge("fund_manager", "advisory")
    graph.add_conditional_edges("advisory", review.route_after_advisory)
    graph.add_conditional_edges("size", review.route_after_size)
    graph.add_edge("execute", "record")
    graph.add_edge("record", END)
    return graph.compile()
