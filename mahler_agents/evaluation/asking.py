"""Evaluation: one variant and one case in, what it says of it once out, asked as the review graph and a replay ask."""

from collections.abc import Awaitable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from pydantic import BaseModel

from mahler_agents.analysts import ANALYSTS
from mahler_agents.analysts.base import Brief
from mahler_agents.analysts.debate import DebateBrief, Side, Turn
from mahler_agents.analysts.fund_manager import FundManagerBrief
from mahler_agents.analysts.hearing import hear_analyst, hear_debater, hear_fund_manager, walled_async
from mahler_agents.clock import milliseconds_between
from mahler_agents.evaluation.cases import SHOWN, Case
from mahler_agents.evaluation.heard import Heard, Said, Took
from mahler_agents.evaluation.variants import Variant
from mahler_agents.llm.client import Answer
from mahler_agents.llm.failures import Failure
from mahler_agents.llm.prompts import Prompt
from mahler_agents.llm.router import Asker
from mahler_agents.llm.transport import CallContext, CallFinished, CallStarted
from mahler_agents.record.evaluations import Row
from mahler_agents.recording import Recording

R = TypeVar("R", bound=BaseModel)
_ANALYSTS = {analyst.name: analyst for analyst in ANALYSTS}
_IN_SPAN = 16
"""Characters of a case's id in a span's."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One question: a variant, a case, and which time it is."""

    run_id: str
    variant: Variant
    case: Case
    brief: Brief
    """The case's own, or what the prompt's memory makes of it."""
    repeat: int
    """From 1."""

    @property
    def key(self) -> tuple[str, str, int]:
        """The cell within its evaluation."""
        return self.variant.name, self.case.id, self.repeat

    @property
    def candidate_id(self) -> str:
        """What stands in a candidate's place in the span's id."""
        return f"{self.run_id}.{self.variant.name}.{self.case.id[:_IN_SPAN]}.{self.repeat}"

    @property
    def span_id(self) -> str:
        """The span of its calls."""
        return f"{self.candidate_id}.{self.node}"

    @property
    def node(self) -> str:
        """The node that asks in the review graph."""
        return _turn(self.case.role).name if self.case.role in set(Side) else self.case.role

    @property
    def whose(self) -> str:
        """The question, as an error names it."""
        return f"{self.node} of case {self.case.id[:SHOWN]}"

    @property
    def prompts(self) -> Mapping[str, Prompt]:
        """Role to prompt."""
        return {self.case.role: self.variant.prompt}


class EvaluationLog:
    """Records every attempt as calls of no candidate, and sums what the attempts of each question took."""

    def __init__(self, recording: Recording, before: Iterable[Row]) -> None:
        """Begin with the calls that the record has `before`."""
        self._recording = recording
        self._started: dict[str, str] = {}
        self._took: dict[str, Took] = {}
        for row in before:
            if row["ended_at"] is not None:
                tokens = _tokens(row["http_status"], row["prompt_tokens"], row["completion_tokens"])
                took = milliseconds_between(row["started_at"], row["ended_at"])
                self._add(row["span_id"], tokens, row["cost_dollars"], took)

    def call_started(self, call: CallStarted) -> None:
        """Write down a request that is about to be sent."""
        self._started[call.call_id] = call.started_at
        self._recording.call_started(replace(call, candidate_id=None))

    def call_finished(self, call: CallFinished) -> None:
        """Write down how it ended."""
        took = milliseconds_between(self._started.pop(call.call_id), call.ended_at)
        tokens = _tokens(call.http_status, call.prompt_tokens, call.completion_tokens)
        self._add(call.call_id.rpartition(".")[0], tokens, call.cost_dollars, took)
        self._recording.call_finished(call)

    def took(self, span_id: str) -> Took:
        """Return what the attempts of a question took so far."""
        return self._took.get(span_id, Took())

    def _add(self, span_id: str, tokens: tuple[int | None, int | None], cost: float | None, took: float) -> None:
        so_far = self.took(span_id)
        self._took[span_id] = Took(
            attempts=so_far.attempts + 1,
            prompt_tokens=_sum(so_far.prompt_tokens, tokens[0]),
            completion_tokens=_sum(so_far.completion_tokens, tokens[1]),
            cost_dollars=None if so_far.cost_dollars is None or cost is None else so_far.cost_dollars + cost,
            milliseconds=so_far.milliseconds + took,
        )


class _Listening:
    """Asks, and keeps whether the answer had to be repaired, which an opinion does not say."""

    def __init__(self, llm: Asker) -> None:
        self._llm = llm
        self.repaired = False

    async def ask(
        self, *, role: str, prompt: Prompt, facts: Mapping[str, Any], reply: type[R], context: CallContext
    ) -> Answer[R] | Failure:
        """Return the reply to a brief, or why there is none."""
        answer = await self._llm.ask(role=role, prompt=prompt, facts=facts, reply=reply, context=context)
        self.repaired = isinstance(answer, Answer) and answer.repaired
        return answer


async def ask(cell: Cell, llm: Asker, log: EvaluationLog) -> Heard:
    """Return what comes of a cell; a failure is in it."""
    listening = _Listening(llm)
    outcome = await walled_async(cell.node, _hear(cell, listening))
    failed = isinstance(outcome, Failure)
    return Heard(
        case=cell.case,
        variant=cell.variant.name,
        repeat=cell.repeat,
        said=None if failed else outcome,
        failure=outcome.kind if failed else None,
        detail=outcome.detail if failed else None,
        repaired=listening.repaired,
        took=log.took(cell.span_id),
    )


def _hear(cell: Cell, llm: Asker) -> Awaitable[Said | Failure]:
    brief, role = cell.brief, cell.case.role
    if isinstance(brief, FundManagerBrief):
        return hear_fund_manager(llm, brief, cell)
    if isinstance(brief, DebateBrief):
        return hear_debater(llm, _turn(role), brief, cell)
    return hear_analyst(llm, _ANALYSTS[role], brief, cell)


def _tokens(status: int | None, prompt: int | None, completion: int | None) -> tuple[int | None, int | None]:
    """Return the tokens of an attempt; a provider counts none of an error, and charges nothing for it."""
    return (0, 0) if status is not None and status >= 400 else (prompt, completion)


def _turn(side: str) -> Turn:
    return Turn(side=Side(side), round=1)


def _sum(so_far: int | None, more: int | None) -> int | None:
    return None if so_far is None or more is None else so_far + more
