"""Command line, `mahler simulate`: scans and monitor passes over a span of sessions, a line a day and a summary."""

import asyncio
import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mahler_agents.cli.text import cents, count, counts, percent, plain

if TYPE_CHECKING:
    from mahler_agents.simulate import SimulatedDay, SimulationResult

_DATE = click.DateTime(formats=["%Y-%m-%d"])


@click.command()
@click.option("--from", "first", required=True, type=_DATE, metavar="DATE", help="First day.")
@click.option("--to", "last", required=True, type=_DATE, metavar="DATE", help="Last day, included.")
@click.option("--seed", type=int, help="Of the sample market: another seed is another world.")
@click.option(
    "--model",
    default="none",
    show_default=True,
    metavar="MODEL",
    help="As for `mahler scan`; every day asks it about every candidate.",
)
@click.option(
    "--db",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The record, without any of these days; else MAHLER_DB, else mahler-simulated-paper.db.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON document.")
def simulate(
    *, first: dt.datetime, last: dt.datetime, seed: int | None, model: str, db: Path | None, as_json: bool
) -> None:
    """Drive the desk over a span of the sample market: a scan a day at 10:00, a monitor pass every five minutes.

    The sample market is synthetic, so is every result.
    """
    from mahler_agents.clock import Ids, SimulatedClock
    from mahler_agents.desk import Desk
    from mahler_agents.record.location import database_path
    from mahler_agents.simulate import simulate as run

    database = database_path(db, "simulated", "paper")
    clock = SimulatedClock(first.replace(tzinfo=dt.UTC))
    # Ids follow from the market's seed, so that the same simulation leaves the same record.
    desk = Desk(market="sample", seed=seed, model=model, database=database, clock=clock, ids=Ids(seed or 0))

    async def simulated() -> "SimulationResult":
        async with desk:
            return await run(desk, clock, first.date(), last.date(), None if as_json else _Days())

    result = asyncio.run(simulated())
    if as_json:
        click.echo(result.model_dump_json())
        return
    _show(result, database)


class _Days:
    """Prints a line a day; above the first, once the input has proved good, that all of it is made up."""

    def __init__(self) -> None:
        self._begun = False

    def __call__(self, day: "SimulatedDay") -> None:
        if not self._begun:
            click.echo("SYNTHETIC MARKET: every price, quote and headline is made up")
            self._begun = True
        closed = counts(day.closed) or "none"
        alert = f", {count(day.unmarked, 'position')} without a mark" if day.unmarked else ""
        click.echo(
            f"{day.date}  {day.passed:>4} passed, {day.opened} opened, closed: {closed}{alert};"
            f" {day.open_positions} open, equity {cents(day.equity)}"
        )


def _show(result: "SimulationResult", database: Path) -> None:
    last = result.days[-1]
    click.echo(
        f"{result.source}\n"
        f"{count(len(result.days), 'session')}: {result.opened} opened, closed: {counts(result.closed) or 'none'}\n"
        f"equity {cents(last.equity)}, largest drawdown {percent(result.max_drawdown, 2)}\n"
        f"recorded in {plain(str(database))}"
    )
