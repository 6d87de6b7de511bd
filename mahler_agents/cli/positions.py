"""Command line, `mahler positions`: the open positions, with what they would bring now."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from mahler_agents.cli.options import as_json_option, database_option, of_broker_option
from mahler_agents.cli.table import Column, table_lines, terminal_width
from mahler_agents.record.location import newest_database
from mahler_agents.record.queries import Reader
from mahler_agents.record.rows import PositionRow
from mahler_agents.record.safety import SafetyReader
from mahler_agents.text import cents, instant, per_share, plain


@click.command()
@of_broker_option
@database_option
@as_json_option
def positions(*, broker: str | None, db: Path | None, as_json: bool) -> None:
    """Show open positions with their last marks.

    Profit and loss is of what is still open, at mid and at the natural side, less the fees of the entry; an exit has
    fees of its own.
    """
    path = newest_database(db, broker=broker, reruns=False)
    with Reader(path) as reader:
        held = reader.open_positions()
    if as_json:
        click.echo(json.dumps([_as_json(position) for position in held], ensure_ascii=False))
        return
    click.echo(f"record: {plain(str(path))}")
    for line in _safety(path):
        click.echo(plain(line))
    width = terminal_width()
    for line in table_lines(_columns(held), width) if held else ["no open positions"]:
        click.echo(line)


def _safety(path: Path) -> Iterator[str]:
    """Yield what keeps the desk from opening positions: the trading state, the broker, what differs there."""
    with SafetyReader(path) as reader:
        if not (standing := reader.standing()).active:
            yield f"trading: {standing.text}; nothing is opened, exits go on"
        for error in reader.unread():
            yield f"broker: it could not be read when last asked, so nothing is opened: {error}"
        for one in reader.differences():
            yield f"{one.kind}: {one.explanation}"


def _as_json(one: PositionRow) -> dict[str, Any]:
    return {
        **asdict(one),
        "pnl_at_mid_dollars": one.profit_dollars(one.mid_cost),
        "pnl_at_natural_dollars": one.profit_dollars(one.natural_cost),
    }


def _columns(held: Sequence[PositionRow]) -> list[Column]:
    return [
        Column(heading="position", cells=[plain(one.label) for one in held]),
        Column(heading="contracts", cells=[_contracts(one) for one in held], right=True),
        Column(heading="credit", cells=[per_share(one.entry_credit) for one in held], right=True, droppable=2),
        Column(heading="cost now", cells=[_cost(one.mid_cost) for one in held], right=True, droppable=1),
        Column(heading="P&L at mid", cells=[_profit(one, one.mid_cost) for one in held], right=True),
        Column(heading="at natural", cells=[_profit(one, one.natural_cost) for one in held], right=True),
        Column(heading="opened", cells=[instant(one.opened_at) for one in held], droppable=4),
        Column(heading="marked", cells=[_when(one.marked_at) for one in held], droppable=3),
        Column(heading="account", cells=[plain(one.account_id) for one in held], droppable=5),
    ]


def _contracts(one: PositionRow) -> str:
    whole = one.contracts == one.opened_contracts
    return f"{one.contracts:,}" if whole else f"{one.contracts:,} of {one.opened_contracts:,}"


def _cost(mid_cost: float | None) -> str:
    return "no mark" if mid_cost is None else per_share(mid_cost)


def _profit(one: PositionRow, cost: float | None) -> str:
    profit = one.profit_dollars(cost)
    return "no mark" if profit is None else cents(profit)


def _when(at: str | None) -> str:
    return "never" if at is None else instant(at)
