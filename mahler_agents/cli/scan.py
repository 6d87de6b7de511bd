"""Command line, `mahler scan`: one morning scan, shown as it happens and reported when it is done."""

import asyncio
import contextlib
import datetime as dt
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mahler_agents.cli.advisors import advisors_options
from mahler_agents.cli.options import (
    SETTINGS_MARKET,
    as_json_option,
    broker_option,
    exits_option,
    market_database_option,
    seed_option,
)
from mahler_agents.cli.program import replay_command, resume_command, show_command
from mahler_agents.cli.telling import tell
from mahler_agents.clock import NEW_YORK
from mahler_agents.errors import HaltedError, InputError, JobError
from mahler_agents.text import plain

if TYPE_CHECKING:
    from mahler_agents.cli.lines import PlainLines
    from mahler_agents.cli.live import LiveTable
    from mahler_agents.desk import Desk
    from mahler_agents.market.snapshot import Market
    from mahler_agents.scan import ScanResult


LAST_LEFT = "last"
"""What --resume without a run stands for."""


class AsOf(click.ParamType[dt.date]):
    """A date, or an ISO time: New York's unless it names a zone."""

    name = "as-of"

    def convert(self, value: str | dt.date, param: click.Parameter | None, ctx: click.Context | None) -> dt.date:
        """Return the date, or the aware instant."""
        if isinstance(value, dt.date):
            return value
        with contextlib.suppress(ValueError):
            return dt.date.fromisoformat(value)
        try:
            instant = dt.datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is neither a date such as 2026-03-16 nor a time such as 2026-03-16T10:00", param, ctx)
        return instant if instant.tzinfo else instant.replace(tzinfo=NEW_YORK)


@click.command()
@click.option(
    "--market",
    show_default=SETTINGS_MARKET,
    metavar="sample|csv:PATH|alpaca|recorded:RUN",
    help="Where quotes are from; recorded:RUN is what a scan of this record saw, recorded:RUN@FILE one of another.",
)
@broker_option
@click.option(
    "--model",
    metavar="MODEL",
    help="local, local:PATH.gguf, openai:NAME, none, or auto: the settings', else local.",
)
@advisors_options
@exits_option
@seed_option
@click.option(
    "--as-of",
    type=AsOf(),
    metavar="DATE|TIME",
    help="When; a date is 10:00 New York, or the close in a csv file. By default the market's own date.",
)
@click.option(
    "--resume",
    is_flag=False,
    flag_value=LAST_LEFT,
    metavar="[RUN]",
    help="Finish a scan whose process died (the last one, or RUN), with the same options as that.",
)
@click.option(
    "--slot",
    type=click.Choice(["auto"]),
    help="Run the scan of the schedule that is due, once, whoever runs it; nothing if none is: for cron.",
)
@click.option("--keep-raw", is_flag=True, help="Record every answer of the market alpaca to the letter.")
@market_database_option
@as_json_option
def scan(
    *,
    market: str | None,
    broker: str | None,
    model: str | None,
    advisors: dict[str, Any],
    exits: str | None,
    seed: int | None,
    as_of: dt.date | None,
    resume: str | None,
    slot: str | None,
    keep_raw: bool,
    db: Path | None,
    as_json: bool,
) -> int:
    """Screen the market, hear the analysts, trade what the rules allow, and record it all.

    The analysts advise; rules decide size and orders. MAHLER_ENVIRONMENT is paper unless it says live. Exit code 3: the
    circuit breaker has halted the desk, or `mahler halt` has (then nothing is reviewed), or a broken leg has: reviews
    are recorded, nothing is opened.

    With --resume, calls that had ended are served from the record and orders are kept; more than 10 minutes after the
    snapshot, or outside the session, reviews are completed and nothing is opened. If no scan was left, it says so.

    A scan without --slot is ad hoc and belongs to no schedule. With --slot auto the scan that the schedule has due is
    claimed in the record and run: a second one of the same slot, or of a daemon, does nothing.

    A scan of recorded:RUN has a paper account and a record of its own, mahler-recorded-RUN-paper.db; RUN is an id, the
    beginning of one, or latest. With --keep-raw on RUN, what Alpaca answered is read again, else the snapshot.
    """
    with _view(as_json=as_json) as view:
        from mahler_agents.cli.scheduled import run_due  # seconds of imports: once something shows that work has begun
        from mahler_agents.desk import Desk
        from mahler_agents.scan import ScanResult
        from mahler_agents.schedule import Job
        from mahler_agents.settings import Settings

        options = {"market": market, "broker": broker, "model": model, "exits": exits, "seed": seed, "db": db}
        settings = Settings.load({**options, "keep_raw": keep_raw or None, **advisors})
        desk = Desk(**settings.desk_arguments())
        view.expect([analyst.name for analyst in desk.analysts] if desk.model.kind != "none" else [])
        if slot is not None:
            if as_of is not None or resume is not None:
                raise InputError("--slot auto is of now: leave --as-of and --resume out")
            _, result, nothing = run_due(settings, Job.SCAN, ScanResult, view)
        else:
            result = asyncio.run(_scan(desk, as_of and instant_of(as_of, desk.market), resume, view))
            nothing = f"nothing to resume: no scan was left in {desk.database}"
    if result is None:
        click.echo("null" if as_json else plain(nothing))
        return 0
    code = _exit_code(result)
    if as_json:
        click.echo(result.model_dump_json())
    else:
        _report(result, desk)
    if slot is None:  # the schedule's jobs have told already
        tell(settings, desk.database, result)
    return code


def _report(result: "ScanResult", desk: "Desk") -> None:
    from mahler_agents.cli.console import make_console
    from mahler_agents.cli.scan_text import print_report

    next_command = show_command(result.run_id, desk.database)
    print_report(
        make_console(sys.stdout),
        result,
        hint=desk.model.hint,
        next_command=next_command,
        replay_command=replay_command(result.run_id, desk.database),
        resume_command=resume_command(result.unfinished[-1], desk.database) if result.unfinished else None,
    )


def _exit_code(result: "ScanResult") -> int:
    """Return 1 if a review failed on the trading side or the broker could not be read, each a line on stderr.

    3 if nothing was to be opened: the circuit breaker has halted, or the trading state was not ACTIVE at the end.
    """
    for line in result.failed:
        click.echo(f"mahler: {plain(line)}", err=True)
    if result.failed:
        return JobError.exit_code
    return HaltedError.exit_code if result.breaker.halted or not result.trading.active else 0


async def _scan(
    desk: "Desk", as_of: dt.datetime | None, resume: str | None, view: "LiveTable | PlainLines"
) -> "ScanResult | None":
    async with desk:
        try:
            if resume is not None:
                return await desk.resume(None if resume == LAST_LEFT else resume, at=as_of, watch=view)
            return await desk.scan(as_of=as_of, watch=view)
        except asyncio.CancelledError:
            view.stopping()  # the embedded model ends what it is writing first, which takes seconds
            raise


def instant_of(as_of: dt.date, market: "Market") -> dt.datetime:
    """Return an instant as it is, and for a date the one that the market means by it."""
    return as_of if isinstance(as_of, dt.datetime) else market.instant_of(as_of)


def _view(*, as_json: bool) -> "LiveTable | PlainLines":
    """Return what shows progress: a table on a terminal, else lines; with JSON on stdout, a table on stderr or nothing.

    Only a terminal that can move its cursor gets a table, whatever colours are asked for.
    """
    stream = sys.stderr if as_json else sys.stdout
    if stream.isatty():
        from mahler_agents.cli.live import LiveTable

        return LiveTable(stream, keep=not as_json)
    from mahler_agents.cli.lines import PlainLines

    return PlainLines(None if as_json else stream)
