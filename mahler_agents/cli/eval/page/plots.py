"""Command line, `mahler eval compare --html`: a comparison in, places of lines and dots in its three drawings out."""

from collections.abc import Sequence
from dataclasses import dataclass

from mahler_agents.evaluation.comparison import Comparison, ScorerComparison
from mahler_agents.statistics.scores import reliability

WIDTH, ROW, LABELS = 640.0, 22.0, 150.0
_SIDE, _MARGIN = 320.0, 40.0


@dataclass(frozen=True, kw_only=True)
class Row:
    """One scorer's difference: a dot between two ends, each scorer on a scale of its own around zero."""

    name: str
    verdict: str
    y: float
    dot: float
    low: float | None
    high: float | None


@dataclass(frozen=True, kw_only=True)
class Differences:
    """The drawing of all scorers' differences."""

    width: float
    height: float
    zero: float
    rows: tuple[Row, ...]


@dataclass(frozen=True, kw_only=True)
class Dot:
    """One case, or one bin of cases."""

    x: float
    y: float
    radius: float
    kind: str
    told: str


@dataclass(frozen=True, kw_only=True)
class Square:
    """A drawing of two probabilities, from 0 to 1 each."""

    size: float
    first: float
    last: float
    """Where 0 and 1 stand, across."""
    dots: tuple[Dot, ...]


def differences_of(found: Comparison) -> Differences | None:
    """Return the drawing of the differences; None if no scorer has any."""
    drawn = [one for one in found.scorers if one.difference is not None]
    if not drawn:
        return None
    zero = LABELS + (WIDTH - LABELS) / 2
    rows = tuple(_row(one, place, zero) for place, one in enumerate(drawn))
    return Differences(width=WIDTH, height=ROW * len(rows) + 12, zero=zero, rows=rows)


def _row(one: ScorerComparison, place: int, zero: float) -> Row:
    difference = one.difference or 0.0
    ends = [end for end in (one.low, one.high) if end is not None]
    most = max(abs(value) for value in (difference, *ends)) or 1.0
    scale = (WIDTH - LABELS) / 2 * 0.92 / most

    def across(value: float | None) -> float | None:
        return None if value is None else round(zero + value * scale, 2)

    return Row(
        name=one.scorer,
        verdict=one.verdict,
        y=round(ROW * (place + 0.5) + 6, 2),
        dot=round(zero + difference * scale, 2),
        low=across(one.low),
        high=across(one.high),
    )


def forecasts_of(found: Comparison) -> Square | None:
    """Return the drawing of both variants' p(profit) of each case; None if there is none."""
    dots = [
        _dot(pair.first, pair.second, 4.0, _kind(profit=pair.profit), f"case {pair.case[:8]}, {pair.date}")
        for pair in found.forecasts
    ]
    return _square(dots)


def reliability_of(found: Comparison) -> Square | None:
    """Return the drawing of what was forecast beside what happened, by bin; None if no outcome is known."""
    known = [pair for pair in found.forecasts if pair.profit is not None]
    if not known:
        return None
    happened = [bool(pair.profit) for pair in known]
    dots: list[Dot] = []
    for kind, said in (("one", [pair.first for pair in known]), ("other", [pair.second for pair in known])):
        for part in reliability(happened, said):
            radius = round(3 + 9 * (part.cases / len(known)) ** 0.5, 2)
            dots.append(_dot(part.mean_forecast, part.share, radius, kind, f"{part.cases} cases"))
    return _square(dots)


def _square(dots: Sequence[Dot]) -> Square | None:
    return Square(size=_SIDE, first=_MARGIN, last=_SIDE - 10, dots=tuple(dots)) if dots else None


def _dot(x: float, y: float, radius: float, kind: str, told: str) -> Dot:
    span = _SIDE - 10 - _MARGIN
    return Dot(
        x=round(_MARGIN + x * span, 2),
        y=round(_SIDE - _MARGIN - y * span, 2),
        radius=radius,
        kind=kind,
        told=f"{told}: {x:.3f}, {y:.3f}",
    )


def _kind(*, profit: bool | None) -> str:
    return "unknown" if profit is None else "profit" if profit else "loss"
