"""Command line, `mahler exits`: where each open position takes profit, stops and runs out of time."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from mahler_agents.cli.options import as_json_option, database_option, of_broker_option
from mahler_agents.cli.table import Column, table_lines, terminal_width
from mahler_agents.record.location import newest_database
from mahler_agents.record.queries import Reader
from mahler_agents.record.rows import PositionRow
from mahler_agents.text import cents, per_share, plain


@click.command()
@of_broker_option
@database_option
@as_json_option
def exits(*, broker: str | None, db: Path | None, as_json: bool) -> None:
    """Show at which cost each open position takes profit or stops, in dollars, and when its time is up.

    The thresholds are those under which it was entered. The costs are those of closing what is open, at mid, before the
    exit's fees; the distances are how far the cost must fall to the target, and may rise to the stop.
    """
    with Reader(newest_database(db, broker=broker, reruns=False)) as reader:
        held = reader.open_positions()
    thresholds = [_thresholds(position) for position in held]
    if as_json:
        click.echo(json.dumps(thresholds, ensure_ascii=False))
        return
    click.echo(f"record: {plain(str(reader.path))}")
    width = terminal_width()
    for line in table_lines(_columns(held, thresholds), width) if held else ["no open positions"]:
        click.echo(line)


def _thresholds(position: PositionRow) -> dict[str, Any]:
    dollars = 100 * position.contracts
    target, stop, cost = position.target_cost, position.stop_cost, position.mid_cost
    return {
        "entry_order_id": position.entry_order_id,
        "contracts": position.contracts,
        "opened_contracts": position.opened_contracts,
        "exit_params": position.exit_params,
        "received_dollars": round(position.entry_credit * dollars, 2),
        "target_cost_dollars": round(target * dollars, 2),
        "stop_cost_dollars": round(stop * dollars, 2),
        "cost_now_dollars": None if cost is None else round(cost * dollars, 2),
        "to_target_dollars": None if cost is None else round((cost - target) * dollars, 2),
        "to_stop_dollars": None if cost is None else round((stop - cost) * dollars, 2),
        "target_cost": round(target, 4),
        "stop_cost": round(stop, 4),
        "time_exit_from": position.time_exit_from.isoformat(),
    }


def _columns(held: Sequence[PositionRow], thresholds: Sequence[dict[str, Any]]) -> list[Column]:
    def money(heading: str, key: str, droppable: int = 0) -> Column:
        cells = ["no mark" if one[key] is None else cents(one[key]) for one in thresholds]
        return Column(heading=heading, cells=cells, right=True, droppable=droppable)

    return [
        Column(heading="position", cells=[plain(one.label) for one in held]),
        Column(heading="contracts", cells=[f"{one.contracts:,}" for one in held], right=True, droppable=3),
        money("received", "received_dollars", droppable=4),
        money("target", "target_cost_dollars"),
        money("cost now", "cost_now_dollars"),
        money("stop", "stop_cost_dollars"),
        money("to target", "to_target_dollars", droppable=1),
        money("to stop", "to_stop_dollars", droppable=2),
        Column(
            heading="per share",
            cells=[f"{per_share(one['target_cost'])} / {per_share(one['stop_cost'])}" for one in thresholds],
            droppable=5,
        ),
        Column(heading="time exit", cells=[str(one["time_exit_from"]) for one in thresholds]),
    ]
