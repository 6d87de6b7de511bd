"""The LangGraph wiring: nodes and edges only; imported as `mahler_agents.graphs`."""
