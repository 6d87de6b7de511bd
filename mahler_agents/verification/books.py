"""Verification: do orders, fills, positions, outcomes and equity agree to the cent? Rows in, `Judged` out; pure."""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from mahler_agents.record.conduct_rows import OrderConduct, OutcomeConduct, PositionConduct
from mahler_agents.record.trace_rows import FillRow
from mahler_agents.text import cents, per_share
from mahler_agents.units import CONTRACT_MULTIPLIER
from mahler_agents.verification.finding import Evidence, Judged, Shown

EMBEDDED = "paper"
"""The broker that marks at our own marks."""
MARKING_SHARE = 0.0025
"""Of equity: what another broker may mark positions otherwise, charge or credit without a fill."""
_DAY = dt.timedelta(days=1)
_CENT = 0.01
_ROUNDING = 0.021
"""Dollars: fees are shared out in whole cents, of the entry and of the exit."""


def orders_ended(evidence: Evidence) -> Judged:
    """Judge whether the end of every order is known within a day."""
    orders, until = evidence.conduct.orders, dt.datetime.fromisoformat(evidence.last_at) - _DAY
    left = [one for one in orders if one.pending and dt.datetime.fromisoformat(one.decided_at) < until]
    waiting = sum(one.pending for one in orders) - len(left)
    note = f"; {waiting:,} of the last day are pending" if waiting else ""
    return Judged(
        checked=len(orders),
        of="orders",
        text=f"the end of {len(orders) - waiting - len(left):,} of {len(orders):,} orders is known{note}",
        wrong=tuple(
            Shown(where=one.client_order_id, what=f"{one.state} since {one.decided_at}: {one.label}") for one in left
        ),
    )


def fills_booked_once(evidence: Evidence) -> Judged:
    """Judge whether every fill is in the ledger once: the broker's, the order's and the position's numbers agree."""
    conduct = evidence.conduct
    entries = {one.entry_order_id: one for one in conduct.positions}
    parts: dict[str, int] = defaultdict(int)
    for part in conduct.outcomes:
        parts[part.exit_order_id or ""] += part.contracts
    filled = [one for one in conduct.orders if one.fills or one.told_contracts or one.client_order_id in entries]
    wrong = [
        Shown(where=one.client_order_id, what=why)
        for one in filled
        if (why := _misbooked(one, entries.get(one.client_order_id), parts))
    ]
    fills = sum(len(one.fills) for one in filled)
    return Judged(
        checked=len(filled),
        of="filled orders",
        text=f"{fills:,} fills of {len(filled):,} orders are booked once",
        wrong=tuple(wrong),
    )


def _misbooked(order: OrderConduct, position: PositionConduct | None, parts: Mapping[str, int]) -> str | None:
    if order.filled > order.contracts:
        return f"{order.filled} contracts booked of an order of {order.contracts}"
    if order.told_contracts is not None and order.told_contracts != order.filled:
        return f"the broker filled {order.told_contracts} contracts, {order.filled} are booked"
    if order.purpose == "exit":
        closed = parts.get(order.client_order_id, 0)
        return None if closed == order.filled else f"{order.filled} contracts bought back, {closed} in outcomes"
    if position is None:
        return f"{order.filled} contracts sold, and no position" if order.filled else None
    if position.contracts != order.filled:
        return f"{order.filled} contracts sold, {position.contracts} in the position"
    sold = sum(fill.credit * fill.contracts for fill in order.fills) / order.filled
    if abs(sold - position.entry_credit) > _CENT / 100:
        return f"sold at {per_share(sold)}, the position says {per_share(position.entry_credit)}"
    return None


def profit_from_fills(evidence: Evidence) -> Judged:
    """Judge whether every outcome's profit and loss follows from the fills of its entry and its exit, less fees."""
    conduct = evidence.conduct
    orders = {one.client_order_id: one for one in conduct.orders}
    outcomes = [one for one in conduct.outcomes if one.entry_order_id in orders]
    wrong: list[Shown] = []
    before: dict[str, int] = defaultdict(int)
    bought: dict[str, int] = defaultdict(int)
    for one in outcomes:
        entry, exit_ = orders[one.entry_order_id], orders.get(one.exit_order_id or "")
        why = _not_of_fills(one, entry, exit_, before[one.entry_order_id], bought[one.exit_order_id or ""])
        if why is not None and one.closed_at >= conduct.begins:
            wrong.append(Shown(where=one.entry_order_id, what=why))
        before[one.entry_order_id] += one.contracts
        bought[one.exit_order_id or ""] += one.contracts
    recent = [one for one in outcomes if one.closed_at >= conduct.begins]
    return Judged(
        checked=len(recent),
        of="closings",
        text=f"{cents(sum(one.pnl_dollars for one in recent))} of {len(recent):,} closings follow from their fills"
        if recent
        else "nothing closed",
        wrong=tuple(wrong),
        shown=tuple(Shown(where=one.entry_order_id, what=cents(one.pnl_dollars)) for one in recent),
    )


def _not_of_fills(
    outcome: OutcomeConduct, entry: OrderConduct, exit_: OrderConduct | None, before: int, bought: int
) -> str | None:
    received, entry_fees = _part(entry.fills, before, outcome.contracts)
    if exit_ is None:
        paid, exit_fees = outcome.exit_debit * CONTRACT_MULTIPLIER * outcome.contracts, None
    else:
        credit, exit_fees = _part(exit_.fills, bought, outcome.contracts)
        paid = -credit
        debit = paid / CONTRACT_MULTIPLIER / outcome.contracts
        if abs(debit - outcome.exit_debit) > _CENT / 100:
            return f"booked as bought back at {per_share(outcome.exit_debit)}, the fills say {per_share(debit)}"
    # What was settled or closed by hand has no fills of its own: its fees are the user's or none.
    fees = outcome.fees if exit_fees is None else entry_fees + exit_fees
    pnl = received - paid - fees
    if abs(pnl - outcome.pnl_dollars) > _ROUNDING:
        return f"{cents(outcome.pnl_dollars)} booked, the fills say {cents(pnl)}"
    return None


def _part(fills: Sequence[FillRow], before: int, contracts: int) -> tuple[float, float]:
    """Return what some contracts of an order received and cost in fees, dollars: first filled, first closed."""
    received = fees = 0.0
    for first, fill in _numbered(fills):
        share = max(0, min(first + fill.contracts, before + contracts) - max(first, before))
        received += fill.credit * CONTRACT_MULTIPLIER * share
        fees += fill.fees * share / fill.contracts
    return received, fees


def _numbered(fills: Sequence[FillRow]) -> Iterator[tuple[int, FillRow]]:
    first = 0
    for fill in fills:
        yield first, fill
        first += fill.contracts


def equity_adds_up(evidence: Evidence) -> Judged:
    """Judge whether the recorded equity follows from deposits, fills and marks, to the cent."""
    books = evidence.books
    if books is None:
        return Judged(checked=0, of="", text="no equity is recorded")
    if apart := books.unrealised.unmarked + books.unrealised.marked_before + books.unrealised_at_start.unmarked:
        return Judged(checked=0, of="", text=f"{apart:,} open positions had no mark at the end: equity cannot be told")
    wrong = f"{cents(books.difference_dollars)} of {cents(books.end.equity)} follow from nothing"
    ours = all(run.broker == EMBEDDED for run in evidence.conduct.runs)
    allowed = _CENT / 2 if ours else MARKING_SHARE * books.end.equity
    return Judged(
        checked=1,
        of="",
        text=f"{cents(books.start.equity)} and what happened since make {cents(books.expected_dollars)}; recorded are"
        f" {cents(books.end.equity)}",
        wrong=(Shown(where=books.end.at, what=wrong),) if abs(books.difference_dollars) >= allowed else (),
        figures={"difference_dollars": books.difference_dollars},
    )
