"""Command line, `mahler simulate`: scans and monitor passes over a span of sessions, a line a day and a summary."""

import asyncio
import datetime as dt
import signal
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mahler_agents.cli.advisors import advisors_options
from mahler_agents.cli.options import SETTINGS_MARKET, as_json_option, exits_option, seed_option
from mahler_agents.errors import HaltedError
from mahler_agents.text import cents, count, counts, instant, listed, percent, plain, words
from mahler_agents.wording import SYNTHETIC_MARKET

if TYPE_CHECKING:
    from mahler_agents.clock import SimulatedClock
    from mahler_agents.desk import Desk
    from mahler_agents.simulate import SimulatedDay, SimulationResult

_DATE = click.DateTime(formats=["%Y-%m-%d"])
_NAMED = 3
"""Dates that are named where there are many."""


@click.command()
@click.option("--market", show_default=SETTINGS_MARKET, metavar="sample|csv:PATH", help="Where quotes are from.")
@click.option("--from", "first", required=True, type=_DATE, metavar="DATE", help="First day.")
@click.option("--to", "last", required=True, type=_DATE, metavar="DATE", help="Last day, included.")
@seed_option
@click.option(
    "--model",
    default="none",
    show_default=True,
    metavar="MODEL",
    help="As for `mahler scan`; every day asks it about every candidate.",
)
@advisors_options
@exits_option
@click.option(
    "--db",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The record, without any of these days; else MAHLER_DB, else mahler.toml's, else"
    " mahler-simulated-MARKET-paper.db.",
)
@as_json_option
def simulate(
    *,
    market: str | None,
    first: dt.datetime,
    last: dt.datetime,
    seed: int | None,
    model: str,
    advisors: dict[str, Any],
    exits: str | None,
    db: Path | None,
    as_json: bool,
) -> int:
    """Drive the desk over a span of a market's days: a scan a day, and a monitor pass at every instant that it has.

    The sample market has quotes of every instant: a pass every five minutes, the scan at 10:00. A file of end-of-day
    chains has the closes: one pass and one scan a day. Ctrl-C ends it after the pass at work, with what is done.
    """
    from mahler_agents.cli import INTERRUPTED
    from mahler_agents.clock import Ids, SimulatedClock
    from mahler_agents.desk import Desk
    from mahler_agents.market.open import open_market
    from mahler_agents.record.location import database_path
    from mahler_agents.settings import Settings

    settings = Settings.load({"market": market, "model": model, "exits": exits, "seed": seed, **advisors})
    arguments = settings.desk_arguments(broker="paper", keep_raw=False)
    world, variables = arguments.pop("seed"), settings.environ
    opened = open_market(settings.market, seed=world, variables=variables)
    clock = SimulatedClock(first.replace(tzinfo=dt.UTC))
    arguments |= {
        "market": opened,
        "database": database_path(db, f"simulated-{opened.name}", "paper", variables),
        "clock": clock,
        "ids": Ids(world or 0),  # so that the same simulation leaves the same record
    }
    desk = Desk(**arguments)
    result = asyncio.run(_simulated(desk, clock, first.date(), last.date(), None if as_json else _Days()))
    if as_json:
        click.echo(result.model_dump_json())
    else:
        _show(result, desk)
    if result.interrupted_at is not None:
        return INTERRUPTED
    return HaltedError.exit_code if result.refused else 0


async def _simulated(
    desk: "Desk", clock: "SimulatedClock", first: dt.date, last: dt.date, watch: "_Days | None"
) -> "SimulationResult":
    from mahler_agents.simulate import simulate as run
    from mahler_agents.simulate import timetables

    timetables(desk.market, first, last)  # before the record is made: a slip in the dates leaves no empty file
    stopping = asyncio.Event()

    def stop() -> None:
        loop.remove_signal_handler(signal.SIGINT)  # the next one ends it at once
        stopping.set()

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, stop)
    try:
        async with desk:
            return await run(desk, clock, first, last, watch=watch, stop=stopping.is_set)
    finally:
        loop.remove_signal_handler(signal.SIGINT)


class _Days:
    """Prints a line a day; above the first, once the input has proved good, that all of it is made up, if it is."""

    def __init__(self) -> None:
        self._begun = False

    def __call__(self, day: "SimulatedDay") -> None:
        if not self._begun and day.synthetic:
            click.echo(SYNTHETIC_MARKET)
        self._begun = True
        closed = counts(day.closed) or "none"
        alert = f", no mark {count(day.unmarked, 'time')}" if day.unmarked else ""
        alert += ", scan refused: HALTED" if day.refused else ""
        alert += f", {len(day.unsettled)} expired and not settled" if day.unsettled else ""
        click.echo(
            f"{day.date}  {day.passed:>4} passed, {day.opened} opened, closed: {closed}{alert};"
            f" {day.open_positions} open, equity {cents(day.equity)}"
        )


def _show(result: "SimulationResult", desk: "Desk") -> None:
    click.echo(f"{count(len(result.days), 'session')} of {plain(result.world)}, exits {plain(desk.exit_policy.text)}")
    for line in (*_skipped(result), *_missing(result)):
        click.echo(line)
    if result.days:
        click.echo(
            f"{result.opened} opened, closed: {counts(result.closed) or 'none'}\n"
            f"equity {cents(result.days[-1].equity)}, largest drawdown of the days' last equity"
            f" {percent(result.max_drawdown, 2)}"
        )
        for position in result.days[-1].unsettled:
            click.echo(f"still open: {plain(position)}")
    if result.refused:
        click.echo(f"{count(result.refused, 'scan')} refused by `mahler halt`; the passes went on")
    if result.interrupted_at is not None:
        click.echo(f"interrupted before {instant(result.interrupted_at)} New York")
    click.echo(f"recorded in {plain(str(desk.database))}")


def _skipped(result: "SimulationResult") -> list[str]:
    """Return a line for each reason why sessions were skipped, with the first dates."""
    dates: dict[str, list[dt.date]] = defaultdict(list)
    for date, why in result.skipped.items():
        dates[why].append(date)
    lines: list[str] = []
    for why, found in dates.items():
        more = [f"{len(found) - _NAMED} more"] if len(found) > _NAMED else []
        named = listed([*map(str, found[:_NAMED]), *more])
        lines.append(f"skipped {count(len(found), 'session')}, {named}: {plain(why)}")
    return lines


def _missing(result: "SimulationResult") -> list[str]:
    """Return a line for each reason why the market lacks parts of a snapshot."""
    parts: dict[str, list[str]] = defaultdict(list)
    for part, why in result.missing.items():
        if not part.startswith("dates."):  # skipped, and said so above
            parts[why].append(words(part))
    return [f"the market has no {listed(names)}: {plain(why)}" for why, names in parts.items()]
