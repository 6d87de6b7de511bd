"""Command line, `mahler status`: open positions in, a table with a bar from target to stop out."""

from collections.abc import Iterator, Sequence

from rich.text import Text

from mahler_agents.cli.status.times import ago
from mahler_agents.cli.table import Column, table_lines
from mahler_agents.record.status_rows import PositionStatus
from mahler_agents.text import cents, per_share, plain
from mahler_agents.wording import strike_text

_WIDTH = 15
"""Characters of the bar between its ends; odd, so that it has a middle."""
NEAR = 0.75
"""A position so far on its way from target to stop is shown in red."""

LEGEND = "T target, | credit, o cost now, S stop; ! beyond it"


def position_lines(held: Sequence[PositionStatus], present: str, width: int | None) -> Iterator[Text]:
    """Yield the heading and a line for each position; columns are dropped until they fit `width`."""
    heading, *rows = table_lines(_columns(held, present), width)
    yield Text(heading, style="bold", no_wrap=True, overflow="ellipsis")
    for one, row in zip(held, rows, strict=True):
        yield Text(row, style=_style(one), no_wrap=True, overflow="ellipsis")


def bar(place: float | None, credit: float) -> str:
    """Return where a cost lies on the way, e.g. `T----|--o------S`: `place` is 0 at the target, 1 at the stop."""
    inner = ["-"] * _WIDTH
    inner[_index(credit)] = "|"
    if place is None:
        return f"T{''.join(inner)}S"
    if place >= 1:
        return f"T{''.join(inner)}!"
    if place <= 0:
        return f"o{''.join(inner)}S"
    inner[_index(place)] = "o"
    return f"T{''.join(inner)}S"


def _index(place: float) -> int:
    return min(max(int(place * _WIDTH), 0), _WIDTH - 1)


def _style(one: PositionStatus) -> str:
    if one.dte < 0 or (one.place is not None and one.place >= NEAR):
        return "red"
    if one.place is None or one.mark_is_old:
        return "yellow"
    return "green" if one.place < one.credit_place else ""


def _columns(held: Sequence[PositionStatus], present: str) -> list[Column]:
    return [
        Column(heading="position", cells=[_label(one) for one in held]),
        Column(heading="n", cells=[_contracts(one) for one in held], right=True),
        Column(heading="credit", cells=[per_share(one.entry_credit) for one in held], right=True, droppable=3),
        Column(heading="cost", cells=[_cost(one.mid_cost) for one in held], right=True),
        Column(heading="P&L", cells=[_profit(one, one.mid_cost) for one in held], right=True),
        Column(heading="at natural", cells=[_profit(one, one.natural_cost) for one in held], right=True, droppable=5),
        Column(heading="target to stop", cells=[bar(one.place, one.credit_place) for one in held]),
        Column(heading="T at", cells=[per_share(round(one.target_cost, 4)) for one in held], right=True, droppable=4),
        Column(heading="S at", cells=[per_share(round(one.stop_cost, 4)) for one in held], right=True, droppable=4),
        Column(heading="DTE", cells=[f"{one.dte}" for one in held], right=True),
        Column(heading="time exit", cells=[f"{one.time_exit_from:%m-%d}" for one in held], droppable=1),
        Column(heading="marked", cells=[_marked(one, present) for one in held], droppable=2),
        Column(heading="max loss", cells=[cents(one.max_loss_dollars) for one in held], right=True, droppable=6),
    ]


def _label(one: PositionStatus) -> str:
    """Return the spread in few characters, e.g. `SPY 410/412 call 03-19`: no option here is a year from its end."""
    right = "put" if one.spread_type == "bull_put" else "call"
    strikes = f"{strike_text(one.short_strike)}/{strike_text(one.long_strike)}"
    return plain(f"{one.underlying} {strikes} {right} {one.expiration[5:]}")


def _contracts(one: PositionStatus) -> str:
    whole = one.contracts == one.opened_contracts
    return f"{one.contracts:,}" if whole else f"{one.contracts:,}/{one.opened_contracts:,}"


def _cost(cost: float | None) -> str:
    return "-" if cost is None else per_share(cost)


def _profit(one: PositionStatus, cost: float | None) -> str:
    profit = one.profit_dollars(cost)
    return "no mark" if profit is None else cents(profit)


def _marked(one: PositionStatus, present: str) -> str:
    return "never" if one.marked_at is None else ago(one.marked_at, present)
