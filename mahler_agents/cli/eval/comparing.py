"""Command line, `mahler eval compare`: two variants in, whether they differ out, as lines, JSON or a page."""

from pathlib import Path

import click

from mahler_agents.cli.options import as_json_option, database_option
from mahler_agents.cli.table import terminal_width
from mahler_agents.errors import InputError
from mahler_agents.record.location import newest_database
from mahler_agents.text import plain


@click.command()
@click.argument("variants", nargs=-1, metavar="[EVALUATION | A B]")
@click.option("--scorer", "named", multiple=True, metavar="MODULE:FUNCTION", help="A scorer of yours, too.")
@click.option("--html", metavar="FILE", type=click.Path(path_type=Path), help="Write it as a page with plots, too.")
@database_option
@as_json_option
def compare(
    variants: tuple[str, ...], named: tuple[str, ...], html: Path | None, db: Path | None, *, as_json: bool
) -> None:
    """Tell whether two variants differ, on the cases that both were asked.

    A and B are EVALUATION.VARIANT, such as 20260317-x7k2qf.A, or `latest.A`, or the letter of one of the newest
    evaluation's. An evaluation alone stands for its two variants; nothing for the newest one's.
    """
    from mahler_agents.evaluation.comparison import compare as compared
    from mahler_agents.evaluation.loading import pair
    from mahler_agents.evaluation.registry import scorers

    path = newest_database(db)
    chosen = scorers(named)
    found = compared(*pair(path, variants), chosen)
    if html is not None:
        from mahler_agents.cli.eval.page import render

        try:
            html.write_text(render(found), encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            raise InputError(f"--html {html}: cannot be written: {error.strerror}") from error
    if as_json:
        click.echo(found.model_dump_json())
        return
    from mahler_agents.cli.eval.text import comparison_lines

    click.echo(f"record: {plain(str(path))}")
    for line in comparison_lines(found, terminal_width()):
        click.echo(line)
    if html is not None:
        click.echo(f"page: {plain(str(html))}")
