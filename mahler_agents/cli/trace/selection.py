"""Command line, `mahler trace show`: a run in, the candidate and the node that were asked for out."""

from dataclasses import replace

from mahler_agents.errors import UnknownIdError
from mahler_agents.record.trace_rows import CandidateTrace, RunTrace


def selected(trace: RunTrace, *, candidate: int | None, node: str | None) -> RunTrace:
    """Return the run with only the candidate of this rank and only this node, if they are given.

    Raises `UnknownIdError`, naming what there is, for a rank or a node that the run does not have.
    """
    if candidate is None and node is None:
        return trace
    kept = _of_rank(trace, candidate) if candidate is not None else trace.candidates
    if node is not None:
        _check_node(kept, node, trace.run.id)
        kept = tuple(_only_node(one, node) for one in kept if _nodes(one) & {node})
    ids = {one.id for one in kept} if node is None else set[str]()  # events are of candidates, not of their nodes
    return replace(trace, candidates=kept, events=tuple(one for one in trace.events if one.candidate_id in ids))


def _of_rank(trace: RunTrace, rank: int) -> tuple[CandidateTrace, ...]:
    kept = tuple(one for one in trace.candidates if one.rank == rank)
    if not kept:
        there = f"its candidates are 1 to {len(trace.candidates)}" if trace.candidates else "it has none"
        raise UnknownIdError(f"run {trace.run.id} has no candidate {rank}: {there}")
    return kept


def _check_node(candidates: tuple[CandidateTrace, ...], node: str, run_id: str) -> None:
    there = dict.fromkeys(span.name for one in candidates for span in one.spans)
    if not any(node in _nodes(one) for one in candidates):
        names = f"it has {', '.join(there)}" if there else "it has none"
        raise UnknownIdError(f"run {run_id} has no node `{node}` here: {names}")


def _nodes(candidate: CandidateTrace) -> set[str]:
    """Return the names of the nodes that left something: a span, or, if the process died in them, what they said."""
    said = {*(one.analyst for one in candidate.opinions), *(one.role for one in candidate.failures)}
    said |= {one.node for one in candidate.arguments}
    return said | {span.name for span in candidate.spans}


def _only_node(candidate: CandidateTrace, node: str) -> CandidateTrace:
    return replace(
        candidate,
        spans=tuple(span for span in candidate.spans if span.name == node),
        opinions=tuple(one for one in candidate.opinions if one.analyst == node),
        arguments=tuple(one for one in candidate.arguments if one.node == node),
        failures=tuple(one for one in candidate.failures if one.role == node),
        verdict=candidate.verdict if node == "fund_manager" else None,
        advice=candidate.advice if node == "advisory" else None,
        sizing=candidate.sizing if node == "size" else None,
        orders=candidate.orders if node == "execute" else (),
    )
