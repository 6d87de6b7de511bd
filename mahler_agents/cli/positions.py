"""Command line, `mahler positions`: the open positions, with what they would bring now."""

import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from mahler_agents.cli.options import as_json_option, database_option
from mahler_agents.cli.table import Column, table_lines
from mahler_agents.cli.text import cents, instant, per_share, plain
from mahler_agents.record.location import newest_database
from mahler_agents.record.queries import Reader
from mahler_agents.record.rows import PositionRow


@click.command()
@database_option
@as_json_option
def positions(db: Path | None, *, as_json: bool) -> None:
    """Show open positions with their last marks.

    Profit and loss is at mid, less the fees of the entry: an exit pays the natural side and fees of its own.
    """
    with Reader(newest_database(db)) as reader:
        held = reader.open_positions()
    if as_json:
        click.echo(json.dumps([asdict(position) for position in held], ensure_ascii=False))
        return
    click.echo(f"record: {plain(str(reader.path))}")
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for line in table_lines(_columns(held), width) if held else ["no open positions"]:
        click.echo(line)


def _columns(held: Sequence[PositionRow]) -> list[Column]:
    return [
        Column(heading="position", cells=[plain(one.label) for one in held]),
        Column(heading="contracts", cells=[f"{one.contracts:,}" for one in held], right=True),
        Column(heading="credit", cells=[per_share(one.entry_credit) for one in held], right=True),
        Column(heading="cost now", cells=[_cost(one.mid_cost) for one in held], right=True),
        Column(heading="P&L at mid", cells=[_profit(one) for one in held], right=True),
        Column(heading="opened", cells=[instant(one.opened_at) for one in held], droppable=2),
        Column(heading="marked", cells=[_when(one.marked_at) for one in held], droppable=1),
        Column(heading="account", cells=[plain(one.account_id) for one in held], droppable=3),
    ]


def _cost(mid_cost: float | None) -> str:
    return "no mark" if mid_cost is None else per_share(mid_cost)


def _profit(one: PositionRow) -> str:
    if one.mid_cost is None:
        return "no mark"
    return cents((one.entry_credit - one.mid_cost) * 100 * one.contracts - one.fees)


def _when(at: str | None) -> str:
    return "never" if at is None else instant(at)
