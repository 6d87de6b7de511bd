"""Command line, `mahler monitor`: one pass over the open positions."""

import asyncio
import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mahler_agents.cli.scan import AsOf, instant_of
from mahler_agents.cli.text import cents, count, instant, per_share, plain, words
from mahler_agents.errors import JobError

if TYPE_CHECKING:
    from mahler_agents.monitor import Closing, MonitorResult


@click.command()
@click.option("--market", default="sample", show_default=True, metavar="sample|csv:PATH", help="Where quotes are from.")
@click.option("--seed", type=int, help="Of the sample market: another seed is another world.")
@click.option(
    "--as-of",
    type=AsOf(),
    required=True,
    metavar="DATE|TIME",
    help="When; a date is 10:00 New York, or the close in a csv file.",
)
@click.option(
    "--db",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The record; else MAHLER_DB, else mahler-MARKET-BROKER.db.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON document.")
def monitor(*, market: str, seed: int | None, as_of: dt.date, db: Path | None, as_json: bool) -> int:
    """Mark open positions and close those that an exit rule says to close: stop, then target, then time."""
    from mahler_agents.desk import Desk

    desk = Desk(market=market, seed=seed, model="none", database=db)

    async def passed() -> "MonitorResult":
        async with desk:
            return await desk.monitor(at=instant_of(as_of, desk.market))

    result = asyncio.run(passed())
    for failed in result.failed:
        click.echo(f"mahler: {plain(failed)}", err=True)
    code = JobError.exit_code if result.failed else 0
    if as_json:
        click.echo(result.model_dump_json())
        return code
    click.echo(f"{count(result.positions, 'open position')} as of {instant(result.at)} New York")
    for closing in result.closings:
        click.echo(_closing(closing))
    for order_id in result.unmarked:
        click.echo(f"no mark: {plain(order_id)}: a leg has no quote; exits not evaluated")
    click.echo(f"equity {cents(result.account.equity)}, cash {cents(result.account.cash)}")
    click.echo(f"recorded in {plain(str(desk.database))}")
    return code


def _closing(closing: "Closing") -> str:
    decision, order = closing.decision, closing.order
    why = f"{words(decision.rule.value)}: {decision.observed:g} against {decision.threshold:g}"
    traded = None if order is None else order.traded
    if traded is None:
        return f"{closing.position.spread.label}: not closed ({why}); asked again at the next pass"
    held = closing.position.contracts
    contracts = f"{traded.contracts} of {held}" if traded.contracts < held else f"{held}"
    return f"{closing.position.spread.label}: closed {contracts} at {per_share(-traded.credit)} ({why})"
