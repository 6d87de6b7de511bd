"""Command line, `mahler status`: where the desk stands, from the record alone; live on a terminal, once off it."""

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mahler_agents.cli.options import as_json_option, database_option, of_broker_option
from mahler_agents.errors import InputError
from mahler_agents.record.location import newest_database

if TYPE_CHECKING:
    from mahler_agents.clock import Clock
    from mahler_agents.record.status_rows import Status


@click.command()
@of_broker_option
@database_option
@click.option("--account", metavar="ID", help="Where the record has more than one.")
@click.option("--live/--once", default=None, help="Keep showing it, until q or Ctrl-C; else once. Live on a terminal.")
@click.option("--every", type=click.FloatRange(1, 3600), default=5, show_default=True, help="Seconds between readings.")
@as_json_option
def status(
    *, broker: str | None, db: Path | None, account: str | None, live: bool | None, every: float, as_json: bool
) -> None:
    """Show where the desk stands: account, heat, positions, circuit breaker, last scan, schedule, warnings.

    All of it is from the record, and says as of when it is; the broker is not asked, and nothing is written.
    """
    from mahler_agents.remote_clock import clock_from

    path, clock = newest_database(db, broker=broker, reruns=False), clock_from(os.environ)
    terminal = sys.stdout.isatty()
    if live and (as_json or not terminal):
        raise InputError("--live needs a terminal, and text: leave it out, or --json")
    if as_json:
        click.echo(json.dumps(_as_json(read_status(path, account, clock)), ensure_ascii=False))
    elif live if live is not None else terminal:
        from mahler_agents.cli.status.live import Keys, watch

        watch(lambda: read_status(path, account, clock), sys.stdout, Keys(sys.stdin), every=every)
    else:
        from mahler_agents.cli.console import make_console
        from mahler_agents.cli.status.view import lines

        console = make_console(sys.stdout)
        for line in lines(read_status(path, account, clock), console):
            console.print(line.text, soft_wrap=True)


def read_status(path: Path, account: str | None, clock: "Clock") -> "Status":
    """Return the status of the record's account. Raises `InputError` if it has several and none was chosen."""
    from mahler_agents.record.accounts import only_account
    from mahler_agents.record.status import StatusReader

    with StatusReader(path) as reader:
        return reader.status(only_account(reader.accounts(), account), clock.now())


def _as_json(status: "Status") -> dict[str, Any]:
    document = asdict(status)
    document["heat"]["dollars"] = status.heat.dollars
    for row, one in zip(document["positions"], status.positions, strict=True):
        row |= {
            "target_cost": round(one.target_cost, 4),
            "stop_cost": round(one.stop_cost, 4),
            "time_exit_from": one.time_exit_from.isoformat(),
            "max_loss_dollars": round(one.max_loss_dollars, 2),
            "pnl_at_mid_dollars": one.profit_dollars(one.mid_cost),
            "pnl_at_natural_dollars": one.profit_dollars(one.natural_cost),
        }
    return document
