"""Stage 4, LLM calls: recorded attempts come in, and what they came to goes out again, byte for byte, with no request.

`RecordedModels` asks as a scan's `ModelRouter` does, through the same client, down to the transport. There the record
answers: bodies, errors, broken connections and time-outs, each attempt in its turn, and without a wait. What a record
cannot tell of its own calls (the deadline, the budget, an outage of the provider, a defect of ours) is served from how
the question ended. A request that the record does not have is a `MissError`.
"""

import json
from collections.abc import Mapping
from contextlib import AsyncExitStack
from contextvars import ContextVar
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx2
from pydantic import BaseModel

from mahler_agents.clock import Clock
from mahler_agents.llm.attempts import CallLimits
from mahler_agents.llm.client import Answer, ChatClient
from mahler_agents.llm.failures import DEADLINE_PASSED, RETRYABLE, Failure, FailureKind, failure
from mahler_agents.llm.models import Endpoint
from mahler_agents.llm.past import EndedError, RecordedQuestion
from mahler_agents.llm.prompts import Prompt
from mahler_agents.llm.provider import Provider
from mahler_agents.llm.replies import Fault
from mahler_agents.llm.transport import CallContext

R = TypeVar("R", bound=BaseModel)

_UNWAITING = CallLimits(
    max_in_flight=64, attempt_seconds=600.0, max_attempts=1_000_000, backoff_seconds=0.0, max_retry_after_seconds=0.0
)
"""The record says how often a question was asked, and nothing is waited for."""

_NOWHERE = "http://recorded.invalid/v1"


@dataclass(kw_only=True)
class _Asked:
    """A recorded question on its way once more."""

    question: RecordedQuestion
    number: int = 0
    """Of the attempt that is being made."""
    fault: Fault | None = None
    """Of the attempt that was made last."""

    def next(self) -> Fault | None:
        """Go on to the next attempt; return the fault with which the question ended instead, if it did."""
        self.number += 1
        if self.number <= self.question.last:
            return None
        ended, fault = self.question.failure, self.fault
        if ended is not None and (ended.of_circumstance or ended.kind is FailureKind.INTERNAL):
            if ended.detail.startswith(DEADLINE_PASSED):
                raise EndedError(ended.detail)
            return Fault(kind=ended.kind, detail=ended.detail, unsent=True)
        if fault is not None and fault.kind in RETRYABLE:
            return replace(fault, unsent=True)  # the original asked no more often
        why = f": {fault.detail}" if fault else ""
        times = f"it is asked {self.number} times, and the record has {self.question.last or 'no'} calls{why}"
        raise self.question.miss(times)


_asked: ContextVar[_Asked] = ContextVar("_asked")
"""The question that the running task is asking again."""


class RecordedModels:
    """Answers every role from the record; an async context manager that belongs to the event loop that entered it.

    `questions` are by span (`CANDIDATE.ROLE`). Nothing is logged: it is all on record.
    """

    def __init__(self, questions: Mapping[str, RecordedQuestion], *, clock: Clock) -> None:
        self._questions = questions
        self._clock = clock
        self._clients: dict[tuple[str, str], ChatClient] = {}
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Begin; what each role asks is opened when it first does."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close what was opened."""
        await self._stack.aclose()

    async def ask(
        self, *, role: str, prompt: Prompt, facts: Mapping[str, Any], reply: type[R], context: CallContext
    ) -> Answer[R] | Failure:
        """Return what the record makes of a brief; raises `MissError` if that was never asked."""
        question = self._questions[context.span_id]
        _asked.set(_Asked(question=question))
        client = await self._client(role, question)
        try:
            return await client.ask(role=role, prompt=prompt, facts=facts, reply=reply, context=context)
        except EndedError as ended:
            kind = question.failure.kind if question.failure is not None else FailureKind.INTERNAL
            failed = failure(role, kind, str(ended))
            return failed.model_copy(update={"brief_hash": context.brief_hash, "prompt_hash": prompt.content_hash})

    async def _client(self, role: str, question: RecordedQuestion) -> ChatClient:
        """Return the client that sends what the original's sent: of the same model, and embedded if that was."""
        first = next(iter(question.attempts.values()), None)
        key = (role, first.model if first else "")
        if key not in self._clients:
            slot = json.loads(first.request).get("id_slot") if first else None
            embedded = first is not None and '"cache_prompt"' in first.request
            endpoint = Endpoint(
                model=key[1],
                base_url=_NOWHERE,
                api_key="none",
                slots=({} if slot is None else {role: slot}) if embedded else None,
                transport=_RecordedTransport(),
            )
            client = ChatClient(endpoint, clock=self._clock, limits=_UNWAITING, provider=_RecordedProvider(_UNWAITING))
            self._clients[key] = await self._stack.enter_async_context(client)
        return self._clients[key]


class _RecordedProvider(Provider):
    """A provider of which the record says what became of each question."""

    def blocked(self, model: str, role: str) -> Fault | None:
        """Return how the question ended, if it was not asked once more."""
        del model, role
        return _asked.get().next()

    def admit(self, model: str, role: str) -> Fault | None:
        """Let through what `blocked` did."""
        del model, role
        return None

    def heard(self, model: str, role: str, fault: Fault | None) -> None:
        """Remember how an attempt ended."""
        del model, role
        _asked.get().fault = fault


class _RecordedTransport(httpx2.AsyncBaseTransport):
    """Sends nothing: the record answers."""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Return or raise what the attempt came to."""
        asked = _asked.get()
        return asked.question.serve(asked.number, request.content)
