"""Command line, `mahler evidence`: whether the advice was worth anything, by pool, with intervals and in words."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mahler_agents.cli.options import as_json_option, database_option
from mahler_agents.cli.table import terminal_width
from mahler_agents.errors import InputError
from mahler_agents.text import plain

if TYPE_CHECKING:
    from mahler_agents.evidence.report import PoolReport
    from mahler_agents.evidence.settings import Settings


@click.command()
@database_option
@click.option("--pool", metavar="NAME", help="One pool only, e.g. paper; they are never mixed.")
@click.option(
    "--threshold",
    "thresholds",
    type=click.FloatRange(0, 1),
    multiple=True,
    metavar="CONFIDENCE",
    help="Veto below it; may be repeated. By default 0.3, 0.4, 0.5, 0.6 and 0.7.",
)
@click.option("--draws", type=click.IntRange(100, 100_000), default=10_000, show_default=True, help="Of the bootstrap.")
@click.option("--html", metavar="FILE", type=click.Path(path_type=Path), help="Write it as one page.")
@click.option("--plot", metavar="FILE", type=click.Path(path_type=Path), help="Draw it: .svg or .png; one pool.")
@as_json_option
def evidence(
    *,
    db: Path | None,
    pool: str | None,
    thresholds: tuple[float, ...],
    draws: int,
    html: Path | None,
    plot: Path | None,
    as_json: bool,
) -> None:
    """Show what the advice was worth: calibration, vetoes not obeyed, sizes, and a verdict in words.

    Counted are all reviewed candidates, traded or not, once their 21-DTE date has passed. A verdict holds over all
    thresholds and for looking every week. What a model may remember is set apart.
    """
    from mahler_agents.evidence.reading import read_evidence
    from mahler_agents.evidence.settings import Settings
    from mahler_agents.record.location import newest_database
    from mahler_agents.report.plot import check_picture

    if plot is not None:
        check_picture(plot)
    settings = Settings(draws=draws)
    if thresholds:
        settings = replace(settings, thresholds=tuple(sorted(set(thresholds))))
    path = newest_database(db)
    reports = _of_pool(read_evidence(path, settings), pool, path)
    document = document_of(reports, settings)
    if plot is not None:
        _draw(reports, plot)
    if html is not None:
        _write_page(document, reports, html)
    if as_json:
        click.echo(json.dumps(document, ensure_ascii=False, allow_nan=False))
        return
    from mahler_agents.cli.evidence.text import evidence_lines

    click.echo(f"record: {plain(str(path))}")
    width = terminal_width()
    for line in evidence_lines(reports, settings, width):
        click.echo(line)
    for name, written in (("page", html), ("plot", plot)):
        if written is not None:
            click.echo(f"{name}: {plain(str(written))}")


def document_of(reports: "tuple[PoolReport, ...]", settings: "Settings") -> dict[str, Any]:
    """Return the reports as the one document that JSON and the page show."""
    # Through JSON and back: what the page reads is what the document holds, lists and all.
    return json.loads(json.dumps({"settings": asdict(settings), "pools": [asdict(one) for one in reports]}))


def _of_pool(reports: "tuple[PoolReport, ...]", name: str | None, path: Path) -> "tuple[PoolReport, ...]":
    if name is None:
        return reports
    found = tuple(one for one in reports if one.name == name)
    if not found:
        raise InputError(f"--pool {name}: {path} has {', '.join(one.name for one in reports)}")
    return found


def _draw(reports: "tuple[PoolReport, ...]", path: Path) -> None:
    from mahler_agents.evidence.plot import save_picture

    drawable = [one for one in reports if one.evidence is not None]
    if len(drawable) != 1 or drawable[0].evidence is None:
        raise InputError(f"--plot draws one pool: name it with --pool, one of {', '.join(one.name for one in reports)}")
    save_picture(drawable[0].name, drawable[0].evidence, path)


def _write_page(document: dict[str, Any], reports: "tuple[PoolReport, ...]", path: Path) -> None:
    from mahler_agents.cli.evidence.page import render

    try:
        path.write_text(render(document, reports), encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise InputError(f"--html {path}: cannot be written: {error.strerror}") from error
