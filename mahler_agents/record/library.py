"""Record: the face for notebooks and scripts: typed rows of runs and traces, and pandas frames on request."""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mahler_agents.errors import InputError
from mahler_agents.record.database import connect, database_errors, open_database
from mahler_agents.record.queries import LATEST, Reader, RunFilter
from mahler_agents.record.rows import PositionRow, RunSummary
from mahler_agents.record.trace_rows import RunTrace

if TYPE_CHECKING:
    from pandas import DataFrame

ALL = 2**63 - 1
"""More runs than a record can hold."""

_OF_THE_QUERY = frozenset({None, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_READONLY})
"""Codes of what is wrong with a query; any other is about the file."""


class Record:
    """One record, to read. Every call reads it as of one moment and leaves nothing open.

    Iterating over it gives its runs, newest first.
    """

    def __init__(self, path: Path) -> None:
        self.path = open_database(path)

    def __repr__(self) -> str:
        return f"mahler_agents.record.open({str(self.path)!r})"

    def __iter__(self) -> Iterator[RunSummary]:
        return iter(self.runs())

    def runs(self, chosen: RunFilter | None = None, *, limit: int = ALL) -> tuple[RunSummary, ...]:
        """Return the runs that fit, newest first. Raises `RecordError` if the file cannot be read."""
        with Reader(self.path) as reader:
            return reader.runs(limit, chosen)

    def trace(self, run: str = LATEST) -> RunTrace:
        """Return everything that is recorded of a run: its id, the beginning of one only, or `latest`.

        Raises `UnknownIdError` if there is none, or more than one.
        """
        with Reader(self.path) as reader:
            return reader.trace(reader.run_id(run))

    def open_positions(self) -> tuple[PositionRow, ...]:
        """Return the open positions of every account, each with its last mark."""
        with Reader(self.path) as reader:
            return reader.open_positions()

    def frame(self, query: str, parameters: list[Any] | Mapping[str, Any] | None = None) -> "DataFrame":
        """Return the answer to a query in SQL, which cannot change the record, as a pandas frame.

        Instants stay text, as the record keeps them. docs/record.md says what there is to ask. Raises `InputError` for
        a query that SQLite does not take, `RecordError` if the file cannot be read.
        """
        import pandas as pd  # half a second: only for who asks for a frame

        with closing(connect(self.path, read_only=True)) as connection, database_errors(self.path):
            try:
                return pd.read_sql_query(query, connection, params=parameters)
            except pd.errors.DatabaseError as error:
                cause = error.__cause__ or error
                if getattr(cause, "sqlite_errorcode", None) not in _OF_THE_QUERY:
                    raise cause from error
                raise InputError(f"{self.path}: {cause}: {query}") from error

    def runs_frame(self) -> "DataFrame":
        """Return the runs as a pandas frame by id, newest first, with `as_of` and `started_at` as instants in UTC."""
        import pandas as pd

        runs = pd.DataFrame([vars(run) for run in self], columns=list(RunSummary.__dataclass_fields__))
        for column in ("as_of", "started_at"):
            runs[column] = pd.to_datetime(runs[column], utc=True)
        return runs.set_index("id")


def open(path: str | Path) -> Record:  # noqa: A001 - read as `record.open(...)`, as files are opened
    """Return the record at `path`, to read; one of an older version is migrated.

    Raises `ConfigError` for a missing file, one of a newer version and one that is something else.
    """
    return Record(Path(path))
