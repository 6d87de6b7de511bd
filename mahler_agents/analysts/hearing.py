"""Stage 3, opinion: a brief in, what its reader says of it out, or why nothing; never an exception of an advisor's.

Whoever asks an advisor asks here, the review graph and a replay alike, so that both hear the same of the same brief.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol, TypeVar

from mahler_agents.analysts import fund_manager as manager
from mahler_agents.analysts.base import Analyst, Brief, Opinion, StrictReply
from mahler_agents.analysts.debate import Argument, ArgumentReply, DebateBrief, Turn
from mahler_agents.analysts.grounding import Grounding, grounding
from mahler_agents.analysts.panel import QUORUM
from mahler_agents.errors import RecordError
from mahler_agents.llm.client import Answer
from mahler_agents.llm.failures import Failure, FailureKind, failure
from mahler_agents.llm.prompts import Prompt
from mahler_agents.llm.router import Asker
from mahler_agents.llm.transport import CallContext

R = TypeVar("R", bound=StrictReply)
T = TypeVar("T")


class Hearing(Protocol):
    """For which candidate of which run an advisor is asked, and with which prompts."""

    @property
    def run_id(self) -> str:
        """The run to which the calls belong."""
        ...

    @property
    def candidate_id(self) -> str:
        """The candidate."""
        ...

    @property
    def prompts(self) -> Mapping[str, Prompt]:
        """Role to prompt."""
        ...


async def hear_analyst(llm: Asker, analyst: Analyst, brief: Brief, of: Hearing) -> Opinion | Failure:
    """Return an analyst's opinion on its brief; if facts that it needs are absent, it is not asked."""
    if missing := brief.missing():
        lacking = failure(analyst.name, FailureKind.MISSING_FACTS, f"the snapshot has no {', '.join(missing)}")
        return lacking.model_copy(update={"brief_hash": brief.content_hash})
    answer = await _ask(llm, analyst.name, brief, analyst.reply, of)
    if isinstance(answer, Failure):
        return answer
    said = answer.reply.model_dump(mode="json")
    common = {name: said.pop(name) for name in ("summary", "stance", "confidence", "p_profit")}
    return Opinion(
        analyst=analyst.name,
        **common,
        details=said,
        grounding=_grounding(analyst.name, brief, answer.reply, of),
        brief_hash=brief.content_hash,
        prompt_hash=of.prompts[analyst.name].content_hash,
        model=answer.model,
    )


async def hear_debater(llm: Asker, turn: Turn, brief: DebateBrief, of: Hearing) -> Argument | Failure:
    """Return what one side says in its turn."""
    side = turn.side.value
    answer = await _ask(llm, side, brief, ArgumentReply, of, node=turn.name)
    if isinstance(answer, Failure):
        return answer.model_copy(update={"role": turn.name})  # a side fails in each of its turns by itself
    return Argument(
        side=turn.side,
        round=turn.round,
        **answer.reply.model_dump(),
        grounding=_grounding(side, brief, answer.reply, of),
        brief_hash=brief.content_hash,
        prompt_hash=of.prompts[side].content_hash,
        model=answer.model,
    )


async def hear_fund_manager(llm: Asker, brief: manager.FundManagerBrief, of: Hearing) -> manager.Verdict | Failure:
    """Return the fund manager's verdict on the panel of its brief; without a quorum it is not asked."""
    if (heard := len(brief.opinions)) < QUORUM:
        few = failure(manager.NAME, FailureKind.NO_QUORUM, f"{heard} opinions, needs {QUORUM}: not asked")
        return few.model_copy(update={"brief_hash": brief.content_hash})
    answer = await _ask(llm, manager.NAME, brief, manager.VerdictReply, of)
    if isinstance(answer, Failure):
        return answer
    return manager.Verdict(
        **answer.reply.model_dump(),
        grounding=_grounding(manager.NAME, brief, answer.reply, of),
        brief_hash=brief.content_hash,
        prompt_hash=of.prompts[manager.NAME].content_hash,
        model=answer.model,
    )


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
    """Return what `ask` returns, or a failure if it raises; a record that cannot be used is no advisor's defect."""
    try:
        return await ask
    except RecordError:
        raise
    except Exception as error:  # noqa: BLE001 - the same wall
        return _defect(role, error)


def _defect(role: str, error: Exception) -> Failure:
    return failure(role, FailureKind.INTERNAL, f"{type(error).__name__}: {error}")


async def _ask(
    llm: Asker, role: str, brief: Brief, reply: type[R], of: Hearing, *, node: str | None = None
) -> Answer[R] | Failure:
    """Return a role's reply to a brief, or why there is none; `node` is the one that asks, if not named as the role."""
    call = CallContext(
        run_id=of.run_id,
        candidate_id=of.candidate_id,
        span_id=f"{of.candidate_id}.{node or role}",
        brief_hash=brief.content_hash,
    )
    return await llm.ask(role=role, prompt=of.prompts[role], facts=brief.facts(), reply=reply, context=call)


def _grounding(role: str, brief: Brief, reply: StrictReply, of: Hearing) -> Grounding:
    """Return which numbers of a reply's text stand in what the prompt showed of the brief."""
    shown = of.prompts[role].used_variables
    facts = {name: value for name, value in brief.facts().items() if name in shown}
    stated = [value for _, value in reply if isinstance(value, int | float)]
    return grounding(reply.summary, facts, stated=stated)
