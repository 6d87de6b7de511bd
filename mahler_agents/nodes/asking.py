"""Nodes of the review graph: how every advisor is asked, and the wall between what it does and the trade."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from mahler_agents.analysts.base import Brief, StrictReply
from mahler_agents.analysts.grounding import Grounding, grounding
from mahler_agents.errors import RecordError
from mahler_agents.llm.client import Answer
from mahler_agents.llm.failures import Failure, FailureKind, failure
from mahler_agents.llm.router import Asker
from mahler_agents.llm.transport import CallContext
from mahler_agents.review import ReviewContext

R = TypeVar("R", bound=StrictReply)
T = TypeVar("T")


async def ask(
    llm: Asker, role: str, brief: Brief, reply: type[R], context: ReviewContext, *, node: str | None = None
) -> Answer[R] | Failure:
    """Return a role's reply to a brief, or why there is none; `node` is the one that asks, if not named as the role."""
    call = CallContext(
        run_id=context.run_id,
        candidate_id=context.candidate_id,
        span_id=f"{context.candidate_id}.{node or role}",
        brief_hash=brief.content_hash,
    )
    return await llm.ask(role=role, prompt=context.prompts[role], facts=brief.facts(), reply=reply, context=call)


def grounding_of(role: str, brief: Brief, reply: StrictReply, context: ReviewContext) -> Grounding:
    """Return which numbers of a reply's text stand in what the prompt showed of the brief."""
    shown = context.prompts[role].used_variables
    facts = {name: value for name, value in brief.facts().items() if name in shown}
    stated = [value for _, value in reply if isinstance(value, int | float)]
    return grounding(reply.summary, facts, stated=stated)


def walled(role: str, write: Callable[[], T]) -> T | Failure:
    """Return what `write` returns, or a failure if it raises.

    The wall between advice and trade: a defect in an advisor's own code is that advisor's failure, told and recorded
    like any other, and never keeps a candidate from being sized.
    """
    try:
        return write()
    except Exception as error:  # noqa: BLE001 - see above
        return _defect(role, error)


async def walled_async(role: str, ask: Awaitable[T | Failure]) -> T | Failure:
    """Return what `ask` returns, or a failure if it raises; a record that cannot be written is no advisor's defect."""
    try:
        return await ask
    except RecordError:
        raise
    except Exception as error:  # noqa: BLE001 - the same wall
        return _defect(role, error)


def _defect(role: str, error: Exception) -> Failure:
    return failure(role, FailureKind.INTERNAL, f"{type(error).__name__}: {error}")


def note_failure(context: ReviewContext, outcome: Failure) -> None:
    """Record that a role failed, and log it as an event."""
    context.recording.failure(context.candidate_id, outcome)
    context.recording.event(
        "advisor_failed",
        f"{outcome.role} failed ({outcome.kind.value}): {outcome.detail}; {outcome.action}",
        candidate_id=context.candidate_id,
        level="warning",
    )
