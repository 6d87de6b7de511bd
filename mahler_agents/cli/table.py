"""Command line: plain aligned tables, for verbs that must start at once."""

import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass

_GAP = "  "


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column: its heading and its cells, top down."""

    heading: str
    cells: Sequence[str]
    right: bool = False
    """Aligned to the right, as numbers are."""
    droppable: int = 0
    """0: always shown; else left out of a narrow terminal, the highest first."""

    @property
    def width(self) -> int:
        """Characters of the widest cell."""
        return max(map(len, [self.heading, *self.cells]))


def terminal_width() -> int | None:
    """Return the columns of the terminal that is written to; None if it is none, so that nothing need be left out."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def table_lines(columns: Sequence[Column], width: int | None) -> list[str]:
    """Return the heading and the rows as lines; columns are dropped until the lines fit `width`, if that is given."""
    shown = list(columns)
    droppable = sorted((column for column in shown if column.droppable), key=lambda column: column.droppable)
    while width is not None and droppable and _total(shown) > width:
        shown.remove(droppable.pop())
    rows = zip(*([column.heading, *column.cells] for column in shown), strict=True)
    return [_line(shown, row) for row in rows]


def _total(columns: Sequence[Column]) -> int:
    return sum(column.width for column in columns) + len(_GAP) * (len(columns) - 1)


def _line(columns: Sequence[Column], cells: Sequence[str]) -> str:
    placed = [
        cell.rjust(column.width) if column.right else cell.ljust(column.width)
        for column, cell in zip(columns, cells, strict=True)
    ]
    return _GAP.join(placed).rstrip()
