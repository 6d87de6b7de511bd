"""Stage 4, LLM calls: a prompt and a brief's facts in, an `Answer` or a `Failure` out; never an exception of a model's.

The one place that asks, retries, repairs and reads; tenacity alone retries (`attempts.py`).
"""

import asyncio
import logging
import traceback
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from pydantic import BaseModel

from mahler_agents.clock import Clock
from mahler_agents.errors import ConfigError, MahlerError
from mahler_agents.llm.attempts import CallLimits, retrying
from mahler_agents.llm.budget import ScanBudget, Spending
from mahler_agents.llm.connection import Connection
from mahler_agents.llm.failures import DEADLINE_PASSED, Failure, FailureKind, failure
from mahler_agents.llm.models import Endpoint
from mahler_agents.llm.past import RecordedQuestion
from mahler_agents.llm.prices import Price
from mahler_agents.llm.prompts import Message, Prompt
from mahler_agents.llm.provider import Provider
from mahler_agents.llm.replies import Fault, read_reply
from mahler_agents.llm.transport import CallContext, CallLog, Exchange, NullCallLog

R = TypeVar("R", bound=BaseModel)
_LOG = logging.getLogger(__name__)

_REPAIRABLE = frozenset({FailureKind.NOT_JSON, FailureKind.SCHEMA_VIOLATION})
_LONGEST_SHOWN = 4_000
"""Characters of a wrong reply that its writer is shown again."""


@dataclass(frozen=True, kw_only=True)
class Answer(Generic[R]):
    """A valid reply and what it took."""

    reply: R
    model: str
    """The model that the provider says replied."""
    raw_text: str
    prompt_tokens: int | None
    """Of all attempts; None if the provider counts none."""
    completion_tokens: int | None
    attempts: int
    """HTTP requests made."""
    repaired: bool
    """Whether the model had to be shown its error."""


@dataclass(kw_only=True)
class _Question(Generic[R]):
    """One `ask` on its way, and the attempts that it has made."""

    role: str
    prompt: Prompt
    reply: type[R]
    context: CallContext
    past: RecordedQuestion | None
    patience: list[asyncio.Timeout] = field(default_factory=list[asyncio.Timeout])
    exchanges: list[Exchange] = field(default_factory=list[Exchange])


class ChatClient:
    """Asks one endpoint; an async context manager that belongs to the event loop that entered it.

    `deadline` is the instant, in the loop's time, after which no call goes on; `seed` is that of the retries' jitter.
    Clients of one scan share its `spending`, and those of one provider share that; `price` is the model's, if known.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        clock: Clock,
        log: CallLog | None = None,
        limits: CallLimits | None = None,
        deadline: float | None = None,
        seed: int = 0,
        provider: Provider | None = None,
        spending: Spending | None = None,
        price: Price | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.limits = limits or limits_of(endpoint)
        self._deadline = deadline
        self._connection = Connection(
            endpoint,
            clock=clock,
            log=log or NullCallLog(),
            limits=self.limits,
            provider=provider or Provider(self.limits),
            spending=spending or Spending(ScanBudget()),
            price=price,
        )
        self._retrying = retrying(self.limits, seed=seed, deadline=lambda: self._deadline)

    async def __aenter__(self) -> Self:
        """Open the connection."""
        await self._connection.__aenter__()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the connection."""
        await self._connection.__aexit__(exc_type, exc, traceback)

    def set_deadline(self, deadline: float | None) -> None:
        """Set the instant, in the loop's time, after which no call goes on; None is no deadline."""
        self._deadline = deadline

    async def ask(
        self,
        *,
        role: str,
        prompt: Prompt,
        facts: Mapping[str, Any],
        reply: type[R],
        context: CallContext,
        past: RecordedQuestion | None = None,
    ) -> Answer[R] | Failure:
        """Return the model's reply to a brief, or why there is none; attempts of `past` are not made again.

        Raises nothing that a model, a network or a provider can cause: only cancellation and errors of the record.
        """
        self._connection.check_open()
        try:
            messages = prompt.messages(facts)
        except ConfigError as error:
            result = Fault(kind=FailureKind.BAD_PROMPT, detail=str(error))
        else:
            question = _Question(role=role, prompt=prompt, reply=reply, context=context, past=past)
            result = await self._in_time(question, messages)
        if isinstance(result, Answer):
            return result
        failed = failure(role, result.kind, result.detail, raw_reply=result.raw_reply)
        return failed.model_copy(update={"brief_hash": context.brief_hash, "prompt_hash": prompt.content_hash})

    async def _in_time(self, question: _Question[R], messages: list[Message]) -> Answer[R] | Fault:
        late = Fault(kind=FailureKind.TIMEOUT, detail=DEADLINE_PASSED)
        if self._deadline is not None and self._deadline <= asyncio.get_running_loop().time():
            return late
        try:
            async with asyncio.timeout_at(self._deadline) as patience:
                question.patience.append(patience)
                return await self._converse(question, messages)
        except TimeoutError:
            waited = question.exchanges and not question.exchanges[-1].sent
            return replace(late, detail=f"{late.detail} while this one waited for its turn") if waited else late
        except MahlerError:
            raise
        except Exception as error:  # noqa: BLE001 - the layer's one edge: a defect of ours must not stop a trade
            where = self._connection.redacted(traceback.format_exc())  # it may quote what a provider repeated
            _LOG.error("a defect in the LLM layer, asking %s\n%s", question.role, where)
            words = " ".join(f"{type(error).__name__}: {error}".split())
            return Fault(kind=FailureKind.INTERNAL, detail=self._connection.redacted(words))

    async def _converse(self, question: _Question[R], messages: list[Message]) -> Answer[R] | Fault:
        """Ask, and if the reply is not of the form, show the model its reply and the error, once."""
        first = await self._ask_and_retry(question, messages)
        if not isinstance(first, Fault):
            return self._answer(question, first, repaired=False)
        if first.kind not in _REPAIRABLE:
            return first
        second = await self._ask_and_retry(question, [*messages, *_repair(first)])
        if not isinstance(second, Fault):
            return self._answer(question, second, repaired=True)
        raw = first.raw_reply if second.raw_reply is None else second.raw_reply
        return Fault(kind=second.kind, detail=second.detail, raw_reply=raw)

    async def _ask_and_retry(self, question: _Question[R], messages: list[Message]) -> R | Fault:
        # A copy, since tenacity keeps the state of a call in the object.
        return await self._retrying.copy()(self._attempt, question, messages)

    async def _attempt(self, question: _Question[R], messages: list[Message]) -> R | Fault:
        tried, past = len(question.exchanges) + 1, question.past
        exchange = Exchange(
            context=question.context,
            role=question.role,
            attempt=past.number_of(tried) if past else tried,
            model=self.endpoint.model,
            prompt_hash=question.prompt.content_hash,
            patience=[*question.patience],
            served=past.answer_to(tried) if past else None,
        )
        question.exchanges.append(exchange)
        request = self._connection.request(question.role, question.prompt, question.reply)
        envelope = await self._connection.send(request, messages, exchange)
        return envelope if isinstance(envelope, Fault) else read_reply(envelope.content or "", question.reply)

    def _answer(self, question: _Question[R], reply: R, *, repaired: bool) -> Answer[R]:
        envelopes = [one.envelope for one in question.exchanges if one.envelope is not None]
        return Answer(
            reply=reply,
            model=envelopes[-1].model or self.endpoint.model,
            raw_text=envelopes[-1].content or "",
            prompt_tokens=_total(one.prompt_tokens for one in envelopes),
            completion_tokens=_total(one.completion_tokens for one in envelopes),
            attempts=sum(one.sent for one in question.exchanges),
            repaired=repaired,
        )


def limits_of(endpoint: Endpoint) -> CallLimits:
    """Return the limits of an endpoint for which none were chosen."""
    return CallLimits() if endpoint.slots is None else CallLimits.embedded()


def _repair(fault: Fault) -> list[Message]:
    ask = (
        f"That reply was not accepted: {fault.detail}. "
        "Write it again: one JSON object of the form asked for, and nothing before or after it."
    )
    wrong = (fault.raw_reply or "")[:_LONGEST_SHOWN]
    return [{"role": "assistant", "content": wrong}, {"role": "user", "content": ask}]


def _total(counts: Iterable[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None
