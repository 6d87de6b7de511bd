"""Record: an older file in, one of this version's schema out, in one transaction; a copy of the old one is kept."""

import itertools
import logging
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from mahler_agents.record.backup import back_up
from mahler_agents.record.migrations import MIGRATION_SET

_LOG = logging.getLogger(__name__)

Named = tuple[str, tuple[str, ...]]
"""A migration: its name and its statements."""


def migrate(
    connection: sqlite3.Connection, path: Path, migrations: Sequence[Named], *, first: str, keep_copy: bool
) -> None:
    """Apply what is pending, `first` before the others, or leave the file as it was.

    With `keep_copy` the file as it was stays beside it as `NAME.before-mNNN.db`, and a line on the log says so (Python
    shows it on stderr unless logging is set up otherwise). The write lock is held from before the copy is made.
    """
    copy: Path | None = None
    connection.execute("BEGIN IMMEDIATE")
    try:
        if keep_copy:
            copy = back_up(path, _place_of_copy(path, first))
        _apply(connection, migrations)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        if copy is not None:  # of a file that is as it was
            copy.unlink()
        raise
    if copy is not None:
        _LOG.warning("%s was of an older version and has been migrated; as it was, it is kept as %s", path, copy)


def _apply(connection: sqlite3.Connection, migrations: Sequence[Named]) -> None:
    from sqlite_utils import Database
    from sqlite_utils.migrations import Migrations

    ours = Migrations(MIGRATION_SET)
    for name, statements in migrations:

        def apply(db: Database, statements: tuple[str, ...] = statements) -> None:
            for statement in statements:
                db.execute(statement)

        ours(name=name)(apply)
    ours.apply(Database(connection))


def _place_of_copy(path: Path, first: str) -> Path:
    """Return a name that is free: `NAME.before-m004.db`, else with a number."""
    stem = path.name.removesuffix(".db")
    before = f"{stem}.before-{first.partition('_')[0]}"
    names = itertools.chain([f"{before}.db"], (f"{before}-{number}.db" for number in itertools.count(2)))
    return next(place for name in names if not (place := path.with_name(name)).exists())
