"""Command line, `mahler trace list`: filters in, the runs that fit out, newest first."""

import datetime as dt
import json
from collections.abc import Sequence
from dataclasses import asdict
from math import isfinite
from pathlib import Path

import click

from mahler_agents.cli.options import as_json_option, database_option
from mahler_agents.cli.table import Column, table_lines, terminal_width
from mahler_agents.errors import InputError
from mahler_agents.record.location import newest_database
from mahler_agents.record.rows import RunSummary
from mahler_agents.record.runs import RunFilter, RunsReader
from mahler_agents.text import instant, plain, shortened, small_dollars

_MODEL_WIDTH = 26
_DATE = click.DateTime(formats=["%Y-%m-%d"])


@click.command("list")
@database_option
@click.option("--date", "day", type=_DATE, metavar="DATE", help="Runs of one New York date (of the market they read).")
@click.option("--since", type=_DATE, metavar="DATE", help="Runs of that New York date and later.")
@click.option("--until", type=_DATE, metavar="DATE", help="Runs up to that New York date, included.")
@click.option("--underlying", metavar="SYMBOL", help="Runs that reviewed a candidate of it.")
@click.option("--status", type=click.Choice(["running", "done", "failed"]), help="How the run stands.")
@click.option("--failed", is_flag=True, help="Runs that failed, or in which an analyst or the fund manager did.")
@click.option("--model", metavar="NAME", help="Runs that asked it, for any role.")
@click.option("--prompt", metavar="VERSION", help="Runs that used this prompt: its hash, or the beginning of it.")
@click.option(
    "--min-cost", type=click.FloatRange(min=0), metavar="DOLLARS", help="Runs whose known cost is that or more."
)
@click.option("--limit", default=20, show_default=True, type=click.IntRange(min=1), help="Runs to list.")
@as_json_option
def list_runs(
    *,
    db: Path | None,
    day: dt.datetime | None,
    since: dt.datetime | None,
    until: dt.datetime | None,
    underlying: str | None,
    status: str | None,
    failed: bool,
    model: str | None,
    prompt: str | None,
    min_cost: float | None,
    limit: int,
    as_json: bool,
) -> None:
    """List the recorded runs, newest first; with filters, those that fit all of them."""
    first, last = _span(day, since, until)
    if min_cost is not None and not isfinite(min_cost):
        raise InputError(f"--min-cost {min_cost}: name dollars, such as 0.5")
    chosen = RunFilter(
        since=first,
        until=last,
        underlying=underlying and underlying.upper(),
        status=status,
        failed=failed,
        model=model,
        prompt=prompt,
        min_cost=min_cost,
    )
    with RunsReader(newest_database(db)) as reader:
        runs = reader.runs(limit, chosen)
    if as_json:
        click.echo(json.dumps([asdict(run) for run in runs], ensure_ascii=False))
        return
    click.echo(f"record: {plain(str(reader.path))}")
    width = terminal_width()
    none = "no runs yet" if chosen == RunFilter() else "no run fits"
    for line in table_lines(_columns(runs), width) if runs else [none]:
        click.echo(line)
    if any(run.synthetic for run in runs):
        click.echo("* synthetic market: its figures are made up")


def _span(
    day: dt.datetime | None, since: dt.datetime | None, until: dt.datetime | None
) -> tuple[dt.date | None, dt.date | None]:
    """Return the first and the last date that are asked for."""
    if day and (since or until):
        raise InputError("--date is one day: leave out --since and --until, or --date")
    first, last = day or since, day or until
    if first and last and first > last:
        raise InputError(f"--since {first.date()} is after --until {last.date()}")
    return first and first.date(), last and last.date()


def _columns(runs: Sequence[RunSummary]) -> list[Column]:
    """Return the list's columns; what a narrow terminal can do without is droppable."""

    def numbers(heading: str, cells: list[int], droppable: int = 0) -> Column:
        return Column(heading=heading, cells=[f"{cell:,}" for cell in cells], right=True, droppable=droppable)

    costs = ["unknown" if run.cost_dollars is None else small_dollars(run.cost_dollars) for run in runs]
    return [
        Column(heading="run", cells=[run.id for run in runs]),
        Column(heading="as of", cells=[instant(run.as_of) for run in runs]),
        Column(heading="started", cells=[instant(run.started_at) for run in runs], droppable=7),
        Column(heading="market", cells=[plain(run.market) + "*" * run.synthetic for run in runs], droppable=3),
        Column(heading="model", cells=[shortened(run.model, _MODEL_WIDTH) for run in runs], droppable=2),
        Column(heading="underlyings", cells=[shortened(" ".join(run.underlyings), 24) for run in runs], droppable=6),
        Column(heading="status", cells=[plain(run.status) + ", replay" * (run.kind == "replay") for run in runs]),
        numbers("reviewed", [run.candidates for run in runs], droppable=4),
        numbers("traded", [run.traded for run in runs]),
        numbers("calls", [run.llm_calls for run in runs], droppable=5),
        numbers("failures", [run.failures for run in runs]),
        numbers("tokens", [run.prompt_tokens + run.completion_tokens for run in runs], droppable=8),
        Column(heading="cost", cells=costs, right=True, droppable=1),
    ]
