"""Report: an account's history in, what its picture shows out; pure."""

import datetime as dt
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mahler_agents.record.accounts import AccountHistory
from mahler_agents.report.equity import underwater
from mahler_agents.report.span import Span, day_of


@dataclass(frozen=True, kw_only=True)
class EquityCurve:
    """Equity over time, its drawdown, and where rules closed something; columns of equal length."""

    account_id: str
    synthetic: bool
    days: tuple[dt.date, ...]
    """New York days with a point, in order."""
    place: tuple[float, ...]
    """Of each point: its day's place among the days, plus the share of that day's points that came before it.

    Nights, weekends and holidays take no room: a line across them would show what never was.
    """
    equity: tuple[float, ...]
    """Dollars."""
    underwater: tuple[float, ...]
    """Share below the peak so far, 0 at a peak."""
    exits: Mapping[str, tuple[int, ...]]
    """By rule, in the order of their names: the index of the last point at each of its closings."""


def equity_curve(history: AccountHistory, span: Span) -> EquityCurve | None:
    """Return the curve of the span; None if it has no point. `history` ends with the span."""
    points = [point for point in history.equity if point.at >= span.begins]
    if not points:
        return None
    times = [point.at for point in points]
    closings = [(part.rule, part.closed_at) for part in history.parts if part.closed_at >= times[0]]
    dates = [day_of(at) for at in times]
    return EquityCurve(
        account_id=history.account_id,
        synthetic=history.synthetic,
        days=tuple(dict.fromkeys(dates)),
        place=_places(dates),
        equity=tuple(point.equity for point in points),
        underwater=underwater(points, history.deposits),
        exits={
            rule: tuple(bisect_right(times, at) - 1 for closed_by, at in closings if closed_by == rule)
            for rule in sorted({rule for rule, _ in closings})
        },
    )


def _places(dates: Sequence[dt.date]) -> tuple[float, ...]:
    points_in = Counter(dates)
    first_of = {date: place for place, date in reversed(list(enumerate(dates)))}
    number_of = {date: number for number, date in enumerate(points_in)}
    return tuple(number_of[date] + (place - first_of[date]) / points_in[date] for place, date in enumerate(dates))
