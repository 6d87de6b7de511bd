"""For tests: a model whose replies, delays and failures are chosen, as an HTTP transport beneath the real client.

It speaks the chat-completions protocol and is as strict as the real endpoint, so that rendering, sending, parsing and
retrying run for real. The role of a request is the name of the JSON schema that it sends.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

import httpx2

from mahler_agents.llm.models import Endpoint
from mahler_agents.llm.transport import CallFinished, CallStarted
from mahler_agents.testing.protocol import MalformedRequestError, checked_body, example_of

MODEL = "scripted"


@dataclass(frozen=True, kw_only=True)
class ScriptedRequest:
    """A request as the script sees it."""

    role: str
    messages: tuple[Mapping[str, str], ...]
    attempt: int
    """1 for a new question; one more for each request that repeats or continues it."""
    schema: Mapping[str, Any]
    """JSON schema of the reply asked for."""
    body: Mapping[str, Any]
    """The whole request."""
    headers: Mapping[str, str]
    """Names in lower case; one of them carries the API key."""


@dataclass(frozen=True, kw_only=True)
class ScriptedReply:
    """What the model does: an HTTP response after `delay` seconds, whole or not."""

    status: int = 200
    body: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    delay: float | None = 0.0
    """None is for ever."""
    pace: float = 0.0
    """Seconds from one character of the body to the next: a body that drips."""
    reset_after: int | None = None
    """Characters of the body after which the connection is reset."""


Script = Callable[[ScriptedRequest], ScriptedReply | Exception]
"""Says how the model behaves to a request; an exception is raised as the network's own."""


def reply(
    content: object,
    *,
    delay: float = 0.0,
    finish_reason: str = "stop",
    refusal: str | None = None,
    completion_tokens: int = 40,
) -> ScriptedReply:
    """Return a chat completion; `content` is sent as it is if it is a str or None, else as JSON."""
    text = content if content is None or isinstance(content, str) else json.dumps(content)
    message = {"role": "assistant", "content": text, "refusal": refusal}
    completion: dict[str, Any] = {
        "id": "chatcmpl-scripted",
        "object": "chat.completion",
        "created": 0,
        "model": f"{MODEL}-1",
        "system_fingerprint": "fp_scripted",
        "choices": [{"index": 0, "message": message, "finish_reason": finish_reason, "logprobs": None}],
        "usage": {
            "prompt_tokens": 100,
            "completion_tokens": completion_tokens,
            "total_tokens": 100 + completion_tokens,
        },
    }
    return ScriptedReply(body=json.dumps(completion), delay=delay)


def http_body(body: str, *, status: int = 200, delay: float = 0.0) -> ScriptedReply:
    """Return a response with exactly this body, whatever it is."""
    return ScriptedReply(status=status, body=body, delay=delay)


def http_error(
    status: int,
    message: str = "scripted error",
    *,
    code: str | None = None,
    error_type: str = "scripted",
    headers: Mapping[str, str] | None = None,
    delay: float = 0.0,
) -> ScriptedReply:
    """Return an error response in the provider's form."""
    body = json.dumps({"error": {"message": message, "type": error_type, "param": None, "code": code}})
    return ScriptedReply(status=status, body=body, headers=headers or {}, delay=delay)


def connection_error(words: str = "scripted: connection refused") -> httpx2.ConnectError:
    """Return the error of a provider that cannot be reached."""
    return httpx2.ConnectError(words)


def never() -> ScriptedReply:
    """Return the behaviour of a model that accepts a request and never replies."""
    return ScriptedReply(body="", delay=None)


def dripping(whole: ScriptedReply, *, pace: float) -> ScriptedReply:
    """Return a response whose characters come `pace` seconds apart."""
    return replace(whole, pace=pace)


def reset(whole: ScriptedReply, *, after: int) -> ScriptedReply:
    """Return a response whose connection is reset after so many characters of its body."""
    return replace(whole, reset_after=after)


def favourable(request: ScriptedRequest, **fields: object) -> ScriptedReply:
    """Return a valid, favourable reply for any role: the request's own schema is filled in, then `fields`."""
    return reply({**example_of(request.schema), **fields})


class CallList:
    """A call log that keeps every attempt in memory."""

    def __init__(self) -> None:
        self.started: list[CallStarted] = []
        self.finished: list[CallFinished] = []

    def call_started(self, call: CallStarted) -> None:
        """Keep a request that is about to be sent."""
        self.started.append(call)

    def call_finished(self, call: CallFinished) -> None:
        """Keep how it ended."""
        self.finished.append(call)


class RequestBook:
    """Reads requests as strictly as the real endpoint, and keeps the well-formed ones in order."""

    def __init__(self) -> None:
        self.requests: list[ScriptedRequest] = []
        self._asked: Counter[str] = Counter()

    def read(
        self, method: str, path: str, headers: Mapping[str, str], content: bytes
    ) -> ScriptedRequest | ScriptedReply:
        """Return the request, or for a malformed one the error that the real endpoint would send."""
        try:
            body = checked_body(method, path, headers, content)
        except MalformedRequestError as error:
            return http_error(error.status, str(error), error_type="invalid_request_error")
        wanted = body["response_format"]["json_schema"]
        messages = tuple(body["messages"])
        # A retry repeats a question's messages and a repair continues them, so earlier prefixes count.
        prefixes = [json.dumps([wanted["name"], *messages[:length]]) for length in range(1, len(messages) + 1)]
        attempt = 1 + sum(self._asked[prefix] for prefix in prefixes)
        self._asked[prefixes[-1]] += 1
        request = ScriptedRequest(
            role=wanted["name"],
            messages=messages,
            attempt=attempt,
            schema=wanted["schema"],
            body=body,
            headers=headers,
        )
        self.requests.append(request)
        return request


class ScriptedModel(httpx2.AsyncBaseTransport):
    """A transport that asks a script what to reply."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._book = RequestBook()

    @property
    def requests(self) -> list[ScriptedRequest]:
        """What was asked, in order."""
        return self._book.requests

    @classmethod
    def always(cls, **fields: object) -> Self:
        """Return a model that replies favourably to every role, with these fields where a role's reply has them."""

        def script(request: ScriptedRequest) -> ScriptedReply:
            known = request.schema["properties"]
            return favourable(request, **{name: value for name, value in fields.items() if name in known})

        return cls(script)

    @property
    def endpoint(self) -> Endpoint:
        """The endpoint through which a `ChatClient` asks this model."""
        return Endpoint(model=MODEL, base_url="http://scripted.invalid/v1", api_key="scripted-key", transport=self)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Reply as the script says; a malformed request gets the error that the real endpoint would send."""
        headers = dict(request.headers)
        read = self._book.read(request.method, request.url.path, headers, await request.aread())
        if isinstance(read, ScriptedReply):
            return _response(read)
        behaviour = self._script(read)
        if isinstance(behaviour, Exception):
            raise behaviour
        if behaviour.delay is None:
            await asyncio.Event().wait()
        sent = behaviour.body if behaviour.reset_after is None else behaviour.body[: behaviour.reset_after]
        await asyncio.sleep((behaviour.delay or 0.0) + behaviour.pace * len(sent))
        if behaviour.reset_after is not None:
            raise httpx2.ReadError("scripted: connection reset")
        return _response(behaviour)


def _response(scripted: ScriptedReply) -> httpx2.Response:
    headers = {"content-type": "application/json", **scripted.headers}
    return httpx2.Response(scripted.status, headers=headers, content=scripted.body.encode("utf-8", "replace"))
