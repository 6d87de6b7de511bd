"""Record: opening the SQLite file; every connection is made here, so that its pragmas are never forgotten."""

import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path

from mahler_agents.errors import ConfigError, RecordError
from mahler_agents.record.migrations import MIGRATION_SET, MIGRATIONS

BUSY_SECONDS = 30.0
"""How long a writer waits for another process's transaction."""


@contextmanager
def database_errors(path: Path) -> Generator[None]:
    """Turn what sqlite3 raises inside the block into `RecordError`, naming the file.

    `ConfigError` for a file that is no database: the user named the wrong one.
    """
    try:
        yield
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_NOTADB:
            raise _not_a_record(path) from error
        raise RecordError(f"{path}: {error}") from error


def connect(path: Path, *, durable: bool = False, read_only: bool = False) -> sqlite3.Connection:
    """Return a connection in autocommit mode with foreign keys on and rows by name.

    `durable` commits survive a loss of power (synchronous FULL): for the order ledger. Raises `RecordError`.
    """
    mode = "?mode=ro" if read_only else ""
    with database_errors(path):
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}{mode}",
            uri=True,
            timeout=BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
    return connection


def open_database(path: Path, *, create: bool = False) -> Path:
    """Make sure that `path` is a record of this version's schema, and return it.

    An older schema is migrated, in one transaction; with `create` a missing file is made. Raises `ConfigError` for a
    missing file or folder, a newer schema and a file that is something else, `RecordError` if it cannot be used.
    """
    _check_place(path, create=create)
    with closing(connect(path)) as connection, database_errors(path):
        tables, applied = _contents(connection)
        known = [name for name, _ in MIGRATIONS]
        if newer := [name for name in applied if name not in known]:
            raise ConfigError(f"{path} was written by a newer version (schema {newer[-1]}): upgrade mahler-agents")
        if applied == known:
            return path
        if not applied and (tables or not create):
            raise _not_a_record(path)
        from mahler_agents.record.presence import alone  # asyncio: only who migrates waits for it

        with alone(path):  # changing to WAL does not wait for others, as a transaction does
            if _contents(connection)[1] != known:
                connection.execute("PRAGMA journal_mode = WAL")
                _migrate(connection)
    return path


def _check_place(path: Path, *, create: bool) -> None:
    if path.is_dir():
        raise ConfigError(f"{path} is a folder: name a file with --db")
    if not path.exists() and not create:
        raise ConfigError(f"{path} does not exist: run `mahler scan` first, or name the file with --db")
    if not path.absolute().parent.is_dir():
        raise ConfigError(f"{path}: the folder {path.absolute().parent} does not exist; make it first")


def _not_a_record(path: Path) -> ConfigError:
    return ConfigError(f"{path} is not a record of mahler-agents: name another file with --db")


def _contents(connection: sqlite3.Connection) -> tuple[set[str], list[str]]:
    """Return the tables of the file, and the names of our migrations that made them, in order."""
    tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if "_sqlite_migrations" not in tables:
        return tables, []
    rows = connection.execute(
        "SELECT name FROM _sqlite_migrations WHERE migration_set = ? ORDER BY rowid", (MIGRATION_SET,)
    )
    return tables, [row[0] for row in rows]


def _migrate(connection: sqlite3.Connection) -> None:
    """Apply what is pending through sqlite-utils, holding the write lock so that two first scans cannot both."""
    from sqlite_utils import Database
    from sqlite_utils.migrations import Migrations

    migrations = Migrations(MIGRATION_SET)
    for name, statements in MIGRATIONS:

        def apply(db: Database, statements: tuple[str, ...] = statements) -> None:
            for statement in statements:
                db.execute(statement)

        migrations(name=name)(apply)
    connection.execute("BEGIN IMMEDIATE")
    try:
        migrations.apply(Database(connection))
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
