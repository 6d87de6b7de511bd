"""Stage 4, LLM calls: every HTTP attempt passes here and is written down, before it is sent and after it is read.

The record is made at the transport, below LangChain and the SDK, so that it holds what the wire said, errors included,
and so that a crash in the middle of a call leaves the request behind. No header is recorded: one of them is the key.
"""

import asyncio
import ipaddress
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Literal, Protocol
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx2

from mahler_agents.clock import Clock, utc_text
from mahler_agents.llm.prices import FREE, Price
from mahler_agents.llm.wire import Envelope, open_envelope, retry_after_seconds

CallOutcome = Literal["replied", "http_error", "broken", "cancelled"]
"""`broken`: the connection failed before the body was read; `cancelled`: we gave up waiting."""


@dataclass(frozen=True, kw_only=True)
class CallContext:
    """Where in a run a call belongs."""

    run_id: str
    candidate_id: str
    span_id: str
    """The role's step in this review; the calls of its attempts are `SPAN.1`, `SPAN.2`, ..."""
    brief_hash: str


@dataclass(frozen=True, kw_only=True)
class CallStarted:
    """What is known before a request is sent."""

    call_id: str
    """`SPAN.ATTEMPT`."""
    span_id: str
    run_id: str
    candidate_id: str | None
    """None if the question is about a stored case, and not about a candidate of the run."""
    role: str
    attempt: int
    """Counts from 1 over retries and the repair."""
    model: str
    """As asked for."""
    prompt_hash: str
    brief_hash: str
    request_json: str
    """The body, to the letter."""
    started_at: str
    """UTC, ISO 8601 with milliseconds."""


@dataclass(frozen=True, kw_only=True)
class CallFinished:
    """What is known once the body has been read, or cannot be."""

    call_id: str
    ended_at: str
    """UTC, ISO 8601 with milliseconds."""
    outcome: CallOutcome
    http_status: int | None
    response_text: str | None
    """The body, errors included, without our key should the provider repeat it; of a broken one, what came."""
    finish_reason: str | None
    prompt_tokens: int | None
    completion_tokens: int | None
    resolved_model: str | None
    """The model that the provider says replied."""
    system_fingerprint: str | None
    error: str | None
    """Class and words of what broke the call."""
    cost_dollars: float | None
    """At list price; None if the price or the count of tokens is unknown."""


class CallLog(Protocol):
    """Where attempts are written down; called on the event loop, so it must return at once."""

    def call_started(self, call: CallStarted) -> None:
        """Write down a request that is about to be sent."""
        ...

    def call_finished(self, call: CallFinished) -> None:
        """Write down how it ended."""
        ...


class NullCallLog:
    """Writes nothing down."""

    def call_started(self, call: CallStarted) -> None:
        """Forget the request."""

    def call_finished(self, call: CallFinished) -> None:
        """Forget how it ended."""


@dataclass(kw_only=True)
class Exchange:
    """One attempt on its way through the layers: the client fills in who asks, the transport what came back."""

    context: CallContext
    role: str
    attempt: int
    model: str
    prompt_hash: str
    price: Price | None = None
    patience: list[asyncio.Timeout] = field(default_factory=list[asyncio.Timeout])
    """The limits of time that the attempt is within."""
    served: httpx2.AsyncBaseTransport | None = None
    """What answers in the network's place, from a record that holds this attempt; None if it is really sent."""
    sent: bool = False
    """Whether the request has been written down and is on its way, or has been."""
    envelope: Envelope | None = None
    """What the provider sent; None if no whole response arrived."""
    received: bytes = b""
    """The body as far as it came."""
    unreached: bool = False
    """Whether there was no connection over which to send it."""
    retry_after: float | None = None
    """Seconds that the provider asked to wait."""
    defect: Exception | None = None
    """An exception that is not the network's, which the SDK would pass off as a connection error."""

    @property
    def call_id(self) -> str:
        """The attempt's id in the record."""
        return f"{self.context.span_id}.{self.attempt}"

    @property
    def tokens(self) -> tuple[int, int] | None:
        """Prompt and completion tokens that the provider charges, None if unknown: it charges nothing for an error."""
        if self.unreached or (self.envelope is not None and self.envelope.status >= 400):
            return 0, 0
        if self.envelope is None or self.envelope.prompt_tokens is None or self.envelope.completion_tokens is None:
            return None
        return self.envelope.prompt_tokens, self.envelope.completion_tokens

    @property
    def cost_dollars(self) -> float | None:
        """What the attempt cost at list price, None if unknown."""
        if self.price == FREE:  # whatever it took
            return 0.0
        return None if self.price is None or self.tokens is None else self.price.cost(*self.tokens)


current_exchange: ContextVar[Exchange] = ContextVar("current_exchange")
"""The attempt that the running task is making."""


def network_transport(base_url: str) -> httpx2.AsyncBaseTransport:
    """Return the transport that really sends, through the proxy of the environment if it names one for this host."""
    url = urlsplit(base_url)
    direct = is_loopback(base_url) or proxy_bypass(url.hostname or "")
    return httpx2.AsyncHTTPTransport(proxy=None if direct else getproxies().get(url.scheme))


def is_loopback(url: str) -> bool:
    """Return whether a URL's host is this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class RecordingTransport(httpx2.AsyncBaseTransport):
    """Wraps the transport that really sends, or a scripted one, and writes each attempt to a `CallLog`."""

    def __init__(
        self, inner: httpx2.AsyncBaseTransport, *, log: CallLog, clock: Clock, redact: Callable[[str], str]
    ) -> None:
        self._inner = inner
        self._log = log
        self._clock = clock
        self._redact = redact

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send the request, read the whole body, write both down; the response returned holds the body."""
        exchange = current_exchange.get()
        try:
            log = self._log_of(exchange)
            log.call_started(self._started(exchange, request))
            exchange.sent = True
            response = await self._send(exchange, request)
            text = self._text(exchange)
            exchange.envelope = open_envelope(response.status_code, text)
            waiting, sent_at = response.headers.get("retry-after"), response.headers.get("date")
            exchange.retry_after = retry_after_seconds(waiting, sent_at=sent_at)
            log.call_finished(self._finished(exchange, error=None))
        except Exception as error:
            if not isinstance(error, httpx2.HTTPError | OSError):
                exchange.defect = error
            raise
        # The body is decoded by now, so the headers that tell how it was encoded would mislead.
        headers = {name: response.headers[name] for name in ("content-type",) if name in response.headers}
        return httpx2.Response(response.status_code, headers=headers, content=text.encode(), request=request)

    async def aclose(self) -> None:
        """Close the wrapped transport."""
        await self._inner.aclose()

    async def _send(self, exchange: Exchange, request: httpx2.Request) -> httpx2.Response:
        body = bytearray()
        try:
            response = await (exchange.served or self._inner).handle_async_request(request)
            try:
                async for part in response.aiter_bytes():
                    body += part
            finally:
                exchange.received = bytes(body)
                await response.aclose()
        except BaseException as error:
            if isinstance(error, asyncio.CancelledError) and not any(one.expired() for one in exchange.patience):
                raise  # the whole scan was interrupted: the call stays without an end, and is asked again when resumed
            exchange.unreached = isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout)
            self._log_of(exchange).call_finished(self._finished(exchange, error=error))
            raise
        return response

    def _log_of(self, exchange: Exchange) -> CallLog:
        return self._log if exchange.served is None else NullCallLog()  # that one is on record

    def _started(self, exchange: Exchange, request: httpx2.Request) -> CallStarted:
        return CallStarted(
            call_id=exchange.call_id,
            span_id=exchange.context.span_id,
            run_id=exchange.context.run_id,
            candidate_id=exchange.context.candidate_id,
            role=exchange.role,
            attempt=exchange.attempt,
            model=exchange.model,
            prompt_hash=exchange.prompt_hash,
            brief_hash=exchange.context.brief_hash,
            request_json=self._redact(request.content.decode("utf-8", "replace")),
            started_at=utc_text(self._clock.now()),
        )

    def _text(self, exchange: Exchange) -> str:
        return self._redact(exchange.received.decode("utf-8", "replace"))

    def _finished(self, exchange: Exchange, *, error: BaseException | None) -> CallFinished:
        envelope = exchange.envelope
        return CallFinished(
            call_id=exchange.call_id,
            ended_at=utc_text(self._clock.now()),
            outcome=_outcome(envelope, error),
            http_status=envelope.status if envelope else None,
            response_text=envelope.text if envelope else self._text(exchange) or None,
            finish_reason=envelope.finish_reason if envelope else None,
            prompt_tokens=envelope.prompt_tokens if envelope else None,
            completion_tokens=envelope.completion_tokens if envelope else None,
            resolved_model=envelope.model if envelope else None,
            system_fingerprint=envelope.system_fingerprint if envelope else None,
            error=self._redact(f"{type(error).__name__}: {error}".rstrip(": ")) if error is not None else None,
            cost_dollars=exchange.cost_dollars,
        )


def _outcome(envelope: Envelope | None, error: BaseException | None) -> CallOutcome:
    if envelope is not None:
        return "replied" if envelope.status < 400 else "http_error"
    return "broken" if isinstance(error, Exception) else "cancelled"
