"""Command line, `mahler eval`: asks variants of a prompt on the same stored briefs, and tells whether they differ."""

import click

from mahler_agents.cli.groups import LazyGroup


@click.group(
    "eval",
    cls=LazyGroup,
    members={
        "run": "mahler_agents.cli.eval.asking:run",
        "retry": "mahler_agents.cli.eval.asking:retry",
        "list": "mahler_agents.cli.eval.listing:list_evaluations",
        "show": "mahler_agents.cli.eval.listing:show",
        "compare": "mahler_agents.cli.eval.comparing:compare",
    },
)
def eval() -> None:  # noqa: A001 - the verb's name, by which it is found
    """Ask variants of a prompt on the same stored briefs; tell whether they differ.

    What is asked here is retrospective: it never counts as advice, and nothing is traded.
    """
