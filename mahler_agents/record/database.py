"""Record: opening the SQLite file; every connection is made here, so that its pragmas are never forgotten."""

import os
import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager
from json import JSONDecodeError
from pathlib import Path

from mahler_agents.errors import ConfigError, RecordError
from mahler_agents.record.migrations import MIGRATION_SET, MIGRATIONS

BUSY_SECONDS = 30.0
"""How long a writer waits for another process's transaction, unless it is told otherwise."""

_SAVE = "the file is damaged: restore a backup, or save what can be read with `sqlite3 DAMAGED .recover | sqlite3 NEW`"
_WHAT_TO_DO = {
    sqlite3.SQLITE_BUSY: "another process is writing to it; try again when that has ended",
    sqlite3.SQLITE_CORRUPT: _SAVE,
    sqlite3.SQLITE_FULL: "make room on the disk; what was committed before is whole",
    sqlite3.SQLITE_IOERR: "the disk may be full or failing; what was committed before is whole",
    sqlite3.SQLITE_READONLY: "the file and its folder must be writable",
    sqlite3.SQLITE_CANTOPEN: "the file and its folder must be writable",
    sqlite3.SQLITE_PERM: "the file and its folder must be writable",
}


def described(path: Path, error: Exception) -> str:
    """Return an error of SQLite's as one line: the file, SQLite's own words and what to do about it."""
    code = getattr(error, "sqlite_errorcode", None)
    advice = None if code is None else _WHAT_TO_DO.get(code & 0xFF)  # the lower byte is the primary code
    return f"{path}: {error}" + (f" ({advice})" if advice else "")


@contextmanager
def database_errors(path: Path) -> Generator[None]:
    """Turn what sqlite3, and reading what is in the file, raises inside the block into `RecordError`.

    It names the file and what to do. `ConfigError` for a file that is no database: the user named the wrong one.
    """
    try:
        yield
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_NOTADB:
            raise not_a_record(path) from error
        raise RecordError(described(path, error)) from error
    except (UnicodeDecodeError, JSONDecodeError) as error:  # a damaged page can still be of the right form
        raise RecordError(f"{path}: text in it cannot be read ({_SAVE})") from error


def connect(
    path: Path,
    *,
    durable: bool = False,
    read_only: bool = False,
    busy_seconds: float | None = None,
    factory: type[sqlite3.Connection] = sqlite3.Connection,
) -> sqlite3.Connection:
    """Return a connection in autocommit mode with foreign keys on and rows by name.

    `durable` commits survive a loss of power (synchronous FULL): for the order ledger. `busy_seconds` is how long to
    wait for another process's transaction. Raises `RecordError`.
    """
    mode = _reading(path) if read_only else ""
    with database_errors(path):
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}{mode}",
            uri=True,
            timeout=BUSY_SECONDS if busy_seconds is None else busy_seconds,
            isolation_level=None,
            check_same_thread=False,
            factory=factory,
        )
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
    return connection


def open_database(path: Path, *, create: bool = False, busy_seconds: float | None = None) -> Path:
    """Make sure that `path` is a record of this version's schema, and return it.

    An older schema is migrated, in one transaction and after a copy of the file was put beside it; with `create` a
    missing file is made. One that can only be read is left as it is, and must be of this version already. Raises
    `ConfigError` for a missing file or folder, a newer schema and a file that is something else, `RecordError` if it
    cannot be used: the file is then as it was.
    """
    check_place(path, create=create)
    if not create and not _is_writable(path):
        return _as_it_is(path)
    with closing(connect(path, busy_seconds=busy_seconds)) as connection, database_errors(path):
        tables, _ = contents(connection)
        applied = applied_migrations(connection, path)
        if not _pending(applied):
            return path
        if not applied and (tables or not create):
            raise not_a_record(path)
        # asyncio and sqlite-utils: only who migrates waits for them
        from mahler_agents.record.migrating import migrate
        from mahler_agents.record.presence import alone

        with alone(path):  # changing to WAL does not wait for others, as a transaction does
            applied = applied_migrations(connection, path)
            if pending := _pending(applied):
                connection.execute("PRAGMA journal_mode = WAL")
                migrate(connection, path, MIGRATIONS, first=pending[0], keep_copy=bool(applied))
    return path


def _is_writable(path: Path) -> bool:
    return os.access(path, os.W_OK) and os.access(path.absolute().parent, os.W_OK)


def _reading(path: Path) -> str:
    """Return how SQLite is told to read a file only.

    It wants to make a file beside one in WAL mode even then. Where it cannot, and nothing waits in a -wal file to be
    read with it, the whole record is in the file itself.
    """
    whole = not os.access(path.absolute().parent, os.W_OK) and not path.with_name(f"{path.name}-wal").exists()
    return "?mode=ro&immutable=1" if whole else "?mode=ro"


def _as_it_is(path: Path) -> Path:
    """Return the path of a record that can only be read, if that needs no migration."""
    with closing(connect(path, read_only=True)) as connection, database_errors(path):
        applied = applied_migrations(connection, path)
    if not applied:
        raise not_a_record(path)
    if _pending(applied):
        raise RecordError(
            f"{path} is of an older version, which is migrated before it is read, and it or its folder cannot be"
            " written to: copy it to a folder of yours"
        )
    return path


def applied_migrations(connection: sqlite3.Connection, path: Path) -> list[str]:
    """Return the names of our migrations that made this file, in order. Raises `ConfigError` if one is unknown."""
    _, applied = contents(connection)
    known = {name for name, _ in MIGRATIONS}
    if newer := [name for name in applied if name not in known]:
        raise ConfigError(f"{path} was written by a newer version (schema {newer[-1]}): upgrade mahler-agents")
    return applied


def contents(connection: sqlite3.Connection) -> tuple[set[str], list[str]]:
    """Return the tables of the file, and the names of our migrations that made them, in order."""
    tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if "_sqlite_migrations" not in tables:
        return tables, []
    rows = connection.execute(
        "SELECT name FROM _sqlite_migrations WHERE migration_set = ? ORDER BY rowid", (MIGRATION_SET,)
    )
    return tables, [row[0] for row in rows]


def _pending(applied: list[str]) -> list[str]:
    return [name for name, _ in MIGRATIONS if name not in applied]


def check_place(path: Path, *, create: bool = False) -> None:
    """Raise `ConfigError` for a folder, and for a file that is missing or, with `create`, cannot be made."""
    if path.is_dir():
        raise ConfigError(f"{path} is a folder: name a file with --db")
    if not path.exists() and not create:
        raise ConfigError(f"{path} does not exist: run `mahler scan` first, or name the file with --db")
    if not path.absolute().parent.is_dir():
        raise ConfigError(f"{path}: the folder {path.absolute().parent} does not exist; make it first")


def not_a_record(path: Path) -> ConfigError:
    """Return the error for a file that is something else."""
    return ConfigError(f"{path} is not a record of mahler-agents: name another file with --db")
