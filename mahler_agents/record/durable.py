"""Record: a connection for money, durable at power loss, and the base of the books that are kept through one."""

import sqlite3
import threading
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from mahler_agents.record.database import connect, database_errors
from mahler_agents.redaction import Redactor


class DurableConnection:
    """One connection with synchronous FULL, used by one thread at a time; its errors are `RecordError`.

    No key is written: every text goes through `redact`, by default one that knows the keys of the environment. What is
    looked up goes through it as well, so that a row is found under what was written.
    """

    def __init__(self, path: Path, *, redact: Redactor | None = None) -> None:
        self.path = path
        self._connection = connect(path, durable=True, factory=_redacting(redact or Redactor.of()))
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    @contextmanager
    def reading(self) -> Generator[sqlite3.Connection]:
        """Give the connection inside a read transaction: everything read in it is of one moment.

        Without one, an order that another process fills between two queries could be in neither of their answers.
        """
        with self._within("BEGIN") as connection:
            yield connection

    @contextmanager
    def transaction(self) -> Generator[sqlite3.Connection]:
        """Give the connection inside a write transaction: committed at the end, rolled back by any exception.

        IMMEDIATE takes the write lock at once and waits for it; a read that upgrades later would fail instead.
        """
        with self._within("BEGIN IMMEDIATE") as connection:
            yield connection

    @contextmanager
    def _within(self, begin: str) -> Generator[sqlite3.Connection]:
        with self._lock, database_errors(self.path):
            self._connection.execute(begin)
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:  # SQLite itself has rolled back where the disk is full
                    self._connection.execute("ROLLBACK")
                raise


class Durable:
    """Something kept in the record: has a connection of its own, which the end of its `with` block closes.

    Its methods block for the length of a commit (call them in a thread), and raise `RecordError` when the database
    cannot be read or written.
    """

    def __init__(self, path: Path, *, redact: Redactor | None = None) -> None:
        self._books = DurableConnection(path, redact=redact)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._books.close()


class DurableBook(Durable):
    """One account's book in the record."""

    def __init__(self, path: Path, account_id: str, *, redact: Redactor | None = None) -> None:
        super().__init__(path, redact=redact)
        self.account_id = account_id


def _redacting(redact: Redactor) -> type[sqlite3.Connection]:
    """Return a kind of connection whose every text goes through `redact`, whoever writes the statement."""

    def kept(parameters: Any) -> Any:
        if isinstance(parameters, Mapping):
            return {name: _text(value) for name, value in parameters.items()}
        return tuple(map(_text, parameters))

    def _text(value: Any) -> Any:
        return redact(value) if isinstance(value, str) else value

    class Redacting(sqlite3.Connection):
        def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
            return super().execute(sql, kept(parameters))

        def executemany(self, sql: str, parameters: Iterable[Any], /) -> sqlite3.Cursor:
            return super().executemany(sql, map(kept, parameters))

    return Redacting


def insert(connection: sqlite3.Connection, table: str, row: Mapping[str, object]) -> None:
    """Insert one row; table and column names are ours, never the user's."""
    places = ", ".join("?" * len(row))
    connection.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({places})", tuple(row.values()))
