"""The monitor graph: one pass over the open positions; nodes and edges, nothing else."""

from functools import cache

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from mahler_agents.monitor import MonitorContext, MonitorInput, MonitorState
from mahler_agents.nodes import following
from mahler_agents.nodes import monitor as nodes

MonitorGraph = CompiledStateGraph[MonitorState, MonitorContext, MonitorInput, MonitorState]


@cache
def build() -> MonitorGraph:
    """Return the compiled graph: input `MonitorInput`, context `MonitorContext`, output `MonitorState`.

    It holds nothing of a desk's, and is compiled once in a process.
    """
    graph = StateGraph(MonitorState, context_schema=MonitorContext, input_schema=MonitorInput)
    graph.add_node("mark", nodes.mark)
    graph.add_node("settle", nodes.settle)
    graph.add_node("breaker", nodes.breaker)
    graph.add_node("exits", nodes.exits)
    graph.add_node("close", nodes.close)
    graph.add_node("assignment", following.assignment)
    graph.add_node("shadows", following.shadows)
    graph.add_node("record", nodes.record)
    graph.add_edge(START, "mark")
    graph.add_edge("mark", "settle")
    graph.add_edge("settle", "breaker")
    graph.add_edge("breaker", "exits")
    graph.add_edge("exits", "close")
    graph.add_edge("close", "assignment")
    graph.add_edge("assignment", "shadows")
    graph.add_edge("shadows", "record")
    graph.add_edge("record", END)
    return graph.compile()
