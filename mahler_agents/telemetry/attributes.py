"""Telemetry: rows of the record in, span attributes out, under the names of the GenAI semantic conventions.

Source: opentelemetry.io/docs/specs/semconv/gen-ai, version 1.41; what the conventions have no name for is `mahler.*`.
Figures and codes only: text that a model read or wrote is in `content_attributes`, which must be asked for.
"""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from mahler_agents.record.chats import messages_of, reply_of
from mahler_agents.record.trace_rows import CallRow, CandidateTrace, RunRow, SpanRow

Attributes = dict[str, str | bool | int | float | list[str]]

_DEFAULT_PORTS = {"http": 80, "https": 443}
_ASKED_WITH = {
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
    "seed": "gen_ai.request.seed",
    "max_tokens": "gen_ai.request.max_tokens",
    "max_completion_tokens": "gen_ai.request.max_tokens",
}


def run_attributes(run: RunRow) -> Attributes:
    """Return the attributes of a run's span."""
    return {
        "gen_ai.operation.name": "invoke_workflow",
        "gen_ai.workflow.name": run.kind,
        "mahler.run.id": run.id,
        "mahler.run.status": run.status,
        "mahler.slot": run.slot,
        "mahler.environment": run.environment,
        "mahler.market": run.market,
        "mahler.synthetic": run.synthetic,
        "mahler.as_of": run.as_of,
        "mahler.version": run.version,
    }


def candidate_attributes(candidate: CandidateTrace) -> Attributes:
    """Return the attributes of a reviewed candidate's span."""
    return _known(
        {
            "mahler.candidate.id": candidate.id,
            "mahler.candidate.rank": candidate.rank,
            "mahler.underlying": candidate.underlying,
            "mahler.spread_type": candidate.spread_type,
            "mahler.expiration": candidate.expiration,
            "mahler.short_strike": candidate.short_strike,
            "mahler.long_strike": candidate.long_strike,
            "mahler.credit": candidate.credit,
            "mahler.decision": candidate.decision,
            "mahler.reason": candidate.reason,
        }
    )


def node_attributes(span: SpanRow) -> Attributes:
    """Return the attributes of a node's span: an agent's if it has asked a model."""
    known: Attributes = {"mahler.node": span.name, "mahler.node.status": span.status}
    if span.calls:
        known |= {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": span.name}
    return known


def call_attributes(call: CallRow, base_url: str | None) -> Attributes:
    """Return the attributes of an HTTP attempt's span; `base_url` is where the record says that its role asks."""
    asked, replied = _object(call.request), _object(call.response)
    sent = {name: asked.get(key) for key, name in _ASKED_WITH.items() if _is_number(asked.get(key))}
    return _known(
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",  # the API's flavour, as the conventions say; the server is named below
            "gen_ai.request.model": call.model,
            "gen_ai.response.model": call.resolved_model,
            "gen_ai.response.id": replied.get("id") if isinstance(replied.get("id"), str) else None,
            "gen_ai.response.finish_reasons": [call.finish_reason] if call.finish_reason else None,
            "gen_ai.usage.input_tokens": call.prompt_tokens,
            "gen_ai.usage.output_tokens": call.completion_tokens,
            "gen_ai.output.type": "json" if "response_format" in asked else None,
            "http.response.status_code": call.http_status,
            "error.type": error_type(call),
            "mahler.role": call.role,
            "mahler.attempt": call.attempt,
            "mahler.prompt.version": call.prompt_hash,
            "mahler.brief.hash": call.brief_hash,
            "mahler.cost_dollars": call.cost_dollars,
            **sent,
            **_server(base_url),
        }
    )


def error_type(call: CallRow) -> str | None:
    """Return what went wrong with a call, of few values: an HTTP status, an exception's class, or the outcome."""
    if call.outcome == "replied":
        return None
    if call.outcome == "http_error":
        return str(call.http_status)
    return (call.error or "").partition(":")[0] or call.outcome or "abandoned"


def content_attributes(call: CallRow) -> Attributes:
    """Return what a call asked and what came back, in the conventions' JSON: as recorded, without keys."""
    asked = [{"role": one["role"], "parts": _text_parts(one["content"])} for one in messages_of(call)]
    known: Attributes = {"gen_ai.input.messages": json.dumps(asked, ensure_ascii=False)}
    if (text := reply_of(call)) is not None:
        said = {"role": "assistant", "parts": _text_parts(text), "finish_reason": call.finish_reason or "unknown"}
        known["gen_ai.output.messages"] = json.dumps([said], ensure_ascii=False)
    return known


def _text_parts(text: str) -> list[dict[str, str]]:
    return [{"type": "text", "content": text}]


def _server(base_url: str | None) -> dict[str, Any]:
    url = urlsplit(base_url or "")
    return {"server.address": url.hostname, "server.port": url.port or _DEFAULT_PORTS.get(url.scheme)}


def _object(text: str | None) -> Mapping[str, Any]:
    try:
        value = json.loads(text or "")
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _known(attributes: Mapping[str, Any]) -> Attributes:
    """Return the attributes that have a value: nothing stands in for a missing one."""
    return {name: value for name, value in attributes.items() if value is not None}
