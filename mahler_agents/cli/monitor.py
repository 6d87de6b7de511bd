"""Command line, `mahler monitor`: one pass over the open positions."""

import asyncio
import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mahler_agents.cli.options import (
    SETTINGS_MARKET,
    as_json_option,
    broker_option,
    market_database_option,
    seed_option,
)
from mahler_agents.cli.scan import AsOf, instant_of
from mahler_agents.cli.telling import tell
from mahler_agents.clock import utc_text
from mahler_agents.errors import InputError, JobError
from mahler_agents.record.queries import Reader
from mahler_agents.telling import exits
from mahler_agents.telling.risk_lines import breaker_lines
from mahler_agents.telling.safety_lines import check_lines, trading_lines
from mahler_agents.text import cents, count, instant, plain, words

if TYPE_CHECKING:
    from mahler_agents.desk import Desk
    from mahler_agents.monitor import MonitorResult


@click.command()
@click.option("--market", show_default=SETTINGS_MARKET, metavar="sample|csv:PATH|alpaca", help="Where quotes are from.")
@broker_option
@seed_option
@click.option(
    "--as-of",
    type=AsOf(),
    metavar="DATE|TIME",
    help="When; a date is 10:00 New York, or the close in a csv file. Left out with alpaca, which has now.",
)
@click.option("--ad-hoc", is_flag=True, help="Make a pass now, whatever the schedule has made.")
@market_database_option
@as_json_option
def monitor(
    *,
    market: str | None,
    broker: str | None,
    seed: int | None,
    as_of: dt.date | None,
    ad_hoc: bool,
    db: Path | None,
    as_json: bool,
) -> int:
    """Mark open positions, settle what expired, and close what a rule says to close.

    Rules: stop, then target, then time, at the thresholds of each position's entry; else the share that the circuit
    breaker asks for. A position without a fresh quote is left alone and named.

    On a live market it is the pass of the schedule that is due: a second one, or a daemon's, does nothing.
    """
    from mahler_agents.cli.scheduled import run_due
    from mahler_agents.desk import Desk
    from mahler_agents.monitor import MonitorResult
    from mahler_agents.schedule import Job
    from mahler_agents.settings import Settings

    settings = Settings.load({"market": market, "broker": broker, "seed": seed, "db": db})
    if settings.market.partition(":")[0] == "recorded":
        raise InputError("only `mahler scan` takes a recorded market: there are no later quotes to mark positions at")
    desk = Desk(**settings.desk_arguments(rules_only=True))
    if as_of is None and not desk.market.live:
        raise InputError(f"the market {settings.market} has more than one instant: say when with --as-of")

    scheduled = as_of is None and not ad_hoc
    if scheduled:
        _, result, nothing = run_due(settings, Job.MONITOR, MonitorResult)
    else:
        result, nothing = asyncio.run(_passed(desk, as_of and instant_of(as_of, desk.market))), ""
    if result is None:
        click.echo("null" if as_json else plain(nothing))
        return 0
    for failed in result.failed:
        click.echo(f"mahler: {plain(failed)}", err=True)
    if as_json:
        click.echo(result.model_dump_json())
    else:
        recorded = f"recorded in {plain(str(desk.database))}"
        lines = [*_lines(result), *_later(result, desk.database), recorded]
        click.echo("\n".join([f"desk: {plain(result.identity.text)}", *lines]))
    if not scheduled:  # the schedule's jobs have told already
        tell(settings, desk.database, result)
    return JobError.exit_code if result.failed else 0


async def _passed(desk: "Desk", at: dt.datetime | None) -> "MonitorResult":
    async with desk:
        return await desk.monitor(at=at)


def _lines(result: "MonitorResult") -> Iterator[str]:
    if result.synthetic:
        yield "SYNTHETIC MARKET: every price and quote is made up"
    for line in (*trading_lines(result.trading), *check_lines(result.broker_check)):
        yield f"{line.note}: {line.text}"
    yield f"{count(result.positions, 'open position')} as of {instant(result.at)} New York"
    yield from map(exits.settled, result.settled)
    yield from map(exits.closing, result.closings)
    for alert in result.alerts:
        yield f"{words(alert.code)}: {alert.spread}: {plain(alert.text)}"
    for line in breaker_lines(result.breaker.model_dump(mode="json")):
        yield f"{line.note}: {line.text}" if line.note else line.text
    account = result.account
    left = f"{result.positions_after:,} left open"
    yield f"{left}, equity {cents(account.equity)}, cash {cents(account.cash)}"


def _later(result: "MonitorResult", database: Path) -> Iterator[str]:
    """Name what was filled after the pass's instant: the account holds it, and the pass has not looked at it."""
    with Reader(database) as reader:
        held = [one for one in reader.open_positions() if one.account_id == result.account.account_id]
    later = [one.opened_at for one in held if one.opened_at > utc_text(result.at)]
    if later:
        opened = f"{count(len(later), 'position')} opened after it, until {instant(max(later))}"
        yield f"not looked at: {opened}; use a later --as-of"
