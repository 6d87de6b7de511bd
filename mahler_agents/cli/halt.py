"""Command line, `mahler halt`: from now on nothing is opened."""

import getpass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mahler_agents.cli.options import database_option, of_broker_option
from mahler_agents.errors import JobError, MahlerError
from mahler_agents.text import plain

if TYPE_CHECKING:
    from mahler_agents.execution.trading_state import Change


@click.command()
@click.option("--reason", default="", metavar="TEXT", help="Why, for whoever reads the record.")
@click.option("--reducing", is_flag=True, help="Go on scanning and recording reviews, and open nothing.")
@of_broker_option
@database_option
def halt(*, reason: str, reducing: bool, broker: str | None, db: Path | None) -> None:
    """Open nothing more, from this moment on: `mahler scan` is refused, with exit code 3.

    A scan at work reserves and sends no entry any more. Exits, cancels, monitor passes and reconciling go on. The halt
    is in the record and in a file beside it, FILE.halt; either is enough, and what cannot be read counts as halted.
    Without a name every desk's record in this folder is halted.
    """
    from mahler_agents.clock import SystemClock, utc_text
    from mahler_agents.execution.trading_state import Change, TradingState
    from mahler_agents.record.location import databases

    paths = databases(db, broker=broker, reruns=False)
    state = TradingState.REDUCING if reducing else TradingState.HALTED
    change = Change(state=state, reason=reason, by=user(), at=utc_text(SystemClock().now()))
    failed: list[MahlerError] = []
    for path in paths:  # which of them trades nobody knows here: all are halted, whatever fails of one
        try:
            _halt(path, change)
        except MahlerError as error:
            failed.append(error)
    if failed and len(paths) == 1:
        raise failed[0]
    if failed:
        raise JobError("; ".join(str(error) for error in failed))


def _halt(path: Path, change: "Change") -> None:
    from mahler_agents.execution.trading_state import TradingState, TradingStates, halt
    from mahler_agents.record import open_database
    from mahler_agents.record.database import check_place

    check_place(path)
    if change.state is TradingState.REDUCING:
        with TradingStates(open_database(path)) as states:
            changed = states.tighten(change)
            click.echo(f"{'' if changed else 'already '}{plain(states.standing().text)}")
    else:
        for problem in halt(path, change).problems:
            click.echo(f"mahler: halted, but not in every place: {plain(problem)}", err=True)
        click.echo(plain(f"HALTED by {change.by}{f': {change.reason}' if change.reason else ''}"))
    click.echo(f"record: {plain(str(path))}; exits go on, `mahler unhalt --db {plain(str(path))}` ends this")


def user() -> str:
    """Return who is at the keyboard, for the history."""
    try:
        return f"user {getpass.getuser()}"
    except (OSError, KeyError):  # an account without a name, as in a container
        return "user unknown"
