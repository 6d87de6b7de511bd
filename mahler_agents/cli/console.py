"""Command line: the one way to make a rich console, so that nothing that a model wrote is read as markup."""

from collections.abc import Iterator
from typing import TextIO

from rich.console import Console
from rich.text import Text

_UNWRAPPED = 100_000
"""Off a terminal a line is as long as it is: it will be searched and cut, not read at some width."""
_LEAST = 20
"""Columns of text beside a margin, however narrow the terminal."""


def make_console(stream: TextIO) -> Console:
    """Return a console that prints what it is given: no markup, no emoji codes, no guessed highlights."""
    width = None if stream.isatty() else _UNWRAPPED
    return Console(file=stream, width=width, highlight=False, markup=False, emoji=False)


def print_noted(console: Console, note: str, body: Text | str, *, margin: int) -> None:
    """Print `body` wrapped beside a left margin of `margin` columns, with `note` in it."""
    for line in noted_lines(console, note, body, margin=margin):
        console.print(line, soft_wrap=True)


def noted_lines(console: Console, note: str, body: Text | str, *, margin: int) -> Iterator[Text]:
    """Yield the lines that `print_noted` prints."""
    text = Text(body) if isinstance(body, str) else body
    for index, line in enumerate(text.wrap(console, max(_LEAST, console.width - margin))):
        line.rstrip()
        head = Text(note.ljust(margin), style="bold") if index == 0 else Text(" " * margin)
        yield Text.assemble(head, line)
