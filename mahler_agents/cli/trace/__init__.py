"""Command line, `mahler trace`: lists the recorded runs, shows, compares and follows what happened in them."""

import click

from mahler_agents.cli.trace.diff import diff
from mahler_agents.cli.trace.runs import list_runs
from mahler_agents.cli.trace.show import show
from mahler_agents.cli.trace.tail import tail


@click.group()
def trace() -> None:
    """List the recorded runs; show, compare and follow what happened in them."""


for verb in (list_runs, show, diff, tail):
    trace.add_command(verb)
