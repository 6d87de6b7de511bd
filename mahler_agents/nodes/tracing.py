"""Nodes: what makes a stage a node of the review graph, and what it leaves on record: a span, and its failure."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

from langgraph.runtime import Runtime

from mahler_agents.llm.failures import Failure
from mahler_agents.review import ReviewContext

S_contra = TypeVar("S_contra", contravariant=True)
Update = dict[str, Any]


class Node(Protocol[S_contra]):
    """A graph's node: part of the state in, an update of it out."""

    def __call__(self, state: S_contra, *, runtime: Runtime[ReviewContext]) -> Awaitable[Update]:
        """Run the node."""
        ...


def traced(name: str, stage: Callable[[S_contra, ReviewContext], Awaitable[Update]]) -> Node[S_contra]:
    """Return a node that runs `stage` and records a span of it, whether it returns or raises."""

    async def node(state: S_contra, *, runtime: Runtime[ReviewContext]) -> Update:
        context = runtime.context
        started, since = context.clock.now(), context.clock.seconds()

        def ended(status: str, detail: str = "") -> None:
            context.recording.span(
                context.candidate_id,
                name,
                started=started,
                milliseconds=1000 * (context.clock.seconds() - since),
                status=status,
                detail=detail,
            )

        try:
            update = await stage(state, context)
        except asyncio.CancelledError:  # the scan was interrupted: the node has its span when that is resumed
            raise
        except BaseException as error:
            ended("error", f"{type(error).__name__}: {error}")
            raise
        failed = [one for one in update.get("failures", ()) if one.role == name]
        ended("failed" if failed else "ok", failed[0].kind.value if failed else "")
        return update

    return node


def note_failure(context: ReviewContext, outcome: Failure) -> None:
    """Record that a role failed, and log it as an event."""
    context.recording.failure(context.candidate_id, outcome)
    context.recording.event(
        "advisor_failed",
        f"{outcome.role} failed ({outcome.kind.value}): {outcome.detail}; {outcome.action}",
        candidate_id=context.candidate_id,
        level="warning",
    )
