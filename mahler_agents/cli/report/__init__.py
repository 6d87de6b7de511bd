"""Command line, `mahler report`: what an account earned and why, and its equity curve as a picture."""

import datetime as dt
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mahler_agents.cli.options import as_json_option, database_option
from mahler_agents.cli.table import terminal_width
from mahler_agents.errors import InputError
from mahler_agents.text import plain

if TYPE_CHECKING:
    from mahler_agents.record.accounts import AccountHistory
    from mahler_agents.report import Span

_DATE = click.DateTime(formats=["%Y-%m-%d"])


@click.command()
@database_option
@click.option("--account", metavar="ID", help="Where the record has more than one.")
@click.option("--from", "first", type=_DATE, metavar="DATE", help="First day; by default the record's.")
@click.option("--to", "last", type=_DATE, metavar="DATE", help="Last day, included; by default the record's.")
@click.option("--plot", metavar="FILE", type=click.Path(path_type=Path), help="Draw the equity curve: .svg or .png.")
@as_json_option
def report(
    *,
    db: Path | None,
    account: str | None,
    first: dt.datetime | None,
    last: dt.datetime | None,
    plot: Path | None,
    as_json: bool,
) -> None:
    """Show what an account earned: positions, exits by rule, P&L after fees, drawdown, and whether equity adds up.

    A trade is a position that was closed whole; the days are New York's.
    """
    from mahler_agents.record.accounts import AccountReader
    from mahler_agents.record.location import newest_database
    from mahler_agents.report import Span, only_account, read_report
    from mahler_agents.report.plot import check_picture

    span = Span(first=first and first.date(), last=last and last.date())
    if span.first and span.last and span.first > span.last:
        raise InputError(f"--from {span.first} is after --to {span.last}")
    if plot is not None:
        check_picture(plot)
    with AccountReader(newest_database(db)) as reader:
        chosen = only_account(reader.accounts(), account)
        found = None if chosen is None else read_report(reader, chosen, span)
    drawn = None if plot is None or found is None else _draw(found[1], span, plot)
    if as_json:
        document = None if found is None else {**asdict(found[0]), "plot": drawn and str(drawn)}
        click.echo(json.dumps(document, ensure_ascii=False))
        return
    click.echo(f"record: {plain(str(reader.path))}")
    if found is None:
        click.echo("nothing to report: no run yet")
        return
    from mahler_agents.cli.report.text import report_lines

    width = terminal_width()
    for line in report_lines(found[0], width):
        click.echo(line)
    if plot is not None:
        click.echo(f"plot: {plain(str(drawn))}" if drawn else "plot: none, since no equity is recorded in these days")


def _draw(history: "AccountHistory", span: "Span", path: Path) -> Path | None:
    """Draw the equity curve; return its file, None if there is no curve."""
    from mahler_agents.report.curve import equity_curve
    from mahler_agents.report.plot import save_picture

    if (curve := equity_curve(history, span)) is None:
        return None
    save_picture(curve, path)
    return path
