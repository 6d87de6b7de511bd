"""Command line, `mahler trace`: lists the recorded runs, shows, compares, follows and exports what happened in them."""

import click

from mahler_agents.cli.groups import LazyGroup


@click.group(
    cls=LazyGroup,
    members={
        "list": "mahler_agents.cli.trace.runs:list_runs",
        "show": "mahler_agents.cli.trace.show:show",
        "diff": "mahler_agents.cli.trace.diff:diff",
        "tail": "mahler_agents.cli.trace.tail:tail",
        "export": "mahler_agents.cli.trace.export:export",
    },
)
def trace() -> None:
    """List the recorded runs; show, compare, follow and export what happened in them."""
