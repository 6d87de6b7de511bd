"""Command line, `mahler trace show --prompt` and `--raw`: a run in, its LLM calls out, as asked and as sent."""

from collections.abc import Iterator
from typing import Any

from mahler_agents.record.chats import messages_of
from mahler_agents.record.trace_rows import CallRow, RunTrace
from mahler_agents.text import plain, visible


def prompts(trace: RunTrace) -> list[dict[str, Any]]:
    """Return the messages of every node's first request, by candidate and node, with the prompt's version."""
    return [{**place, "prompt": call.prompt_hash, "messages": messages_of(call)} for place, call in _calls(trace)]


def raw(trace: RunTrace) -> list[dict[str, Any]]:
    """Return every request and response, to the letter."""
    return [
        {
            **place,
            "outcome": call.outcome,
            "http_status": call.http_status,
            "error": call.error,
            "request": call.request,
            "response": call.response,
        }
        for place, call in _calls(trace)
    ]


def prompt_lines(shown: list[dict[str, Any]]) -> Iterator[str]:
    """Yield the prompts as text: a heading for each call and for each message."""
    for call in shown:
        yield f"{_heading(call)}, prompt {call['prompt'][:12]}"
        for message in call["messages"]:
            yield f"--- {plain(message['role'])}"
            yield visible(message["content"])
        yield ""


def raw_lines(shown: list[dict[str, Any]]) -> Iterator[str]:
    """Yield requests and responses as text; characters that a terminal would obey are spelled out."""
    for call in shown:
        yield f"{_heading(call)}: {_outcome(call)}"
        yield "--- request"
        yield visible(call["request"])
        yield "--- response"
        yield "none recorded" if call["response"] is None else visible(call["response"])
        yield ""


def _calls(trace: RunTrace) -> Iterator[tuple[dict[str, Any], CallRow]]:
    """Yield every call and its place: the candidate, the node, the attempt."""
    for candidate in trace.candidates:
        for span in candidate.spans:
            for call in span.calls:
                place = {"candidate": candidate.rank, "spread": candidate.label, "node": span.name}
                yield {**place, "attempt": call.attempt}, call


def _heading(call: dict[str, Any]) -> str:
    return f"=== {call['candidate']}  {plain(call['spread'])}: {plain(call['node'])}, attempt {call['attempt']}"


def _outcome(call: dict[str, Any]) -> str:
    told = [
        call["outcome"] or "no reply recorded",
        call["http_status"] and f"HTTP {call['http_status']}",
        call["error"],
    ]
    return ", ".join(plain(str(one)) for one in told if one)
