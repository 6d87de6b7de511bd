"""Command line, `mahler trace`: LLM calls in, what they sum to in words out; what is unknown is said to be unknown."""

import datetime as dt
from collections.abc import Sequence

from mahler_agents.record.trace_rows import CallRow, RunTrace
from mahler_agents.telling import phrases
from mahler_agents.text import count


def calls_of(trace: RunTrace) -> str:
    """Return how many calls a run made, their tokens and their cost; empty if it made none."""
    calls = [call for candidate in trace.candidates for span in candidate.spans for call in span.calls]
    return f"{count(len(calls), 'call')}, {tokens(calls)}, {cost(calls)}" if calls else ""


def attempts(calls: Sequence[CallRow]) -> str:
    """Return how often the model was asked, and how long that took: less than the node, which may have queued."""
    ended = [call for call in calls if call.ended_at]
    took = sum(seconds(call.started_at, call.ended_at or "") for call in ended)
    return count(len(calls), "attempt") + (f" of {took:.1f} s" if ended else "")


def tokens(calls: Sequence[CallRow]) -> str:
    """Return the tokens of prompts and replies."""
    if all(call.prompt_tokens is None for call in calls):
        return "tokens unknown"
    prompt = sum(call.prompt_tokens or 0 for call in calls)
    completion = sum(call.completion_tokens or 0 for call in calls)
    return f"{prompt:,} + {completion:,} tokens"


def known_cost(calls: Sequence[CallRow]) -> list[str]:
    """Return what a node's calls cost, nothing if that is unknown: the run's line says so, once."""
    return [] if any(call.cost_dollars is None for call in calls) else [cost(calls)]


def cost(calls: Sequence[CallRow]) -> str:
    """Return what the calls cost; unknown if that of any is."""
    known = [call.cost_dollars for call in calls if call.cost_dollars is not None]
    return phrases.cost(sum(known) if len(known) == len(calls) else None)


def seconds(since: str, until: str) -> float:
    """Return the seconds between two instants of the record."""
    return (dt.datetime.fromisoformat(until) - dt.datetime.fromisoformat(since)).total_seconds()
