"""Command line, `mahler trace export`: a run's spans in, the drawing of when each was at work out."""

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import floor, log10

from mahler_agents.record.trace_rows import CandidateTrace, RunTrace, SpanRow

WIDTH = 1000.0
_LABELS, _ROW, _HEADING, _AXIS = 150.0, 15.0, 24.0, 26.0
_THINNEST = 1.5
_TICKS = 8


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One stretch of work, in the drawing's units."""

    x: float
    width: float
    status: str
    told: str
    """What it was, for whoever points at it."""


@dataclass(frozen=True, kw_only=True)
class Lane:
    """One node's row: its bar, and in it the attempts of its calls."""

    y: float
    name: str
    bar: Bar
    attempts: tuple[Bar, ...]


@dataclass(frozen=True, kw_only=True)
class Group:
    """The rows of one candidate, under its label."""

    y: float
    label: str
    lanes: tuple[Lane, ...]


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """The drawing: groups of lanes, and ticks of seconds."""

    width: float
    height: float
    labels: float
    """Where the labels end and time begins."""
    row: float
    groups: tuple[Group, ...]
    ticks: tuple[tuple[float, str], ...]


@dataclass(frozen=True, kw_only=True)
class _Axis:
    """Where an instant stands."""

    first: float
    """Seconds since 1970 at which the labels end."""
    scale: float
    """Units of the drawing for a second."""

    def x(self, instant: float) -> float:
        return round(_LABELS + (instant - self.first) * self.scale, 2)


def timeline_of(trace: RunTrace) -> Timeline | None:
    """Return the drawing of a run; None if no node has left a span."""
    worked = [candidate for candidate in trace.candidates if candidate.spans]
    if not worked:
        return None
    spans = [span for candidate in worked for span in candidate.spans]
    first = min(_instant(span.started_at) for span in spans)
    seconds = max(max(_end(span) for span in spans) - first.timestamp(), 0.001)
    axis = _Axis(first=first.timestamp(), scale=(WIDTH - _LABELS - 10) / seconds)
    groups: list[Group] = []
    y = _AXIS
    for candidate in worked:
        groups.append(_group(candidate, y, axis))
        y += _HEADING + _ROW * len(candidate.spans)
    return Timeline(
        width=WIDTH,
        height=y + 6,
        labels=_LABELS,
        row=_ROW,
        groups=tuple(groups),
        ticks=tuple((axis.x(axis.first + at), told) for at, told in _ticks(seconds)),
    )


def _group(candidate: CandidateTrace, y: float, axis: _Axis) -> Group:
    lanes = [
        Lane(
            y=y + _HEADING + _ROW * place,
            name=span.name,
            bar=_bar(span.started_at, _end(span), span.status, _told(span), axis),
            attempts=tuple(_attempts(span, axis)),
        )
        for place, span in enumerate(candidate.spans)
    ]
    return Group(y=y + _HEADING - 8, label=f"{candidate.rank}  {candidate.label}", lanes=tuple(lanes))


def _attempts(span: SpanRow, axis: _Axis) -> Iterator[Bar]:
    for call in span.calls:
        if call.ended_at:
            status = "ok" if call.outcome == "replied" else "failed"
            told = f"{span.name}, attempt {call.attempt}: {call.outcome}"
            yield _bar(call.started_at, _instant(call.ended_at).timestamp(), status, told, axis)


def _bar(started: str, end: float, status: str, told: str, axis: _Axis) -> Bar:
    begin = _instant(started).timestamp()
    return Bar(x=axis.x(begin), width=round(max((end - begin) * axis.scale, _THINNEST), 2), status=status, told=told)


def _told(span: SpanRow) -> str:
    took = "not ended" if span.milliseconds is None else f"{span.milliseconds:,.1f} ms"
    return f"{span.name}: {span.status}, {took}"


def _end(span: SpanRow) -> float:
    """Return when a span ended; of one that did not, when the last that is known of it happened."""
    if span.milliseconds is not None:
        return _instant(span.started_at).timestamp() + span.milliseconds / 1000
    known = [span.started_at, *(call.ended_at or call.started_at for call in span.calls)]
    return max(_instant(at).timestamp() for at in known)


def _ticks(seconds: float) -> Sequence[tuple[float, str]]:
    """Return round numbers of seconds from 0 on, at most about eight."""
    least = seconds / _TICKS
    unit = 10.0 ** floor(log10(least))
    step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= least)
    return [(number * step, f"{number * step:g} s") for number in range(int(seconds / step) + 1)]


def _instant(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)
