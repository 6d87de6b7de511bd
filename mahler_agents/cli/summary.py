"""Command line, `mahler summary`: what one trading day brought, from the record."""

import datetime as dt
import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mahler_agents.cli.options import as_json_option, database_option
from mahler_agents.cli.table import terminal_width
from mahler_agents.errors import InputError
from mahler_agents.record.location import newest_database
from mahler_agents.text import plain

if TYPE_CHECKING:
    from mahler_agents.summary import DaySummary


@click.command()
@click.option(
    "--date",
    type=click.DateTime(formats=["%Y-%m-%d"]),
    metavar="DATE",
    help="New York date; by default the last that the record tells of.",
)
@click.option("--account", metavar="ID", help="Where the record has more than one.")
@click.option(
    "--slot",
    type=click.Choice(["auto"]),
    help="Make the summary of the schedule that is due, and send it, once; nothing if none is: for cron.",
)
@database_option
@as_json_option
def summary(*, date: dt.datetime | None, account: str | None, slot: str | None, db: Path | None, as_json: bool) -> None:
    """Show the end of a trading day: equity and P&L, trades, exits, what is held, scans, advice, schedule, errors.

    Everything is read from the record; nothing is asked of a market, a broker or a model. With --slot auto the slot is
    claimed in the record: a second one, or a daemon's, does nothing.
    """
    if slot is None:
        path = newest_database(db)
        found, nothing = _of(path, date, account), "nothing to tell: no run yet"
    else:
        if date is not None or account is not None:
            raise InputError("--slot auto is of now: leave --date and --account out")
        path, found, nothing = _scheduled(db)
    if as_json:
        click.echo(json.dumps(None if found is None else found.as_json(), ensure_ascii=False))
        return
    click.echo(f"record: {plain(str(path))}")
    if found is None:
        click.echo(plain(nothing))
        return
    from mahler_agents.summary import summary_lines

    width = terminal_width()
    for line in summary_lines(found, width):
        click.echo(line)


def _of(path: Path, date: dt.datetime | None, account: str | None) -> "DaySummary | None":
    from mahler_agents.summary import chosen_account, day_summary, last_day

    chosen = chosen_account(path, account)
    day = date.date() if date is not None else None if chosen is None else last_day(path, chosen)
    return None if chosen is None or day is None else day_summary(path, chosen, day)


def _scheduled(db: Path | None) -> "tuple[Path, DaySummary | None, str]":
    from mahler_agents.cli.scheduled import run_due
    from mahler_agents.desk import Desk
    from mahler_agents.schedule import Job
    from mahler_agents.settings import Settings
    from mahler_agents.summary import DaySummary

    settings = Settings.load({"db": db})
    if not Desk(**settings.desk_arguments(rules_only=True)).database.exists():
        # As `mahler summary` chooses: a record that is made for its summary would have nothing to sum up.
        settings = Settings.load({"db": newest_database(db, reruns=False)})
    return run_due(settings, Job.SUMMARY, DaySummary)
