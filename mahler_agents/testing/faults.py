"""For tests: the ways in which models and providers fail, by name; scripts of them, for a model or a fault server."""

import html
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mahler_agents.errors import InputError
from mahler_agents.testing.protocol import example_of
from mahler_agents.testing.scripted import (
    Script,
    ScriptedReply,
    ScriptedRequest,
    connection_error,
    dripping,
    favourable,
    http_body,
    http_error,
    never,
    reply,
    reset,
)

EVERY_ROLE = "*"
_SENT_AT = "Mon, 16 Mar 2026 14:00:00 GMT"
_TWO_SECONDS_LATER = "Mon, 16 Mar 2026 14:00:02 GMT"
_BIG = 2_000_000


def _text(request: ScriptedRequest) -> str:
    return json.dumps(example_of(request.schema))


def _with_confidence(literal: str) -> Script:
    """Return a script of valid replies but for the confidence, which is written as `literal`."""

    def script(request: ScriptedRequest) -> ScriptedReply:
        fields: Mapping[str, Any] = {**example_of(request.schema), "confidence": "?"}
        return reply(json.dumps(fields).replace('"?"', literal))

    return script


def _writes(change: Callable[[str], str], **how: Any) -> Script:
    """Return a script of replies that are a valid one's text, changed."""
    return lambda request: reply(change(_text(request)), **how)


def _always(behaviour: ScriptedReply | Exception) -> Script:
    return lambda _: behaviour


def _echo(request: ScriptedRequest) -> ScriptedReply:
    """Fail with a page that repeats every header, the API key among them, as careless proxies do."""
    lines = "".join(f"<li>{html.escape(name)}: {html.escape(value)}</li>" for name, value in request.headers.items())
    return http_body(f"<html><h1>502 Bad Gateway</h1><ul>{lines}</ul></html>", status=502)


FAULTS: Mapping[str, Script] = {
    "ok": favourable,
    # of the provider
    "timeout": _always(never()),
    "rate_limited": _always(http_error(429, "Rate limit reached", code="rate_limit_exceeded")),
    "retry_after_seconds": _always(http_error(429, "Rate limit reached", headers={"retry-after": "2"})),
    "retry_after_date": _always(
        http_error(429, "Rate limit reached", headers={"date": _SENT_AT, "retry-after": _TWO_SECONDS_LATER})
    ),
    "quota": _always(http_error(429, "You exceeded your current quota", code="insufficient_quota")),
    "auth": _always(http_error(401, "Incorrect API key provided", code="invalid_api_key")),
    "model_not_found": _always(http_error(404, "The model does not exist", code="model_not_found")),
    "server_error": _always(http_error(500, "The server had an error")),
    "overloaded": _always(http_error(503, "The engine is overloaded")),
    "html_page": _always(http_body("<html><h1>504 Gateway Time-out</h1></html>", status=504)),
    "echoing_page": _echo,
    "context_overflow": _always(http_error(400, "maximum context length", code="context_length_exceeded")),
    # of the connection
    "connection": _always(connection_error()),
    "reset_mid_body": lambda request: reset(favourable(request), after=60),
    "drip": lambda request: dripping(favourable(request), pace=0.02),
    # of the completion
    "refused": _always(reply(None, refusal="I can't help with that.")),
    "truncated": _writes(lambda text: text[:20], finish_reason="length"),
    "length_that_parses": _writes(str, finish_reason="length"),
    "content_filtered": _writes(lambda text: text[:6], finish_reason="content_filter"),
    "empty": _always(reply("")),
    "no_choices": _always(http_body('{"choices": []}')),
    # of the text
    "prose": _always(reply("I would take this trade.")),
    "fenced": _writes(lambda text: f"```json\n{text}\n```"),
    "around": _writes(lambda text: f"Here is my opinion: {text} I hope this helps."),
    "twice": _writes(lambda text: text + text),
    "cut_json": _writes(lambda text: text[:-9]),
    "extra_field": _writes(lambda text: text[:-1] + ', "contracts": 100}'),
    "missing_field": _always(reply({"summary": "Calm."})),
    "percent": _with_confidence('"85%"'),
    "85": _with_confidence("85"),
    "1.7": _with_confidence("1.7"),
    "true": _with_confidence("true"),
    "nan": _with_confidence("NaN"),
    "huge": _writes(lambda text: json.dumps({**json.loads(text), "summary": "calm " * (_BIG // 5)})),
}
"""Name to behaviour; each is the same to every request, and valid for every role but for its fault."""


def in_turn(*names: str) -> Script:
    """Return a script that meets a question's first attempt with the first fault, and so on; the last one stays.

    It counts the attempts of each question by itself, so that it does not depend on which question comes first.
    Raises InputError for an unknown name.
    """
    behaviours = [_named(name) for name in names]
    return lambda request: behaviours[min(request.attempt, len(behaviours)) - 1](request)


def parse_script(parts: Sequence[str]) -> Script:
    """Return the script that `ROLE=FAULT,FAULT,...` spells, for each role that it names; without ROLE= for the others.

    A role that nothing is said of is met with valid replies. Raises InputError for an unknown fault.
    """
    by_role = {EVERY_ROLE: in_turn("ok")}
    for part in parts:
        role, equals, names = part.rpartition("=")
        by_role[role if equals else EVERY_ROLE] = in_turn(*names.split(","))
    return lambda request: by_role.get(request.role, by_role[EVERY_ROLE])(request)


def _named(name: str) -> Script:
    if name not in FAULTS:
        raise InputError(f"unknown fault `{name}`; use: {', '.join(FAULTS)}")
    return FAULTS[name]
