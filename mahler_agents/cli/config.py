"""Command line, `mahler config`: every setting in force, and where its value is from."""

import json
import os

import click

from mahler_agents.cli.options import as_json_option
from mahler_agents.cli.table import Column, table_lines, terminal_width
from mahler_agents.text import plain


@click.group(no_args_is_help=True)
def config() -> None:
    """Look at the settings (docs/configuration.md)."""


@config.command()
@as_json_option
def show(*, as_json: bool) -> None:
    """Show every setting with its value and its source: default, a line of mahler.toml, or a variable.

    Secrets are never shown, only whether they are set and where. What is unknown or out of range is refused, with its
    place and what is allowed.
    """
    from mahler_agents.settings import Settings
    from mahler_agents.settings.shown import shown, shown_variables

    settings = Settings.load()
    told = [*shown(settings), *shown_variables(os.environ)]
    if as_json:
        click.echo(json.dumps([one.model_dump() for one in told], ensure_ascii=False))
        return
    columns = [
        Column(heading="setting", cells=[one.key for one in told]),
        Column(heading="value", cells=[_value(one.value) for one in told]),
        Column(heading="from", cells=[plain(one.source) for one in told]),
    ]
    for line in table_lines(columns, terminal_width()):
        click.echo(line)


def _value(value: object) -> str:
    if value is None:
        return "-"
    return plain(value) if isinstance(value, str) else plain(json.dumps(value, ensure_ascii=False))
