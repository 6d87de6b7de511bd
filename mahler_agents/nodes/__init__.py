"""Nodes: one call each into the stages, for the graphs to wire."""
