"""Command line, `mahler reconcile`: the ledger held against the broker, every difference in words."""

import asyncio
import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mahler_agents.cli.asking import agreed
from mahler_agents.cli.options import (
    SETTINGS_MARKET,
    as_json_option,
    broker_option,
    market_database_option,
    seed_option,
)
from mahler_agents.cli.scan import AsOf, instant_of
from mahler_agents.errors import InputError, JobError
from mahler_agents.telling.safety_lines import check_lines, start_lines
from mahler_agents.text import instant, plain

if TYPE_CHECKING:
    from mahler_agents.safety import ReconcileResult


@click.command()
@click.option("--market", show_default=SETTINGS_MARKET, metavar="sample|csv:PATH|alpaca", help="Where quotes are from.")
@broker_option
@seed_option
@click.option(
    "--as-of",
    type=AsOf(),
    metavar="DATE|TIME",
    help="When, for a market of past days; else when the account last traded.",
)
@click.option("--closed", metavar="POSITION", help="Book a spread that you closed at the broker: its id, as shown.")
@click.option("--debit", type=float, metavar="DOLLARS", help="With --closed: what you paid per share, both legs.")
@click.option("--fees", type=float, metavar="DOLLARS", help="With --closed: the fees of it, in all; else none.")
@click.option("--at", type=AsOf(), metavar="TIME", help="With --closed: when that was; else now.")
@click.option("--yes", is_flag=True, help="With --closed: do not ask; needed where nobody can answer.")
@market_database_option
@as_json_option
def reconcile(
    *,
    market: str | None,
    broker: str | None,
    seed: int | None,
    as_of: dt.date | None,
    closed: str | None,
    debit: float | None,
    fees: float | None,
    at: dt.date | None,
    yes: bool,
    db: Path | None,
    as_json: bool,
) -> int:
    """Book the true ends of orders that were left pending, and explain what differs between ledger and broker.

    Nothing is traded. What the broker holds and the desk did not trade is external: it blocks its underlying until it
    is gone. A leg of ours that is missing makes the trading state REDUCING. Exit code 1 while anything differs, or the
    broker cannot be read.

    A spread that you closed at the broker by hand is booked with --closed and --debit, after it was shown and only if
    the broker holds none of it.
    """
    from mahler_agents.desk import Desk
    from mahler_agents.settings import Settings

    if (closed is None) is not (debit is None) or (closed is None and (fees is not None or at is not None)):
        raise InputError("--closed POSITION and --debit DOLLARS go together; --fees and --at go with them")
    if at is not None and not isinstance(at, dt.datetime):
        raise InputError(f"--at {at}: say the time of that day, too")

    settings = Settings.load({"market": market, "broker": broker, "seed": seed, "db": db})
    desk = Desk(**settings.desk_arguments(rules_only=True))

    async def run() -> "ReconcileResult":
        async with desk:
            instant_asked = as_of and instant_of(as_of, desk.market)
            if closed is None or debit is None:
                return await desk.reconcile(at=instant_asked)
            close = await desk.hand_close(closed, debit=debit, fees=fees or 0.0, closed_at=at, at=instant_asked)
            click.echo(
                f"{close.position.entry_order_id}: {plain(close.text)}, {instant(close.at)} New York", err=as_json
            )
            if not agreed("Write this into the record?", yes=yes, to="if it is to be written"):
                raise InputError("left as it is")
            return await desk.book_hand_close(close, at=instant_asked)

    result = asyncio.run(run())
    if as_json:
        click.echo(result.model_dump_json())
    else:
        click.echo("\n".join([*_lines(result), f"recorded in {plain(str(desk.database))}"]))
    return 0 if result.agrees else JobError.exit_code


def _lines(result: "ReconcileResult") -> Iterator[str]:
    for line in start_lines(result.identity, result.trading):
        yield f"{line.note}: {line.text}"
    yield f"ledger and broker as of {instant(result.at)} New York"
    if not result.alone:
        yield "another process is at work on this record: its pending orders are its own to end"
    for one in result.orders:
        yield f"order: {plain(one.text)}"
    for line in check_lines(result.broker_check):
        yield f"{line.note}: {line.text}"
    if result.broker_check.agrees:
        yield "the broker holds what the ledger says" if not result.broker_check.explained else "nothing else differs"
