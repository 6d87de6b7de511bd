"""Command line, `mahler prompt`: the versions of each role's prompt: what they say, how they differ, how they did."""

import click

from mahler_agents.cli.groups import LazyGroup


@click.group(
    cls=LazyGroup,
    members={
        "list": "mahler_agents.cli.prompt.versions:list_versions",
        "show": "mahler_agents.cli.prompt.texts:show",
        "render": "mahler_agents.cli.prompt.texts:render",
        "diff": "mahler_agents.cli.prompt.texts:diff",
        "check": "mahler_agents.cli.prompt.check:check",
        "history": "mahler_agents.cli.prompt.versions:history",
    },
)
def prompt() -> None:
    """List the versions of the prompts; show, fill, compare and check them.

    A PROMPT is ROLE@HASH (a version on record, by the beginning of its hash), a file, or ROLE alone, the package's own.
    """
