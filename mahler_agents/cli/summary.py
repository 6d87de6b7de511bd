"""Command line, `mahler summary`: what one trading day brought, from the record."""

import datetime as dt
import json
import shutil
import sys
from pathlib import Path

import click

from mahler_agents.cli.options import as_json_option, database_option
from mahler_agents.cli.text import plain
from mahler_agents.record.location import newest_database


@click.command()
@click.option(
    "--date",
    type=click.DateTime(formats=["%Y-%m-%d"]),
    metavar="DATE",
    help="New York date; by default the last that the record tells of.",
)
@click.option("--account", metavar="ID", help="Where the record has more than one.")
@database_option
@as_json_option
def summary(*, date: dt.datetime | None, account: str | None, db: Path | None, as_json: bool) -> None:
    """Show the end of a trading day: equity and P&L, trades, exits, what is held, scans, advice, schedule, errors.

    Everything is read from the record; nothing is asked of a market, a broker or a model, and nothing is changed.
    """
    from mahler_agents.summary import chosen_account, day_summary, last_day, summary_lines

    path = newest_database(db)
    chosen = chosen_account(path, account)
    day = date.date() if date is not None else None if chosen is None else last_day(path, chosen)
    found = None if chosen is None or day is None else day_summary(path, chosen, day)
    if as_json:
        click.echo(json.dumps(None if found is None else found.as_json(), ensure_ascii=False))
        return
    click.echo(f"record: {plain(str(path))}")
    if found is None:
        click.echo("nothing to tell: no run yet")
        return
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for line in summary_lines(found, width):
        click.echo(line)
