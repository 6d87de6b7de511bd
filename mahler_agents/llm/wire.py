"""Stage 4, LLM calls: the body of an HTTP response comes in, what it says or which fault it is goes out.

The wire is read here, and not through the SDK's or LangChain's classes, so that what is judged is what was recorded:
those raise a dozen types on a malformed body and keep the reply of none.
"""

import datetime as dt
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, cast

from mahler_agents.llm.failures import FailureKind
from mahler_agents.llm.replies import Fault

_OVERFLOW_MARKS = ("context_length_exceeded", "exceed_context_size", "maximum context length", "context window")
_QUOTA_MARKS = ("insufficient_quota", "billing_hard_limit")
_STATUS_KINDS = {
    401: FailureKind.AUTH,
    402: FailureKind.QUOTA,
    403: FailureKind.AUTH,
    404: FailureKind.MODEL_NOT_FOUND,
    408: FailureKind.TIMEOUT,
    429: FailureKind.RATE_LIMITED,
}


@dataclass(frozen=True, kw_only=True)
class Envelope:
    """An HTTP response as a chat completion; what the body does not say is None."""

    status: int
    text: str
    """The body."""
    is_completion: bool
    """Whether the body is a JSON object with a list of choices."""
    error: Mapping[str, Any] | None = None
    """The provider's error object."""
    has_choice: bool = False
    content: str | None = None
    """What the model wrote."""
    refusal: str | None = None
    finish_reason: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    model: str | None = None
    system_fingerprint: str | None = None


def open_envelope(status: int, text: str) -> Envelope:
    """Read a response body; never raises, whatever the body is."""
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        body = None
    fields = _mapping(body)
    choices = fields.get("choices")
    choice = _mapping(choices[0]) if isinstance(choices, list) and choices else {}
    message, usage = _mapping(choice.get("message")), _mapping(fields.get("usage"))
    return Envelope(
        status=status,
        text=text,
        is_completion=isinstance(choices, list),
        error=_error(fields.get("error")),
        has_choice=bool(choice),
        content=_text(message.get("content")),
        refusal=_text(message.get("refusal")),
        finish_reason=_text(choice.get("finish_reason")),
        prompt_tokens=_count(usage.get("prompt_tokens")),
        completion_tokens=_count(usage.get("completion_tokens")),
        model=_text(fields.get("model")),
        system_fingerprint=_text(fields.get("system_fingerprint")),
    )


def fault_of(envelope: Envelope) -> Fault | None:
    """Return why an envelope holds no whole reply, or None if it holds one; its text is not parsed yet."""
    if envelope.status >= 300 or envelope.error is not None:
        return _provider_fault(envelope)
    if not envelope.is_completion:
        detail = f"the endpoint sent no chat completion: {_excerpt(envelope.text)}"
        return Fault(kind=FailureKind.SERVER_ERROR, detail=detail)
    if not envelope.has_choice:
        return Fault(kind=FailureKind.EMPTY, detail="the provider sent no choice")
    raw = envelope.content
    # The stop reason comes before the text: a reply that was cut may still parse.
    if envelope.finish_reason == "length":
        detail = f"the reply was cut at {envelope.completion_tokens or 'the limit of'} tokens"
        return Fault(kind=FailureKind.TRUNCATED, detail=detail, raw_reply=raw)
    if envelope.finish_reason == "content_filter":
        return Fault(kind=FailureKind.CONTENT_FILTERED, detail="the provider's filter stopped the reply", raw_reply=raw)
    if envelope.refusal:
        return Fault(kind=FailureKind.REFUSED, detail=_excerpt(envelope.refusal), raw_reply=envelope.refusal)
    return Fault(kind=FailureKind.EMPTY, detail="the model sent no text") if raw is None else None


def retry_after_seconds(header: str | None, *, sent_at: str | None = None) -> float | None:
    """Return the seconds of a Retry-After header, None if it says nothing.

    `sent_at` is the response's Date header: the only clock that a date in the other is sure to be of.
    """
    try:
        seconds = float(header or "")
    except ValueError:
        until, since = _http_date(header), _http_date(sent_at)
        return None if until is None or since is None else max(0.0, (until - since).total_seconds())
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _http_date(header: str | None) -> dt.datetime | None:
    try:
        parsed = parsedate_to_datetime(header or "")
    except (ValueError, OverflowError):
        return None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=dt.UTC)


def _provider_fault(envelope: Envelope) -> Fault:
    error = envelope.error or {}
    code = error.get("code")
    # Some gateways send an error with status 200 and the status as its code.
    status = code if envelope.status < 300 and isinstance(code, int) else envelope.status
    words = f"{code} {error.get('type')} {error.get('message')}".lower()
    message = _text(error.get("message")) or envelope.text
    return Fault(kind=_kind(status, words), detail=f"HTTP {status}: {_excerpt(message)}")


def _kind(status: int, words: str) -> FailureKind:
    if any(mark in words for mark in _OVERFLOW_MARKS):
        return FailureKind.CONTEXT_OVERFLOW
    if any(mark in words for mark in _QUOTA_MARKS):
        return FailureKind.QUOTA
    if status >= 500 or status < 300:
        return FailureKind.SERVER_ERROR
    return _STATUS_KINDS.get(status, FailureKind.BAD_REQUEST)


def _error(value: object) -> Mapping[str, Any] | None:
    if not value:
        return None
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else {"message": str(value)}


def _mapping(value: object) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else {}


def _text(value: object) -> str | None:
    # JSON may spell half of a surrogate pair, which no database takes.
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else None


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53 else None


def _excerpt(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 300 else f"{line[:300]}..."
