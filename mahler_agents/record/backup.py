"""Record: a file in, a copy of it out, of one moment even while others write to it."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from mahler_agents.errors import ConfigError, RecordError
from mahler_agents.record.database import connect, database_errors


def back_up(path: Path, target: Path) -> Path:
    """Copy the record to `target`, through SQLite's online backup, and return that.

    Raises `ConfigError` if there is something already, `RecordError` if it cannot be written: nothing is left of it
    then. What a process that dies in the middle leaves is empty, never half a record.
    """
    try:
        target.touch(exist_ok=False)
    except FileExistsError:
        raise ConfigError(f"{target} exists already, and a backup overwrites nothing: name another file") from None
    except OSError as error:
        raise RecordError(f"{target}: {error.strerror}; the backup was not made") from error
    try:
        with (
            closing(connect(path, read_only=True)) as source,
            database_errors(target),
            closing(sqlite3.connect(target)) as copy,
        ):
            source.backup(copy)
        shutil.copymode(path, target)
    except BaseException:
        target.unlink()
        raise
    return target
