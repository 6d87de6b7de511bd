"""Record: the one writer; a thread commits queued rows in batches, so that recording never slows a scan."""

import asyncio
import json
import sqlite3
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from functools import cache
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import Any, Self

from mahler_agents.errors import RecordError
from mahler_agents.record.database import connect

_Statement = tuple[str, tuple[Any, ...]]


def as_json(value: Any) -> str:
    """Return canonical JSON: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


class Writer:
    """Writes rows to the record in the order in which they are given; `flush` waits until they are committed.

    Use it as a context manager: leaving it commits what is queued. Any failure of the database surfaces as
    `RecordError` at the next call, at `flush` and on leaving, never silently.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._queue: SimpleQueue[_Statement | Future[None] | None] = SimpleQueue()
        self._error: sqlite3.Error | None = None
        self._connection = connect(path)
        self._thread = threading.Thread(target=self._work, name="record-writer", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._queue.put(None)
        self._thread.join()
        if error is None:
            self._raise_if_broken()

    def insert(self, table: str, row: Mapping[str, Any]) -> None:
        """Queue one new row."""
        self._put(_insert_sql(table, tuple(row), ignore=False), tuple(row.values()))

    def insert_once(self, table: str, row: Mapping[str, Any]) -> None:
        """Queue one row that may already be there under the same key: content-addressed blobs."""
        self._put(_insert_sql(table, tuple(row), ignore=True), tuple(row.values()))

    def update(self, table: str, key: Mapping[str, Any], values: Mapping[str, Any]) -> None:
        """Queue a change of the rows that match `key`."""
        self._put(_update_sql(table, tuple(key), tuple(values)), (*values.values(), *key.values()))

    async def flush(self) -> None:
        """Return once everything queued so far is committed. Raises `RecordError` if it could not be."""
        committed: Future[None] = Future()
        self._queue.put(committed)
        await asyncio.to_thread(committed.result)
        self._raise_if_broken()

    def _put(self, sql: str, parameters: tuple[Any, ...]) -> None:
        self._raise_if_broken()
        self._queue.put((sql, parameters))

    def _raise_if_broken(self) -> None:
        if self._error is not None:
            raise RecordError(f"{self._path}: {self._error}") from self._error

    def _work(self) -> None:
        running = True
        while running:
            batch = [self._queue.get()]
            while not self._queue.empty():
                batch.append(self._queue.get())
            running = None not in batch
            self._commit([item for item in batch if isinstance(item, tuple)])
            for item in batch:
                if isinstance(item, Future):
                    item.set_result(None)
        self._connection.close()

    def _commit(self, statements: list[_Statement]) -> None:
        if not statements or self._error is not None:
            return
        connection = self._connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            for sql, parameters in statements:
                connection.execute(sql, parameters)
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._error = error
            if connection.in_transaction:
                connection.execute("ROLLBACK")


@cache
def _insert_sql(table: str, columns: tuple[str, ...], *, ignore: bool) -> str:
    conflict = " ON CONFLICT DO NOTHING" if ignore else ""
    values = ", ".join("?" * len(columns))
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({values}){conflict}"


@cache
def _update_sql(table: str, keys: tuple[str, ...], columns: tuple[str, ...]) -> str:
    changes = ", ".join(f"{column} = ?" for column in columns)
    return f"UPDATE {table} SET {changes} WHERE {' AND '.join(f'{key} = ?' for key in keys)}"
