"""Command line, `mahler unhalt`: shows what a halt was, asks, and ends it."""

from collections.abc import Iterator
from pathlib import Path

import click

from mahler_agents.cli.asking import agreed
from mahler_agents.cli.halt import user
from mahler_agents.cli.options import database_option, of_broker_option
from mahler_agents.errors import JobError
from mahler_agents.record.trading_state import Standing, halt_file
from mahler_agents.text import plain


@click.command()
@click.option("--reason", default="", metavar="TEXT", help="Why, for whoever reads the record.")
@click.option("--yes", is_flag=True, help="Do not ask; needed where nobody can answer.")
@of_broker_option
@database_option
def unhalt(*, reason: str, yes: bool, broker: str | None, db: Path | None) -> int:
    """Show why the desk is halted or reducing, ask, and let it trade again.

    What the circuit breaker has halted stays so: that ends by its own rules. Underlyings in which the broker's account
    differs from the ledger stay blocked until the two agree.
    """
    from mahler_agents.clock import SystemClock, utc_text
    from mahler_agents.execution.trading_state import Change, TradingState, TradingStates
    from mahler_agents.record import open_database
    from mahler_agents.record.location import databases

    declined = False
    for path in map(open_database, databases(db, broker=broker, reruns=False)):  # all that `mahler halt` halts
        with TradingStates(path) as states:
            shown = states.standing()
            for line in _shown(path, shown):
                click.echo(plain(line))
            if shown.active:
                continue
            if not agreed("Let the desk open positions again?", yes=yes, to="if it is to end"):
                click.echo("left as it is")
                declined = True
                continue
            change = Change(state=TradingState.ACTIVE, reason=reason, by=user(), at=utc_text(SystemClock().now()))
            states.release(shown, change)
        click.echo(f"ACTIVE by {plain(change.by)}: the next scan may trade")
    return JobError.exit_code if declined else 0


def _shown(path: Path, shown: Standing) -> Iterator[str]:
    from mahler_agents.record.safety import SafetyReader

    yield f"record: {path}"
    yield shown.text if not shown.active else "ACTIVE: nothing is halted by hand or by reconciling"
    if shown.by_file:
        yield f"file: {halt_file(path)}"
    with SafetyReader(path) as reader:
        for one in reader.differences():
            yield f"stays blocked: {one.explanation}" if one.underlying else f"at the broker: {one.explanation}"
        for halted in reader.breaker_halts():
            yield f"stays halted by the circuit breaker, by its own rules: {halted}"
