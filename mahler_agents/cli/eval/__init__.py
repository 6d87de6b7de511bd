"""Command line, `mahler eval`: asks variants of a prompt on the same stored briefs, and tells whether they differ."""

import click

from mahler_agents.cli.eval.asking import retry, run
from mahler_agents.cli.eval.comparing import compare
from mahler_agents.cli.eval.listing import list_evaluations, show


@click.group("eval")
def eval() -> None:  # noqa: A001 - the verb's name, by which it is found
    """Ask variants of a prompt on the same stored briefs; tell whether they differ.

    What is asked here is retrospective: it never counts as advice, and nothing is traded.
    """


for verb in (run, retry, list_evaluations, show, compare):
    eval.add_command(verb)
