"""Command line, `mahler prompts`: how well the replies to each version of each prompt keep to their briefs."""

import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from mahler_agents.cli.options import as_json_option, database_option
from mahler_agents.cli.table import Column, table_lines
from mahler_agents.record.location import newest_database
from mahler_agents.record.queries import Reader
from mahler_agents.record.rows import GroundednessRow
from mahler_agents.text import percent, plain, words

_VERSION_SHOWN = 8
"""Characters, as in `mahler trace show`."""


@click.command()
@database_option
@as_json_option
def prompts(db: Path | None, *, as_json: bool) -> None:
    """Show, for each prompt version and model, how many numbers in the replies are not in the brief.

    Over all recorded runs, scans and replays apart. A version is the hash of the prompt's text; docs/prompts.md says
    what counts as a number.
    """
    with Reader(newest_database(db)) as reader:
        counted = reader.groundedness()
    if as_json:
        click.echo(json.dumps([asdict(row) for row in counted], ensure_ascii=False))
        return
    click.echo(f"record: {plain(str(reader.path))}")
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for line in table_lines(_columns(counted), width) if counted else ["no replies yet"]:
        click.echo(line)


def _columns(counted: Sequence[GroundednessRow]) -> list[Column]:
    return [
        Column(heading="role", cells=[plain(words(row.role)) for row in counted]),
        Column(heading="version", cells=[plain(row.prompt_hash[:_VERSION_SHOWN]) for row in counted]),
        Column(heading="model", cells=[plain(row.model) for row in counted], droppable=1),
        Column(heading="heard in", cells=["replays" if row.retrospective else "scans" for row in counted]),
        Column(heading="replies", cells=[f"{row.replies:,}" for row in counted], right=True),
        Column(heading="numbers", cells=[f"{row.numbers:,}" for row in counted], right=True, droppable=2),
        Column(heading="not in brief", cells=[f"{row.ungrounded:,}" for row in counted], right=True),
        Column(heading="share", cells=[_share(row) for row in counted], right=True),
    ]


def _share(row: GroundednessRow) -> str:
    return percent(row.ungrounded / row.numbers, 1) if row.numbers else "-"
