"""Command line: options that several verbs share."""

from pathlib import Path

import click

database_option = click.option(
    "--db",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The record; else MAHLER_DB, else the newest mahler-*.db here.",
)

as_json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
