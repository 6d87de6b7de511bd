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
from mahler_agents.errors import RecordError
from mahler_agents.llm.attempts import CallLimits
from mahler_agents.llm.client import Answer, ChatClient
from mahler_agents.llm.failures import DEADLINE_PASSED, RETRYABLE, Failure, FailureKind, failure
from mahler_agents.llm.models import Endpoint
from mahler_agents.llm.prompts import Prompt
from mahler_agents.llm.provider import Provider
from mahler_agents.llm.replies import Fault
from mahler_agents.llm.transport import CallContext, CallOutcome, Exchange, current_exchange

R = TypeVar("R", bound=BaseModel)

_UNWAITING = CallLimits(
    max_in_flight=64, attempt_seconds=600.0, max_attempts=1_000_000, backoff_seconds=0.0, max_retry_after_seconds=0.0
)
"""The record says how often a question was asked, and nothing is waited for."""

_NOWHERE = "http://recorded.invalid/v1"


class MissError(RecordError):
    """A request that the record does not have; the message says whose it is and what differs."""


class _EndedError(RecordError):
    """The question ended here, as the record says, whatever had been heard of it: by the deadline, or by a defect."""


@dataclass(frozen=True, kw_only=True)
class RecordedAttempt:
    """One HTTP attempt as the record holds it."""

    model: str
    """As asked for."""
    prompt_hash: str
    brief_hash: str | None
    request: str
    """The body."""
    outcome: CallOutcome | None
    """None: the process died before it ended."""
    http_status: int | None
    response: str | None
    error: str | None
    """Class and words of what broke the call."""


@dataclass(frozen=True, kw_only=True)
class RecordedQuestion:
    """What one role was asked about one candidate, and how that ended."""

    whose: str
    """The role and the candidate, as an error names them."""
    attempts: Mapping[int, RecordedAttempt]
    """By number from 1; one that timed out before its request left is not there."""
    failure: Failure | None
    """How it ended; None with an answer."""

    @property
    def last(self) -> int:
        """Number of the last attempt, 0 if there was none."""
        return max(self.attempts, default=0)


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
                raise _EndedError(ended.detail)
            return Fault(kind=ended.kind, detail=ended.detail, unsent=True)
        if fault is not None and fault.kind in RETRYABLE:
            return replace(fault, unsent=True)  # the original asked no more often
        why = f": {fault.detail}" if fault else ""
        raise self.miss(f"it is asked {self.number} times, and the record has {self.question.last or 'no'} calls{why}")

    def broken_by_a_defect(self, attempt: RecordedAttempt) -> bool:
        """Return whether it was no network that broke this attempt, but our own code of that day."""
        ended = self.question.failure
        return ended is not None and ended.kind is FailureKind.INTERNAL and attempt.error == ended.detail

    def miss(self, why: str) -> MissError:
        """Return the error of a request that the record does not have."""
        return MissError(f"{self.question.whose}: not in the record: {why}")


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
        except _EndedError as ended:
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
        exchange, asked = current_exchange.get(), _asked.get()
        attempt = asked.question.attempts.get(asked.number)
        if attempt is not None and (what := _difference(attempt, exchange, request.content)) is not None:
            raise asked.miss(what)
        if attempt is None or attempt.outcome == "cancelled":
            exchange.defect = TimeoutError("recorded")  # not the network's: our own patience ended
            raise exchange.defect
        if attempt.outcome is None:
            raise asked.miss(f"the process died in attempt {asked.number}, before it ended")
        if asked.broken_by_a_defect(attempt):
            raise _EndedError(attempt.error)
        if attempt.outcome == "broken" or attempt.http_status is None:
            raise _broken(attempt.error or "", asked)
        return httpx2.Response(
            attempt.http_status,
            headers={"content-type": "application/json"},
            content=(attempt.response or "").encode(),
        )


def _difference(attempt: RecordedAttempt, exchange: Exchange, content: bytes) -> str | None:
    """Return in what a request is not the recorded one, None if it is; how JSON is spelled is no difference."""
    sent = content.decode("utf-8", "replace")
    if sent == attempt.request:
        return None
    new, old = json.loads(sent), json.loads(attempt.request)
    if new == old:
        return None
    if exchange.prompt_hash != attempt.prompt_hash:
        return f"the prompt differs ({attempt.prompt_hash[:8]} then, {exchange.prompt_hash[:8]} now)"
    if exchange.context.brief_hash != attempt.brief_hash:
        return f"the brief differs ({(attempt.brief_hash or 'none')[:8]} then, {exchange.context.brief_hash[:8]} now)"
    fields = [name for name in {**old, **new} if new.get(name) != old.get(name)]
    named = ", ".join("the schema of the reply" if name == "response_format" else name for name in fields)
    return f"the request differs in {named}"


def _broken(error: str, asked: _Asked) -> httpx2.TransportError:
    """Return the error that broke a connection, with the cause whose words the failure quotes if it was the last."""
    name, _, words = error.partition(": ")
    kind = getattr(httpx2, name, None)
    broken = kind(words) if isinstance(kind, type) and issubclass(kind, httpx2.TransportError) else None
    broken = broken or httpx2.NetworkError(words)
    ended = asked.question.failure
    quoted = ended.detail if ended and ended.kind in RETRYABLE and asked.number == asked.question.last else error
    cause, _, said = quoted.partition(":")
    broken.__cause__ = type(cause, (Exception,), {})(said.strip())
    return broken
