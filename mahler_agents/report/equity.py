"""Report: recorded equity in, drawdown and reconciliation out; pure.

Every scan and every monitor pass records the account's equity, so that the points lie five minutes apart in a session.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from mahler_agents.record.accounts import ClosedPart, LastMark, PaidIn, RecordedEquity
from mahler_agents.report.span import day_of
from mahler_agents.report.trades import SHARES_PER_CONTRACT, Holding, dollars


@dataclass(frozen=True, kw_only=True)
class Drawdown:
    """The largest fall of equity from its peak so far, what was paid in not counted as a rise."""

    share: float
    """1 - equity / (peak + paid in since the peak)."""
    dollars: float
    peak_at: str
    trough_at: str
    """The same instant as the peak's if equity never fell."""
    points: int
    """Of equity, that it was sought in."""


@dataclass(frozen=True, kw_only=True)
class Unrealised:
    """What open positions would bring if closed at mid, less the fees of their entry, at one instant."""

    dollars: float
    positions: int
    marked_before: int
    """Positions that had no mark at the instant itself: counted at their last one."""
    unmarked: int
    """Positions that never had a mark: not counted."""


@dataclass(frozen=True, kw_only=True)
class Reconciliation:
    """Whether equity is what the books say: start + deposits + realised + change of unrealised, dollars."""

    start: RecordedEquity
    unrealised_at_start: Unrealised
    """In the start's equity already."""
    deposits_dollars: float
    realised_dollars: float
    unrealised: Unrealised
    """At the end."""
    end: RecordedEquity
    expected_dollars: float
    difference_dollars: float
    """The end's equity - expected, to the cent."""


def underwater(points: Sequence[RecordedEquity], deposits: Sequence[PaidIn]) -> tuple[float, ...]:
    """Return how far below its peak so far each point is, as a share of the peak and what was paid in since."""
    pairs = zip(points, _peaks(points, deposits), strict=True)
    return tuple(1 - point.equity / peak if peak > 0 else 0.0 for point, (peak, _) in pairs)


def drawdown(points: Sequence[RecordedEquity], deposits: Sequence[PaidIn]) -> Drawdown | None:
    """Return the largest fall from the peak so far; None without a point."""
    if not points:
        return None
    shares = underwater(points, deposits)
    worst = max(range(len(points)), key=shares.__getitem__)
    peak, peak_at = _peaks(points, deposits)[worst]
    return Drawdown(
        share=shares[worst],
        dollars=dollars([peak - points[worst].equity]),
        peak_at=peak_at,
        trough_at=points[worst].at,
        points=len(points),
    )


def closes_of(points: Iterable[RecordedEquity]) -> tuple[RecordedEquity, ...]:
    """Return the last point of every New York day."""
    return tuple({day_of(point.at): point for point in points}.values())


def unrealised(holdings: Iterable[Holding], marks: Mapping[str, LastMark], at: str) -> Unrealised:
    """Return what was open at an instant would have brought; `marks` are the last ones then, by entry order id."""
    total, positions, marked_before, unmarked = 0.0, 0, 0, 0
    for one in holdings:
        opened = sum(fill.contracts for fill in one.position.fills if fill.at <= at)
        closed = sum(part.contracts for part in one.parts if part.closed_at <= at)
        if opened == closed:
            continue
        positions += 1
        mark = marks.get(one.position.entry_order_id)
        if mark is None:
            unmarked += 1
            continue
        marked_before += mark.at < at
        cost = mark.mid_cost * SHARES_PER_CONTRACT * (opened - closed)
        total += _net_of_entry(one, closed, at) - cost
    return Unrealised(dollars=dollars([total]), positions=positions, marked_before=marked_before, unmarked=unmarked)


def reconcile(
    *,
    start: RecordedEquity,
    unrealised_at_start: Unrealised,
    deposits: Iterable[PaidIn],
    parts: Iterable[ClosedPart],
    unrealised: Unrealised,
    end: RecordedEquity,
) -> Reconciliation:
    """Return whether the equity at the end follows from that at the start."""
    paid_in = dollars(one.dollars for one in deposits if start.at < one.at <= end.at)
    realised = dollars(part.pnl_dollars for part in parts if start.at < part.closed_at <= end.at)
    expected = dollars([start.equity, paid_in, realised, unrealised.dollars, -unrealised_at_start.dollars])
    return Reconciliation(
        start=start,
        unrealised_at_start=unrealised_at_start,
        deposits_dollars=paid_in,
        realised_dollars=realised,
        unrealised=unrealised,
        end=end,
        expected_dollars=expected,
        difference_dollars=dollars([end.equity, -expected]),
    )


def _peaks(points: Sequence[RecordedEquity], deposits: Sequence[PaidIn]) -> list[tuple[float, str]]:
    """Return each point's peak so far, raised by what was paid in since, and the peak's instant."""
    coming = list(reversed(deposits))
    peak, peak_at = 0.0, ""
    found: list[tuple[float, str]] = []
    for point in points:
        while coming and coming[-1].at <= point.at:
            peak += coming.pop().dollars
        if not peak_at or point.equity >= peak:
            peak, peak_at = point.equity, point.at
        found.append((peak, peak_at))
    return found


def _net_of_entry(one: Holding, closed: int, at: str) -> float:
    """Return what the contracts that are left were sold for, less their share of the entry's fees, dollars.

    First in, first out, as the ledger closes them; of what does not divide the later contracts have the cent.
    """
    cents = 0
    for fill in one.position.fills:
        if fill.at > at:
            continue
        gone = min(closed, fill.contracts)
        closed -= gone
        received, fees = round(fill.credit * SHARES_PER_CONTRACT * fill.contracts * 100), round(fill.fees * 100)
        cents += received - received * gone // fill.contracts - (fees - fees * gone // fill.contracts)
    return cents / 100
