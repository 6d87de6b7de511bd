"""Command line, `mahler data`: what a market that has only now cannot show again."""

import asyncio
import datetime as dt
import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mahler_agents.cli.options import as_json_option, broker_option, market_database_option
from mahler_agents.errors import JobError
from mahler_agents.text import count, plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mahler_agents.desk import Desk
    from mahler_agents.volatility_history import Backfilled


@click.group(no_args_is_help=True)
def data() -> None:
    """Look after what the record knows of the market's past."""


_DAY = click.DateTime(formats=["%Y-%m-%d"])


@data.command()
@click.option("--from", "first", type=_DAY, metavar="DATE", help="First day; else a year ago.")
@click.option("--to", "last", type=_DAY, metavar="DATE", help="Last day; else yesterday.")
@click.option("--market", default="alpaca", show_default=True, metavar="alpaca", help="Where trades are from.")
@broker_option
@market_database_option
@as_json_option
def backfill(
    *,
    first: dt.datetime | None,
    last: dt.datetime | None,
    market: str,
    broker: str | None,
    db: Path | None,
    as_json: bool,
) -> None:
    """Solve 30-day at-the-money volatilities of past days, which IV rank and percentile need.

    From daily bars of the options around the money; days that the record has are not asked for again.
    """
    from mahler_agents.desk import Desk
    from mahler_agents.settings import Settings

    settings = Settings.load({"market": market, "broker": broker, "db": db})
    desk = Desk(**settings.desk_arguments(rules_only=True))

    async def filled() -> "tuple[Backfilled, ...]":
        async with desk:
            return await desk.backfill(first and first.date(), last and last.date())

    done = asyncio.run(filled())
    if as_json:
        click.echo(json.dumps([one.model_dump(mode="json") for one in done]))
    else:
        _tell(desk, done)
    if failed := [one for one in done if one.failed is not None]:
        raise JobError("; ".join(f"{one.underlying}: {one.failed}" for one in failed))


def _tell(desk: "Desk", done: "Sequence[Backfilled]") -> None:
    if desk.market.synthetic:
        click.echo("SYNTHETIC MARKET: every price is made up")
    for one in done:
        lacking = one.asked - one.solved
        rest = f"; {count(lacking, 'day')} without enough trades" if lacking and one.failed is None else ""
        click.echo(f"{one.underlying}: {count(one.solved, 'day')} solved of {one.asked} that the record lacked{rest}")
    click.echo(f"recorded in {plain(str(desk.database))}")
