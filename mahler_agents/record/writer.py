"""Record: the one writer; a thread commits queued rows in batches, so that recording never slows a scan."""

import json
import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from contextvars import copy_context
from functools import cache
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import Any, NamedTuple, Self

from mahler_agents.errors import RecordError
from mahler_agents.record.database import connect, described
from mahler_agents.redaction import Redactor

LINGER_SECONDS = 0.01
"""How long a row may wait for others to be committed with, unless somebody waits for it: a commit costs most."""


Hearer = Callable[[Mapping[str, Any]], None]
"""Told of a row as it was written, without keys, in the writer's thread: it must not take long."""


class _Statement(NamedTuple):
    sql: str
    parameters: tuple[Any, ...]
    must_match: bool = False
    """True for an update, which would change nothing in silence if the row is not there."""
    columns: tuple[str, ...] = ()
    then: Hearer | None = None

    def tell(self) -> None:
        """Tell who wanted to hear of the row."""
        if self.then is not None:
            with suppress(Exception):  # the edge to handlers that are not ours: the record goes on
                self.then(dict(zip(self.columns, self.parameters, strict=False)))


def as_json(value: Any) -> str:
    """Return canonical JSON: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


class Writer:
    """Writes rows to the record in the order in which they are given; `flush` waits until they are committed.

    Use it as a context manager: leaving it commits what is queued. A row that cannot be written ends the writing: what
    was queued before it is kept, and the failure surfaces as `RecordError` at the next call, at `flush` and on leaving
    (as a note if another exception is on its way).

    No key is written: every text goes through `redact`, by default one that knows the keys of the environment.
    `busy_seconds` is how long to wait for another process's transaction.
    """

    def __init__(self, path: Path, *, redact: Redactor | None = None, busy_seconds: float | None = None) -> None:
        self._path = path
        self._redact = redact or Redactor.of()
        self._queue: SimpleQueue[_Statement | Future[None] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._awaited = threading.Event()
        self._closed = False
        self._error: Exception | None = None
        self._connection = connect(path, busy_seconds=busy_seconds)
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        # In the context of who opens it: what is said there belongs to the same run.
        context = copy_context()
        self._thread = threading.Thread(target=context.run, args=(self._work,), name="record-writer", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._closed = True
            self._queue.put(None)
        self._awaited.set()
        if self._thread is not None:
            self._thread.join()
        if error is None:
            self._raise_if_broken()
        elif self._error is not None:
            error.add_note(f"and the record is incomplete: {described(self._path, self._error)}")

    def insert(self, table: str, row: Mapping[str, Any], *, then: Hearer | None = None) -> None:
        """Queue one new row; `then` is told of it once it is committed, or cannot be."""
        sql = _insert_sql(table, tuple(row), ignore=False)
        self._put(_Statement(sql, tuple(row.values()), columns=tuple(row), then=then))

    def insert_once(self, table: str, row: Mapping[str, Any]) -> None:
        """Queue one row that may already be there under the same key: content-addressed blobs."""
        self._put(_Statement(_insert_sql(table, tuple(row), ignore=True), tuple(row.values())))

    def replace(self, table: str, row: Mapping[str, Any]) -> None:
        """Queue one row that takes the place of the one under the same key, if there is one."""
        columns, places = ", ".join(row), ", ".join("?" * len(row))
        self._put(_Statement(f"INSERT OR REPLACE INTO {table} ({columns}) VALUES ({places})", tuple(row.values())))

    def insert_unless(
        self, table: str, row: Mapping[str, Any], *, same: Sequence[str], then: Hearer | None = None
    ) -> None:
        """Queue one row, unless the table has a row whose `same` columns are equal to its: `then` is not told of it."""
        columns, places = ", ".join(row), ", ".join("?" * len(row))
        held = " AND ".join(f"{column} IS ?" for column in same)
        sql = f"INSERT INTO {table} ({columns}) SELECT {places} WHERE NOT EXISTS (SELECT 1 FROM {table} WHERE {held})"
        parameters = (*row.values(), *(row[column] for column in same))
        self._put(_Statement(sql, parameters, columns=tuple(row), then=then))

    def update(
        self, table: str, key: Mapping[str, Any], values: Mapping[str, Any], *, then: Hearer | None = None
    ) -> None:
        """Queue a change of the rows that match `key`; it is a failure if there is none. `then` hears the values."""
        sql = _update_sql(table, tuple(key), tuple(values))
        parameters = (*values.values(), *key.values())
        self._put(_Statement(sql, parameters, must_match=True, columns=tuple(values), then=then))

    async def flush(self) -> None:
        """Return once everything queued so far is committed. Raises `RecordError` if it could not be."""
        committed: Future[None] = Future()
        self._put(committed)
        self._awaited.set()
        # Not in a thread: those who wait for one batch go on in the order in which they asked, on every machine.
        import asyncio  # 50 ms, for which verbs that only read the record do not wait

        await asyncio.wrap_future(committed)
        self._raise_if_broken()

    def _put(self, item: _Statement | Future[None]) -> None:
        self._raise_if_broken()
        with self._lock:
            if self._closed:  # nobody would write it
                raise RecordError(f"{self._path}: the writer is closed")
            self._queue.put(item)

    def _raise_if_broken(self) -> None:
        if self._error is not None:
            raise RecordError(described(self._path, self._error)) from self._error

    def _work(self) -> None:
        running = True
        while running:
            batch = [self._queue.get()]
            self._awaited.wait(LINGER_SECONDS)
            self._awaited.clear()
            while not self._queue.empty():
                batch.append(self._queue.get())
            running = None not in batch
            self._commit([item for item in batch if isinstance(item, _Statement)])
            for item in batch:
                if isinstance(item, Future) and item.set_running_or_notify_cancel():
                    item.set_result(None)
        self._connection.close()

    def _commit(self, statements: list[_Statement]) -> None:
        if not statements or self._error is not None:
            return
        connection = self._connection
        coming = [one._replace(parameters=tuple(map(self._redacted, one.parameters))) for one in reversed(statements)]
        heard: list[_Statement] = []
        try:
            connection.execute("BEGIN IMMEDIATE")
            try:
                while coming:
                    if _run(connection, coming[-1]):
                        heard.append(coming[-1])
                    coming.pop()
            finally:
                # Also after a failure: what came before it is the evidence of how it came about.
                if connection.in_transaction:
                    connection.execute("COMMIT")
        except Exception as error:  # noqa: BLE001 - the thread's edge: it is raised where the next row is given
            self._error = error
            with suppress(sqlite3.Error):
                connection.rollback()
        for one in (*heard, *reversed(coming)):  # what could not be written is told all the more
            one.tell()

    def _redacted(self, value: Any) -> Any:
        return self._redact(value) if isinstance(value, str) else value


def _run(connection: sqlite3.Connection, statement: _Statement) -> bool:
    """Run a statement; return whether it wrote anything."""
    try:
        cursor = connection.execute(statement.sql, statement.parameters)
    except (UnicodeEncodeError, OverflowError):
        cursor = connection.execute(statement.sql, tuple(map(_storable, statement.parameters)))
    if statement.must_match and cursor.rowcount == 0:
        raise RecordError(f"no row to change: {statement.sql} with {statement.parameters[-1]!r}")
    return cursor.rowcount > 0


def _storable(value: Any) -> Any:
    """Return as text what a model or provider wrote and SQLite cannot hold: half a surrogate pair, a huge number."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    return str(value) if isinstance(value, int) and value.bit_length() > 63 else value


@cache
def _insert_sql(table: str, columns: tuple[str, ...], *, ignore: bool) -> str:
    conflict = " ON CONFLICT DO NOTHING" if ignore else ""
    values = ", ".join("?" * len(columns))
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({values}){conflict}"


@cache
def _update_sql(table: str, keys: tuple[str, ...], columns: tuple[str, ...]) -> str:
    changes = ", ".join(f"{column} = ?" for column in columns)
    return f"UPDATE {table} SET {changes} WHERE {' AND '.join(f'{key} = ?' for key in keys)}"
