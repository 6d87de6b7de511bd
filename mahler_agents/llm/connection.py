"""Stage 4, LLM calls: one endpoint; a request goes out, the envelope or the fault of one attempt comes back.

LangChain's ChatOpenAI (`chat.py`) builds and sends the request, as in production anywhere. What comes back is read from
the wire (`wire.py`): the SDK and LangChain raise a dozen types on a malformed body, and with most the reply is lost.
"""

import asyncio
import json
from dataclasses import dataclass, replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeAlias

import httpx2
from pydantic import BaseModel

from mahler_agents.clock import Clock
from mahler_agents.llm.attempts import CallLimits
from mahler_agents.llm.budget import Bound, Spending
from mahler_agents.llm.failures import NO_WHOLE_REPLY, FailureKind
from mahler_agents.llm.models import Endpoint
from mahler_agents.llm.prices import Price
from mahler_agents.llm.prompts import Message, Prompt
from mahler_agents.llm.provider import Provider
from mahler_agents.llm.replies import Fault
from mahler_agents.llm.schema import constrained_schema, response_format, strict_schema
from mahler_agents.llm.transport import CallLog, Exchange, RecordingTransport, current_exchange, network_transport
from mahler_agents.llm.wire import Envelope, fault_of
from mahler_agents.redaction import Redactor, learn

if TYPE_CHECKING:
    from langchain_core.messages import AIMessage
    from langchain_core.runnables import Runnable

    Sendable: TypeAlias = Runnable[Any, AIMessage]

_UNREADABLE = (ValueError, LookupError, TypeError, AttributeError, RecursionError)
"""What the SDK and LangChain raise, besides their own errors, on a body that is no chat completion."""


_BYTES_PER_MESSAGE = 32
"""What a provider's own marks around a message take, at most, beside its text."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What all requests of a role have in common: model, parameters and the schema of the reply."""

    sendable: "Sendable"
    form_bytes: int
    max_tokens: int

    def bound(self, messages: list[Message], price: Price | None) -> Bound:
        """Return the most that a request with these messages can take."""
        texts = sum(_BYTES_PER_MESSAGE + len(message["content"].encode()) for message in messages)
        return Bound.of(prompt_bytes=texts + self.form_bytes, max_tokens=self.max_tokens, price=price)


class Connection:
    """An async context manager around one HTTP client and one ChatOpenAI; it belongs to the loop that entered it."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        clock: Clock,
        log: CallLog,
        limits: CallLimits,
        provider: Provider,
        spending: Spending,
        price: Price | None,
    ) -> None:
        self.endpoint = endpoint
        self._clock = clock
        self._log = log
        self._limits = limits
        self._provider = provider
        self._spending = spending
        self._price = price
        learn([endpoint.api_key])  # the log, where libraries speak, must know it as well
        self._redact = Redactor.of()
        self._requests: dict[tuple[str, str, type[BaseModel]], Request] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    async def __aenter__(self) -> Self:
        """Open the HTTP client."""
        from mahler_agents.llm.chat import PlainChat  # 1.5 s: only for those who ask a model

        inner = self.endpoint.transport or network_transport(self.endpoint.base_url)
        self._http = httpx2.AsyncClient(
            transport=RecordingTransport(inner, log=self._log, clock=self._clock, redact=self.redacted)
        )

        async def api_key() -> str:  # a coroutine, so that no synchronous twin of the client is built, TLS and all
            return self.endpoint.api_key

        self._chat = PlainChat(
            model=self.endpoint.model,
            use_responses_api=False,  # whatever the model is called
            base_url=self.endpoint.base_url,
            api_key=api_key,
            max_retries=0,
            timeout=self._limits.attempt_seconds,
            http_async_client=self._http,
            # The transport is ours, so neither a proxy nor socket options of the environment are for LangChain to set.
            openai_proxy=None,
            http_socket_options=(),
        )
        self._loop = asyncio.get_running_loop()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the HTTP client and its connections."""
        self._loop = None
        self._requests.clear()
        await self._http.aclose()

    def check_open(self) -> None:
        """Raise RuntimeError outside the context, or on another event loop: sent from there, a request is lost."""
        if self._loop is not asyncio.get_running_loop():
            raise RuntimeError("use a ChatClient inside its context, on the event loop that entered it")

    def redacted(self, text: str) -> str:
        """Return `text` without the API key, which some providers repeat in their errors, or any other."""
        return self._redact(text)

    def request(self, role: str, prompt: Prompt, reply: type[BaseModel]) -> Request:
        """Return the request of a role, all but its messages: model, parameters and the schema of the reply."""
        key = (role, prompt.content_hash, reply)
        if key not in self._requests:
            form, max_tokens = form_of(self.endpoint, role, prompt, reply), prompt.front.max_tokens
            self._requests[key] = Request(
                sendable=self._chat.bind(temperature=prompt.front.temperature, max_tokens=max_tokens, **form),
                form_bytes=len(json.dumps(form).encode()),
                max_tokens=max_tokens,
            )
        return self._requests[key]

    async def send(self, request: Request, messages: list[Message], exchange: Exchange) -> Envelope | Fault:
        """Make one attempt when its turn comes, unless the provider is out or the budget spent.

        Return the whole reply or why there is none. Raises what is neither the model's nor the network's doing, such as
        an error of the call log.
        """
        if exchange.served is not None:  # it costs nothing again, and says nothing of how the provider is now
            return await self._attempt(request, messages, exchange)
        provider, whose = self._provider, (self.endpoint.model, exchange.role)
        if (blocked := provider.blocked(*whose)) is not None:
            return blocked
        bound = request.bound(messages, self._price)
        if (refused := await self._spending.reserve(bound)) is not None:
            return refused
        exchange.price = self._price
        try:
            async with provider.gate:
                if (blocked := provider.admit(*whose)) is not None:  # it went out while this call waited
                    return blocked
                heard = await self._attempt(request, messages, exchange)
                provider.heard(*whose, heard if isinstance(heard, Fault) else None)
                return heard
        finally:
            self._spending.settle(bound, exchange)

    async def _attempt(self, request: Request, messages: list[Message], exchange: Exchange) -> Envelope | Fault:
        """Make one attempt, within its time."""
        token = current_exchange.set(exchange)
        try:
            async with asyncio.timeout(self._limits.attempt_seconds) as patience:
                exchange.patience.append(patience)
                fault = await self._invoke(request, messages, exchange)
        except TimeoutError:
            fault = Fault(kind=FailureKind.TIMEOUT, detail=f"{NO_WHOLE_REPLY} {self._limits.attempt_seconds:g} s")
        finally:
            current_exchange.reset(token)
        if fault is not None:
            return fault
        assert exchange.envelope is not None  # noqa: S101 - without one, _invoke returned a fault
        fault = fault_of(exchange.envelope)
        return exchange.envelope if fault is None else replace(fault, retry_after=exchange.retry_after)

    async def _invoke(self, request: Request, messages: list[Message], exchange: Exchange) -> Fault | None:
        import openai

        try:
            await request.sendable.ainvoke(messages)
        except (openai.OpenAIError, *_UNREADABLE) as error:
            if exchange.defect is not None:
                raise exchange.defect from error
            if exchange.envelope is not None:
                return None  # something came back; what it is, the envelope says
            if isinstance(error, openai.APITimeoutError):
                return Fault(kind=FailureKind.TIMEOUT, detail=self._words(error))
            if isinstance(error, openai.APIConnectionError):
                return Fault(kind=FailureKind.CONNECTION, detail=self._words(error))
            raise
        return None

    def _words(self, error: Exception) -> str:
        cause = error.__cause__ or error  # the SDK says "Connection error." of every one
        while cause.__cause__ is not None:
            cause = cause.__cause__
        return self.redacted(" ".join(f"{type(cause).__name__}: {cause}".split()))


def form_of(endpoint: Endpoint, role: str, prompt: Prompt, reply: type[BaseModel]) -> dict[str, Any]:
    """Return what a request asks of the reply's form, as `ChatOpenAI` takes it."""
    slots = endpoint.slots
    if slots is None:
        return {"response_format": response_format(role, strict_schema(reply))}
    schema = constrained_schema(reply, max_tokens=prompt.front.max_tokens)
    extra: dict[str, Any] = {"cache_prompt": True, "id_slot": slots[role]} if role in slots else {}
    return {"response_format": response_format(role, schema), "seed": 1, "extra_body": extra}


def body_of(endpoint: Endpoint, role: str, prompt: Prompt, reply: type[BaseModel]) -> dict[str, Any]:
    """Return the body of a role's requests, all but the messages, as it goes over the wire."""
    form = form_of(endpoint, role, prompt, reply)
    return {
        "model": endpoint.model,
        "stream": False,
        "max_completion_tokens": prompt.front.max_tokens,
        "temperature": prompt.front.temperature,
        **form.pop("extra_body", {}),
        **form,
    }
