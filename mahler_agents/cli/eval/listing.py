"""Command line, `mahler eval list` and `show`: what was evaluated."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from mahler_agents.cli.options import as_json_option, database_option
from mahler_agents.cli.table import Column, table_lines, terminal_width
from mahler_agents.record.evaluations import EvaluationReader, EvaluationRow
from mahler_agents.record.location import newest_database
from mahler_agents.text import instant, plain, small_dollars, words


@click.command("list")
@database_option
@as_json_option
def list_evaluations(db: Path | None, *, as_json: bool) -> None:
    """List the evaluations, newest first."""
    with EvaluationReader(newest_database(db)) as reader:
        rows = reader.evaluations()
    if as_json:
        click.echo(json.dumps([{**asdict(row), "state": row.state} for row in rows], ensure_ascii=False))
        return
    click.echo(f"record: {plain(str(reader.path))}")
    for line in (
        table_lines(_columns(rows), terminal_width()) if rows else ["no evaluation yet: `mahler eval run` makes one"]
    ):
        click.echo(line)


def _columns(rows: Sequence[EvaluationRow]) -> list[Column]:
    return [
        Column(heading="evaluation", cells=[row.id for row in rows]),
        Column(heading="started", cells=[instant(row.started_at) for row in rows], droppable=2),
        Column(heading="state", cells=[row.state for row in rows]),
        Column(heading="role", cells=[plain(words(row.role)) for row in rows]),
        Column(heading="variants", cells=[f"{row.variants}" for row in rows], right=True, droppable=3),
        Column(heading="cases", cells=[f"{row.cases:,}" for row in rows], right=True),
        Column(heading="repeats", cells=[f"{row.repeats}" for row in rows], right=True, droppable=4),
        Column(heading="answers", cells=[f"{row.answered:,} of {row.expected:,}" for row in rows], right=True),
        Column(heading="failed", cells=[f"{row.failed:,}" for row in rows], right=True),
        Column(heading="calls", cells=[f"{row.calls:,}" for row in rows], right=True, droppable=1),
        Column(heading="cost", cells=[_cost(row) for row in rows], right=True, droppable=5),
    ]


def _cost(row: EvaluationRow) -> str:
    return "?" if row.cost_dollars is None else small_dollars(row.cost_dollars)


@click.command()
@click.argument("evaluation", metavar="[ID]", default="latest")
@click.option("--case", "case_id", metavar="ID", help="What was said of this case, with scores and their explanations.")
@click.option("--scorer", "named", multiple=True, metavar="MODULE:FUNCTION", help="A scorer of yours, too.")
@database_option
@as_json_option
def show(evaluation: str, case_id: str | None, named: tuple[str, ...], db: Path | None, *, as_json: bool) -> None:
    """Show one evaluation: its variants and their mean scores; or what was said of one case."""
    from mahler_agents.cli.eval.text import case_lines, summary_lines
    from mahler_agents.evaluation.registry import scorers
    from mahler_agents.evaluation.summary import case_document, summary

    path = newest_database(db)
    chosen = scorers(named)
    if case_id is not None:
        document = case_document(path, evaluation, case_id, chosen)
        if as_json:
            click.echo(json.dumps(document, ensure_ascii=False))
            return
        lines = case_lines(document, terminal_width())
    else:
        found = summary(path, evaluation, chosen)
        if as_json:
            click.echo(found.model_dump_json())
            return
        lines = summary_lines(found, terminal_width())
    click.echo(f"record: {plain(str(path))}")
    for line in lines:
        click.echo(line)
