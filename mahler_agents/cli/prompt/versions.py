"""Command line, `mahler prompt list` and `history`: which versions were used, and how their replies keep to briefs."""

import difflib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from mahler_agents.cli.options import as_json_option, database_option
from mahler_agents.cli.table import Column, table_lines, terminal_width
from mahler_agents.record.location import newest_database
from mahler_agents.record.prompt_versions import PromptReader, PromptVersion
from mahler_agents.record.queries import Reader
from mahler_agents.record.rows import GroundednessRow
from mahler_agents.text import instant, percent, plain, words

_SHOWN = 8
"""Characters of a version, as in `mahler trace show`."""
Heard = tuple[str, GroundednessRow]
"""Where replies were heard, and how they keep to their briefs."""


@click.command("list")
@click.option("--role", metavar="ROLE", help="Only this role's.")
@database_option
@as_json_option
def list_versions(role: str | None, db: Path | None, *, as_json: bool) -> None:
    """List the prompt versions on record and how many numbers in their replies are not in the brief.

    A line for each version and model, scans, replays and evaluations apart. A version is the hash of the prompt's text;
    docs/prompts.md says what counts as a number.
    """
    path = newest_database(db)
    with PromptReader(path) as reader:
        versions, evaluated = reader.versions(role), reader.evaluated()
    with Reader(path) as reader:
        counted = [*map(_heard, reader.groundedness()), *(("evaluations", one) for one in evaluated)]
    rows = [
        (version, found)
        for version in versions
        for found in ([one for one in counted if one[1].prompt_hash == version.hash] or [None])
    ]
    if as_json:
        click.echo(json.dumps([_json(*row) for row in rows], ensure_ascii=False))
        return
    click.echo(f"record: {plain(str(path))}")
    for line in (
        table_lines(_columns(rows), terminal_width()) if rows else ["no prompt on record yet: run `mahler scan` first"]
    ):
        click.echo(line)


@click.command()
@click.argument("role")
@database_option
@as_json_option
def history(role: str, db: Path | None, *, as_json: bool) -> None:
    """Show one role's versions in the order of their first use, with the runs that used them."""
    path = newest_database(db)
    with PromptReader(path) as reader:
        versions = reader.versions(role)
    changes = [_changed(*pair) for pair in zip([None, *versions], versions, strict=False)]
    if as_json:
        rows = [
            {**_version(one), "lines_added": added, "lines_removed": removed}
            for one, (added, removed) in zip(versions, changes, strict=True)
        ]
        click.echo(json.dumps(rows, ensure_ascii=False))
        return
    click.echo(f"record: {plain(str(path))}")
    for line in table_lines(_history(versions, changes), terminal_width()):
        click.echo(line)


def _changed(before: PromptVersion | None, after: PromptVersion) -> tuple[int, int]:
    """Return how many lines a version adds to and takes from the one before."""
    if before is None:
        return len(after.content.splitlines()), 0
    lines = list(difflib.ndiff(before.content.splitlines(), after.content.splitlines()))
    return sum(line.startswith("+ ") for line in lines), sum(line.startswith("- ") for line in lines)


def _history(versions: Sequence[PromptVersion], changes: Sequence[tuple[int, int]]) -> list[Column]:
    return [
        Column(heading="version", cells=[plain(one.hash[:_SHOWN]) for one in versions]),
        Column(heading="first used", cells=[_when(one.first_used) for one in versions]),
        Column(heading="last used", cells=[_when(one.last_used) for one in versions], droppable=1),
        Column(heading="scans", cells=[f"{one.scans:,}" for one in versions], right=True),
        Column(heading="replays", cells=[f"{one.replays:,}" for one in versions], right=True),
        Column(heading="evaluations", cells=[f"{one.evaluations:,}" for one in versions], right=True),
        Column(heading="lines", cells=[f"+{added} -{removed}" for added, removed in changes], right=True),
    ]


def _columns(rows: Sequence[tuple[PromptVersion, Heard | None]]) -> list[Column]:
    found = [None if heard is None else heard[1] for _, heard in rows]
    return [
        Column(heading="role", cells=[plain(words(one.role)) for one, _ in rows]),
        Column(heading="version", cells=[plain(one.hash[:_SHOWN]) for one, _ in rows]),
        Column(heading="first used", cells=[_when(one.first_used) for one, _ in rows], droppable=3),
        Column(heading="model", cells=["-" if one is None else plain(one.model) for one in found], droppable=1),
        Column(heading="heard in", cells=["-" if heard is None else heard[0] for _, heard in rows]),
        Column(heading="replies", cells=["0" if one is None else f"{one.replies:,}" for one in found], right=True),
        Column(
            heading="numbers",
            cells=["-" if one is None else f"{one.numbers:,}" for one in found],
            right=True,
            droppable=2,
        ),
        Column(
            heading="not in brief", cells=["-" if one is None else f"{one.ungrounded:,}" for one in found], right=True
        ),
        Column(heading="share", cells=[_share(one) for one in found], right=True),
    ]


def _heard(row: GroundednessRow) -> Heard:
    return "replays" if row.retrospective else "scans", row


def _share(row: GroundednessRow | None) -> str:
    return percent(row.ungrounded / row.numbers, 1) if row is not None and row.numbers else "-"


def _when(at: str | None) -> str:
    return "never" if at is None else instant(at)


def _version(one: PromptVersion) -> dict[str, object]:
    fields = asdict(one)
    del fields["content"]
    return fields


def _json(version: PromptVersion, found: Heard | None) -> dict[str, object]:
    return {**_version(version), "heard": None if found is None else {"heard_in": found[0], **asdict(found[1])}}
