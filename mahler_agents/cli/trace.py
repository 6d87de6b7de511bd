"""Command line, `mahler trace`: lists the recorded runs, and shows what happened in one."""

import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from mahler_agents.cli.options import as_json_option, database_option
from mahler_agents.cli.table import Column, table_lines
from mahler_agents.cli.text import instant, plain, shortened
from mahler_agents.record.location import newest_database
from mahler_agents.record.queries import Reader
from mahler_agents.record.rows import RunSummary

_MODEL_WIDTH = 26


@click.group()
def trace() -> None:
    """List the recorded runs, and show what happened in one."""


@trace.command("list")
@database_option
@click.option("--limit", default=20, show_default=True, type=click.IntRange(min=1), help="Runs to list.")
@as_json_option
def list_runs(db: Path | None, limit: int, *, as_json: bool) -> None:
    """List the recorded runs, newest first."""
    with Reader(newest_database(db)) as reader:
        runs = reader.runs(limit)
    if as_json:
        click.echo(json.dumps([asdict(run) for run in runs], ensure_ascii=False))
        return
    click.echo(f"record: {plain(str(reader.path))}")
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for line in table_lines(_columns(runs), width) if runs else ["no runs yet"]:
        click.echo(line)
    if any(run.synthetic for run in runs):
        click.echo("* synthetic market: its figures are made up")


@trace.command()
@click.argument("run", metavar="ID")
@database_option
@as_json_option
def show(run: str, db: Path | None, *, as_json: bool) -> None:
    """Show what happened in one run: nodes, times, tokens, opinions, failures, orders.

    ID is a run's id, the beginning of one, or `latest`. JSON holds every request and reply to the letter, too.
    """
    with Reader(newest_database(db)) as reader:
        recorded = reader.trace(reader.run_id(run))
    if as_json:
        click.echo(json.dumps(asdict(recorded), ensure_ascii=False))
        return
    from mahler_agents.cli.console import make_console
    from mahler_agents.cli.tree import run_tree

    click.echo(f"record: {plain(str(reader.path))}")
    make_console(sys.stdout).print(run_tree(recorded))


def _columns(runs: Sequence[RunSummary]) -> list[Column]:
    """Return the list's columns; what a narrow terminal can do without is droppable."""

    def numbers(heading: str, cells: list[int], droppable: int = 0) -> Column:
        return Column(heading=heading, cells=[f"{cell:,}" for cell in cells], right=True, droppable=droppable)

    return [
        Column(heading="run", cells=[run.id for run in runs]),
        Column(heading="as of", cells=[instant(run.as_of) for run in runs]),
        Column(heading="started", cells=[instant(run.started_at) for run in runs], droppable=4),
        Column(heading="market", cells=[plain(run.market) + "*" * run.synthetic for run in runs], droppable=1),
        Column(heading="model", cells=[shortened(run.model, _MODEL_WIDTH) for run in runs], droppable=2),
        Column(heading="status", cells=[plain(run.status) for run in runs]),
        numbers("reviewed", [run.candidates for run in runs]),
        numbers("traded", [run.traded for run in runs]),
        numbers("calls", [run.llm_calls for run in runs], droppable=3),
        numbers("failures", [run.failures for run in runs]),
        numbers("tokens", [run.prompt_tokens + run.completion_tokens for run in runs], droppable=5),
    ]
