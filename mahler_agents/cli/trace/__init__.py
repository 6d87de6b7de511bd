"""Command line, `mahler trace`: lists the recorded runs, shows, compares, follows and exports what happened in them."""

import click

from mahler_agents.cli.trace.diff import diff
from mahler_agents.cli.trace.export import export
from mahler_agents.cli.trace.runs import list_runs
from mahler_agents.cli.trace.show import show
from mahler_agents.cli.trace.tail import tail


@click.group()
def trace() -> None:
    """List the recorded runs; show, compare, follow and export what happened in them."""


for verb in (list_runs, show, diff, tail, export):
    trace.add_command(verb)
