"""Command line, `mahler prompt`: the versions of each role's prompt: what they say, how they differ, how they did."""

import click

from mahler_agents.cli.prompt.check import check
from mahler_agents.cli.prompt.texts import diff, render, show
from mahler_agents.cli.prompt.versions import history, list_versions


@click.group()
def prompt() -> None:
    """List the versions of the prompts; show, fill, compare and check them.

    A PROMPT is ROLE@HASH (a version on record, by the beginning of its hash), a file, or ROLE alone, the package's own.
    """


for verb in (list_versions, show, render, diff, check, history):
    prompt.add_command(verb)
