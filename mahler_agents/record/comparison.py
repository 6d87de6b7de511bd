"""Record: two runs in, what differs between them out, for each spread and each of its nodes.

A spread is the same one in both runs if underlying, type, strikes and expiration are. Ids, ranks and times are not
compared: they differ between any two runs.
"""

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mahler_agents.record.chats import reply_of
from mahler_agents.record.trace_rows import CallRow, CandidateTrace, RunTrace

_RUN_FIELDS = (
    "as_of",
    "environment",
    "market",
    "source",
    "synthetic",
    "broker",
    "account_id",
    "model",
    "version",
    "regime",
    "breaker",
    "size_multiplier",
    "config",
    "error",
)


@dataclass(frozen=True, kw_only=True)
class Change:
    """One thing that differs; None stands for what one run does not have."""

    subject: str
    """Of what: `run`, `candidate`, `brief`, `model`, `reply`, `opinion`, `verdict`, `failure`, `advice`, ..."""
    field: str
    """The path of the value in it, e.g. `rsi_14`, `headlines[0].text`."""
    before: Any
    after: Any


@dataclass(frozen=True, kw_only=True)
class NodeDiff:
    """What differs at one node of one spread."""

    node: str
    changes: tuple[Change, ...]
    prompt: tuple[str, ...]
    """Unified diff of the prompt's two versions, as lines; empty if they are the same."""


@dataclass(frozen=True, kw_only=True)
class SpreadDiff:
    """What differs about one spread that both runs reviewed."""

    label: str
    changes: tuple[Change, ...]
    """Of the spread itself: credit, score, advice, size, orders, decision."""
    nodes: tuple[NodeDiff, ...]
    """The advisors at which anything differs."""


@dataclass(frozen=True, kw_only=True)
class RunDiff:
    """What differs between two runs."""

    before: str
    after: str
    """The runs' ids."""
    changes: tuple[Change, ...]
    """Of the runs as a whole."""
    spreads: tuple[SpreadDiff, ...]
    """Those at which anything differs, in the first run's rank order."""
    only_before: tuple[str, ...]
    only_after: tuple[str, ...]
    """Labels of the spreads that one run alone reviewed."""

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        return not (self.changes or self.spreads or self.only_before or self.only_after)


def compare(before: RunTrace, after: RunTrace) -> RunDiff:
    """Return what differs between two runs."""
    first, second = _reviewed(before), _reviewed(after)
    spreads = [_spread(before, first[label], after, second[label]) for label in first if label in second]
    return RunDiff(
        before=before.run.id,
        after=after.run.id,
        changes=tuple(_run_changes(before, after)),
        spreads=tuple(one for one in spreads if one.changes or one.nodes),
        only_before=tuple(label for label in first if label not in second),
        only_after=tuple(label for label in second if label not in first),
    )


def _reviewed(trace: RunTrace) -> dict[str, CandidateTrace]:
    # The label spells the whole key: underlying, strikes, type, expiration.
    return {candidate.label: candidate for candidate in trace.candidates if candidate.reviewed}


def _run_changes(before: RunTrace, after: RunTrace) -> Iterator[Change]:
    for name in _RUN_FIELDS:
        yield from _changes("run", getattr(before.run, name), getattr(after.run, name), name)
    yield from _changes("run", _screened(before), _screened(after), "screen")


def _screened(trace: RunTrace) -> dict[str, Any]:
    """Return what the screen counted; its list of near misses is an illustration, of another place in each run."""
    return {name: value for name, value in (trace.run.screen or {}).items() if name != "nearest_misses"}


def _spread(before: RunTrace, first: CandidateTrace, after: RunTrace, second: CandidateTrace) -> SpreadDiff:
    roles = dict.fromkeys([*_roles(first), *_roles(second)])
    nodes = [_node(role, before, first, after, second) for role in roles]
    return SpreadDiff(
        label=first.label,
        changes=tuple(
            change
            for subject, one, other in zip(_SUBJECTS, _outcome(first), _outcome(second), strict=True)
            for change in _changes(subject, one, other)
        ),
        nodes=tuple(node for node in nodes if node.changes or node.prompt),
    )


_SUBJECTS = ("candidate", "advice", "size", "order", "decision")


def _outcome(one: CandidateTrace) -> tuple[Any, ...]:
    """Return what became of a spread, subject by subject."""
    orders = [
        {
            "purpose": order.purpose,
            "state": order.state,
            "reason": order.reason,
            "contracts": order.contracts,
            "limit_credit": order.limit_credit,
            "fills": [{"contracts": fill.contracts, "credit": fill.credit, "fees": fill.fees} for fill in order.fills],
        }
        for order in one.orders
    ]
    return (
        {"credit": one.credit, "score": one.score, "dte": one.dte},
        one.advice and _fields(one.advice),
        one.sizing and {**_fields(one.sizing), "constraints": [_fields(limit) for limit in one.sizing.constraints]},
        orders,
        {"decision": one.decision, "reason": one.reason},
    )


def _roles(candidate: CandidateTrace) -> Iterator[str]:
    for span in candidate.spans:
        if span.calls:
            yield span.name
    yield from _said(candidate)


def _said(candidate: CandidateTrace) -> dict[str, tuple[str, dict[str, Any]]]:
    """Return what each role gave, by role: `opinion`, `argument`, `verdict` or `failure`, and its fields."""
    said = {one.analyst: ("opinion", {**_fields(one), "grounding": _grounding(one)}) for one in candidate.opinions}
    said |= {one.node: ("argument", {**_fields(one), "grounding": _grounding(one)}) for one in candidate.arguments}
    if candidate.verdict is not None:
        verdict = candidate.verdict
        said["fund_manager"] = ("verdict", {**_fields(verdict), "grounding": _grounding(verdict)})
    return said | {one.role: ("failure", _fields(one)) for one in candidate.failures}


def _grounding(said: Any) -> Any:
    return said.grounding and {**_fields(said.grounding), "ungrounded": list(said.grounding.ungrounded)}


def _fields(row: Any) -> dict[str, Any]:
    # What was given and not said is compared on its own: by the brief's fields and the prompt's lines.
    given = {"brief_hash", "prompt_hash", "model", "analyst", "role"}
    return {name: value for name, value in vars(row).items() if name not in given}


@dataclass(frozen=True, kw_only=True)
class _Given:
    """What a role was given and said."""

    brief: Mapping[str, Any] | None
    prompt: tuple[str, str]
    model: Mapping[str, Any]
    replies: Sequence[str | None]
    said: tuple[str, dict[str, Any]] | None


def _node(role: str, before: RunTrace, first: CandidateTrace, after: RunTrace, second: CandidateTrace) -> NodeDiff:
    one, other = _given(role, before, first), _given(role, after, second)
    return NodeDiff(
        node=role,
        changes=(
            *_changes("brief", one.brief, other.brief),
            *_changes("model", one.model, other.model),
            *_changes("reply", one.replies, other.replies),
            *_said_changes(one.said, other.said),
        ),
        prompt=() if one.prompt == other.prompt else _prompt_lines(one.prompt, other.prompt),
    )


def _given(role: str, trace: RunTrace, candidate: CandidateTrace) -> _Given:
    calls = [call for span in candidate.spans if span.name == role for call in span.calls]
    rows = [
        *(one for one in candidate.opinions if one.analyst == role),
        *(one for one in candidate.arguments if one.node == role),
        *(one for one in candidate.failures if one.role == role),
        *([candidate.verdict] if candidate.verdict and role == "fund_manager" else []),
    ]
    brief = next((one.brief_hash for one in [*rows, *calls] if one.brief_hash), None)
    prompt = next((one.prompt_hash for one in [*rows, *calls] if one.prompt_hash), None)
    kept = trace.prompts.get(prompt or "")
    return _Given(
        brief=trace.briefs.get(brief or ""),
        prompt=(prompt or "none", kept.content if kept else ""),
        model={
            "asked": [call.model for call in calls][-1:],
            "resolved": [call.resolved_model for call in calls][-1:],
            "settings": [_settings(call) for call in calls][-1:],
        },
        # Where the model wrote nothing, what the provider sent instead, or the error.
        replies=[reply_of(call) or call.response or call.error for call in calls],
        said=_said(candidate).get(role),
    )


def _settings(call: CallRow) -> dict[str, Any] | None:
    """Return what was asked for beside the messages: temperature, longest reply, schema."""
    try:
        return {name: value for name, value in json.loads(call.request).items() if name not in {"messages", "model"}}
    except (ValueError, AttributeError):
        return None


def _said_changes(one: tuple[str, dict[str, Any]] | None, other: tuple[str, dict[str, Any]] | None) -> Iterator[Change]:
    if one and other and one[0] == other[0]:
        yield from _changes(one[0], one[1], other[1])
        return
    if one:
        yield Change(subject=one[0], field="", before=one[1], after=None)
    if other:
        yield Change(subject=other[0], field="", before=None, after=other[1])


def _prompt_lines(one: tuple[str, str], other: tuple[str, str]) -> tuple[str, ...]:
    (before, old), (after, new) = one, other
    lines = difflib.unified_diff(old.splitlines(), new.splitlines(), before[:12], after[:12], lineterm="")
    return tuple(lines)


def _changes(subject: str, before: Any, after: Any, path: str = "") -> Iterator[Change]:
    """Yield what differs between two values of JSON, at the deepest place where they do."""
    if before == after:
        return
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in dict.fromkeys([*before, *after]):
            inner = f"{path}.{name}" if path else str(name)
            yield from _changes(subject, before.get(name), after.get(name), inner)
    elif isinstance(before, list | tuple) and isinstance(after, list | tuple):
        for place in range(max(len(before), len(after))):
            one = before[place] if place < len(before) else None
            other = after[place] if place < len(after) else None
            yield from _changes(subject, one, other, f"{path}[{place}]")
    else:
        yield Change(subject=subject, field=path, before=before, after=after)
