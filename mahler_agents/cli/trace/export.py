"""Command line, `mahler trace export`: a run's id in, a file for others to look at out."""

import json
from pathlib import Path

import click

from mahler_agents.cli.options import as_json_option, database_option
from mahler_agents.errors import InputError
from mahler_agents.record.location import newest_database
from mahler_agents.record.queries import Reader
from mahler_agents.text import plain


@click.command()
@click.argument("run", metavar="ID")
@database_option
@click.option("--html", is_flag=True, help="As one page that needs nothing else: no server, no script, no network.")
@click.option("--out", metavar="FILE", type=click.Path(path_type=Path), help="The file; by default RUN.html here.")
@as_json_option
def export(run: str, *, db: Path | None, html: bool, out: Path | None, as_json: bool) -> None:
    """Write one run as a file: timeline, prompts and replies, opinions, sizes, payoffs, orders.

    ID is as `show` takes it. A file that is there is replaced.
    """
    if not html:
        raise InputError("name the format: --html; for JSON there is `mahler trace show ID --json`")
    with Reader(newest_database(db)) as reader:
        recorded = reader.trace(reader.run_id(run))
    from mahler_agents.cli.trace.page import render

    path = out or Path(f"{recorded.run.id}.html")
    try:
        path.write_text(render(recorded), encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise InputError(f"--out {path}: cannot be written: {error.strerror}") from error
    if as_json:
        click.echo(json.dumps({"run": recorded.run.id, "file": str(path)}, ensure_ascii=False))
        return
    click.echo(f"record: {plain(str(reader.path))}")
    click.echo(f"page: {plain(str(path))}")
