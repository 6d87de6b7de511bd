"""Command line, `mahler halt`: from now on nothing is opened."""

import getpass
from pathlib import Path

import click

from mahler_agents.cli.options import database_option, of_broker_option
from mahler_agents.cli.text import plain


@click.command()
@click.option("--reason", default="", metavar="TEXT", help="Why, for whoever reads the record.")
@click.option("--reducing", is_flag=True, help="Go on scanning and recording reviews, and open nothing.")
@of_broker_option
@database_option
def halt(*, reason: str, reducing: bool, broker: str | None, db: Path | None) -> None:
    """Open nothing more, from this moment on: `mahler scan` is refused, with exit code 3.

    A scan at work reserves and sends no entry any more. Exits, cancels, monitor passes and reconciling go on. The halt
    is in the record and in a file beside it, FILE.halt; either is enough, and what cannot be read counts as halted.
    """
    from mahler_agents.clock import SystemClock, utc_text
    from mahler_agents.execution.trading_state import Change, TradingState, TradingStates
    from mahler_agents.execution.trading_state import halt as write
    from mahler_agents.record import open_database
    from mahler_agents.record.database import check_place
    from mahler_agents.record.location import newest_database

    path = newest_database(db, broker=broker, reruns=False)
    check_place(path)
    state = TradingState.REDUCING if reducing else TradingState.HALTED
    change = Change(state=state, reason=reason, by=user(), at=utc_text(SystemClock().now()))
    if reducing:
        with TradingStates(open_database(path)) as states:
            changed = states.tighten(change)
            click.echo(f"{'' if changed else 'already '}{plain(states.standing().text)}")
    else:
        for problem in write(path, change).problems:
            click.echo(f"mahler: halted, but not in every place: {plain(problem)}", err=True)
        by = f" by {change.by}{f': {reason}' if reason else ''}"
        click.echo(plain(f"HALTED{by}"))
    click.echo(f"record: {plain(str(path))}; exits go on, `mahler unhalt` ends this")


def user() -> str:
    """Return who is at the keyboard, for the history."""
    try:
        return f"user {getpass.getuser()}"
    except (OSError, KeyError):  # an account without a name, as in a container
        return "user unknown"
