"""Command line: how far a long job is: a bar on a terminal, now and then a line off it; on stderr."""

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager

import click

Told = Callable[[int, int, str], None]
"""Takes how much is done, of how much, and a word on it."""

_LINES = 10
"""Off a terminal: so many lines for the whole job."""


@contextmanager
def progress_bar(what: str) -> Generator[Told]:
    """Yield what to tell of progress; the bar goes away at the end."""
    if not sys.stderr.isatty():
        yield _lines(what)
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from mahler_agents.cli.console import make_console

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, TextColumn("{task.fields[note]}"), console=make_console(sys.stderr), transient=True) as bar:
        task = bar.add_task(what, total=None, note="")
        yield lambda done, total, note: bar.update(task, completed=done, total=total, note=note)


def _lines(what: str) -> Told:
    shown = 0

    def tell(done: int, total: int, note: str) -> None:
        nonlocal shown
        if (tenth := _LINES * done // max(total, 1)) > shown:
            shown = tenth
            click.echo(f"{what}: {done:,} of {total:,}{', ' if note else ''}{note}", err=True)

    return tell
