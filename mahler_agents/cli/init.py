"""Command line, `mahler init`: a commented `mahler.toml` and the prompts, to be edited."""

from pathlib import Path

import click

from mahler_agents.text import plain


@click.command()
@click.argument("folder", required=False, default=".", metavar="[FOLDER]", type=click.Path(path_type=Path))
def init(folder: Path) -> None:
    """Write a commented mahler.toml and a copy of the prompts into a folder, this one unless given.

    Every key is there at its default, commented out. Nothing is overwritten: what exists is named and left as it is.
    """
    from mahler_agents.settings.file import FILE
    from mahler_agents.settings.writing import PROMPTS, written

    kept = (folder / FILE).exists()
    for line in written(folder):
        click.echo(plain(line))
    if kept:
        click.echo(f'the prompts are used once {FILE} says: prompts = "{PROMPTS}"')
