"""Record: one transaction in which the read models ask; rows out as frozen types."""

import sqlite3
from collections.abc import Iterable
from dataclasses import fields
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from mahler_agents.record.database import connect, database_errors, open_database

T = TypeVar("T")


class ReadTransaction:
    """Reads one record in one transaction, so that a run still being written is seen as of one moment.

    Entering it raises `ConfigError` for a missing file; all its methods raise `RecordError` if it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> Self:
        open_database(self.path)
        self._connection = connect(self.path, read_only=True)
        with database_errors(self.path):
            self._connection.execute("BEGIN")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()
        if error is not None:
            with database_errors(self.path):  # what a damaged text raised where it was parsed
                raise error

    def _rows(self, sql: str, *parameters: object) -> list[sqlite3.Row]:
        with database_errors(self.path):
            return self._connection.execute(sql, parameters).fetchall()

    def _all(self, kind: type[T], sql: str, *parameters: object) -> tuple[T, ...]:
        rows = self._rows(sql, *parameters)
        if not rows:
            return ()
        # A record can hold a hundred thousand of them: where each column stands is asked once.
        places = {name: place for place, name in enumerate(rows[0].keys())}
        columns = [(name, places[name], is_bool) for name, is_bool in _columns(kind) if name in places]
        return tuple(
            kind(**{name: bool(row[place]) if is_bool else row[place] for name, place, is_bool in columns})
            for row in rows
        )


def read_row(kind: type[T], row: sqlite3.Row, **parsed: object) -> T:
    """Return the row as its type: columns of the same name, and what had to be parsed or gathered."""
    present = set(row.keys()) - parsed.keys()
    values = {name: bool(row[name]) if is_bool else row[name] for name, is_bool in _columns(kind) if name in present}
    return kind(**values, **parsed)


def only(found: Iterable[T]) -> T | None:
    """Return the first of what was found, None if there is none."""
    return next(iter(found), None)


@cache
def _columns(kind: type[Any]) -> tuple[tuple[str, bool], ...]:
    """Return the names of a row type's fields, and which of them are truth values, which SQLite keeps as 0 and 1."""
    return tuple((field.name, field.type is bool) for field in fields(kind))
