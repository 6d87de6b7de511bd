"""Doctor, record: whether the file is whole, of this version, this account's, and what was left in it; read only.

The file is not made, migrated or written to, whatever is found.
"""

import functools
import sqlite3
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, contextmanager

from mahler_agents.doctor.equity import embedded_account_id
from mahler_agents.doctor.findings import Said, fail, ok, skipped, warn
from mahler_agents.doctor.situation import Situation
from mahler_agents.errors import ConfigError, RecordError
from mahler_agents.execution import TradingState
from mahler_agents.execution.orders import PENDING_STATES
from mahler_agents.record.database import (
    applied_migrations,
    check_place,
    connect,
    contents,
    database_errors,
    not_a_record,
)
from mahler_agents.record.migrations import MIGRATIONS
from mahler_agents.record.trading_state import read_standing

BYTES_PER_REVIEW = 37_000
"""What a review leaves in the record (`bench/README.md`)."""
_LARGE_WAL = 100_000_000
_STEPS = 1000
"""SQLite's steps between two looks at the time."""
_NAMED = 3
_BUSY_SECONDS = 2.0
"""A process that keeps a record locked for longer, as a migration does, is told of."""
_RESTORE = (
    "restore a backup, or save what can be read: sqlite3 FILE .recover | sqlite3 NEW; `mahler db check` tells more"
)


@contextmanager
def reading(situation: Situation) -> Generator[sqlite3.Connection]:
    """Yield a connection that reads the record. Raises `RecordError`, or `ConfigError` for what is none."""
    path = situation.record
    with closing(connect(path, read_only=True, busy_seconds=_BUSY_SECONDS)) as connection, database_errors(path):
        yield connection


def is_there(situation: Situation) -> bool:
    """Return whether there is a record; true if where it would be is not known."""
    try:
        return situation.record.is_file()
    except ConfigError:
        return True


def pending(situation: Situation) -> Sequence[str]:
    """Return the migrations that the record still needs. Raises as `reading` and `applied_migrations` do."""
    with reading(situation) as connection:
        applied = applied_migrations(connection, situation.record)
    return [name for name, _ in MIGRATIONS if name not in applied]


def of_this_version(look: Callable[[Situation], Said]) -> Callable[[Situation], Said]:
    """Skip a look at a record of an older version: what it reads may not be there yet."""

    @functools.wraps(look)
    def guarded(situation: Situation) -> Said:
        if pending(situation):
            return skipped("not looked at: the record is of an older version")
        return look(situation)

    return guarded


def file(situation: Situation) -> Said:
    """The record's file.

    Fail: it is a folder, something else than a record, or cannot be read; or its folder does not exist.
    """
    path = situation.record
    try:
        check_place(path, create=True)
        if not path.exists():
            return ok(f"{path} is not there yet: it will be made at the first scan")
        with reading(situation) as connection:
            _, applied = contents(connection)
    except ConfigError as error:
        return fail(str(error), fix="name the record's file with --db or MAHLER_DB")
    except RecordError as error:
        return fail(str(error), fix="if it stays so look at the disk, or restore a backup of `mahler db backup`")
    if not applied:
        return fail(str(not_a_record(path)), fix="name the record's file with --db or MAHLER_DB")
    return ok(f"{path}, {path.stat().st_size / 1e6:,.1f} MB")


def schema(situation: Situation) -> Said:
    """The version of the record's schema.

    Warn: it is older: the next verb that opens the record migrates it.
    Fail: it is newer than this program.
    """
    try:
        names = pending(situation)
    except ConfigError as error:
        return fail(str(error), fix="pip install --upgrade mahler-agents, or name another record with --db")
    if not names:
        return ok(f"of this version, {MIGRATIONS[-1][0]}")
    return warn(
        f"of an older version: {', '.join(names)} to come. The next verb that opens it migrates it in one transaction,"
        f" and first puts a copy beside it, so that it needs {2 * situation.record.stat().st_size / 1e6:,.0f} MB",
        fix="stop what works on it, then `mahler db backup` and `mahler trace list`",
    )


def pages(situation: Situation) -> Said:
    """Whether the record's pages are whole (SQLite's quick check).

    Warn: the file is too large to be checked in the time that there is.
    Fail: they are not.
    """
    until = situation.stopwatch() + 0.8 * situation.patience_seconds
    with closing(connect(situation.record, read_only=True, busy_seconds=_BUSY_SECONDS)) as connection:
        connection.set_progress_handler(lambda: situation.stopwatch() > until, _STEPS)
        try:
            said = [row[0] for row in connection.execute("PRAGMA quick_check(3)")]
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
                raise
            return warn("the file is too large to be checked now", fix="mahler db check, which takes its time")
        except sqlite3.DatabaseError as error:
            return fail(f"the record cannot be read: {error}", fix=_RESTORE)
    return ok("SQLite's quick check finds nothing") if said == ["ok"] else fail("; ".join(said), fix=_RESTORE)


def wal(situation: Situation) -> Said:
    """The size of the log beside the record, which grows while somebody reads without end.

    Warn: it is larger than 100 MB.
    """
    beside = situation.record.with_name(f"{situation.record.name}-wal")
    size = beside.stat().st_size if beside.exists() else 0
    if size > _LARGE_WAL:
        return warn(
            f"{beside.name} has {size / 1e6:,.0f} MB: somebody has been reading for long, or a process died",
            fix=f"end what reads the record, then: sqlite3 {situation.record} 'PRAGMA wal_checkpoint(TRUNCATE)'",
        )
    return ok(f"its log has {size / 1e6:,.1f} MB")


@of_this_version
def owner(situation: Situation) -> Said:
    """Whose record it is: one account's, in one environment.

    Fail: it is another's than the desk's.
    """
    with reading(situation) as connection:
        owners = [
            (row["account_id"], row["environment"])
            for row in connection.execute("SELECT account_id, environment FROM record_owners ORDER BY since, 1, 2")
        ]
    account, environment = _account_id(situation), str(situation.environment)
    if not owners:
        return ok("nobody's yet: it becomes that of the first desk that opens it")
    if (account, environment) in owners:
        return ok(f"of account {account}, {environment} trading, as this desk is")
    whose = " and ".join(f"account {one}, {mode} trading" for one, mode in owners)
    return fail(
        f"it is the record of {whose}, and this desk is account {account}, {environment} trading",
        fix="name another file with --db or MAHLER_DB, or use that account's keys and environment",
    )


def _account_id(situation: Situation) -> str:
    if situation.trades_at_alpaca:
        return situation.alpaca.known_account.text("account_number")
    return embedded_account_id(situation)


@of_this_version
def trading_state(situation: Situation) -> Said:
    """Whether anything may be opened: the halt switch.

    Warn: the desk is halted or reducing, or the switch cannot be read, which counts as halted.
    """
    with reading(situation) as connection:
        standing = read_standing(connection, situation.record)
    if standing.state is TradingState.ACTIVE:
        return ok(standing.text)
    stops = "scans are refused" if standing.state is TradingState.HALTED else "scans open nothing"
    return warn(f"{standing.text}; {stops}, exits go on", fix="`mahler unhalt` ends it, after showing what it was")


@of_this_version
def unfinished(situation: Situation) -> Said:
    """Runs that did not end.

    Warn: their processes died.
    """
    with reading(situation) as connection:
        rows = connection.execute(
            "SELECT id, abandoned_at FROM runs WHERE status = 'running' OR abandoned_at IS NOT NULL"
            " ORDER BY started_at DESC"
        ).fetchall()
    at_work = situation.somebody_at_work
    left = [row["id"] for row in rows if row["abandoned_at"] is not None or not at_work]
    running = len(rows) - len(left)
    if not left:
        return ok(f"{running} at work now" if running else "every run has ended")
    return warn(
        f"{len(left):,} runs were left by processes that died: {_names(left)}",
        fix="`mahler scan --resume` finishes the last one, with the options of that scan",
    )


@of_this_version
def pending_orders(situation: Situation) -> Said:
    """Orders whose end is not known.

    Warn: there are some, and nobody is at work on them: they count as risk until they are reconciled.
    """
    places = ", ".join("?" * len(PENDING_STATES))
    with reading(situation) as connection:
        ids = [
            row[0]
            for row in connection.execute(
                f"SELECT client_order_id FROM orders WHERE state IN ({places}) ORDER BY decided_at",
                [str(state) for state in PENDING_STATES],
            )
        ]
    if not ids:
        return ok("no order is pending")
    if situation.somebody_at_work:
        return ok(f"{len(ids):,} orders are pending, and a process is at work on them")
    return warn(
        f"{len(ids):,} orders are pending, and nobody is at work: {_names(ids)}",
        fix="`mahler reconcile`, with --market and --broker, asks how they ended; so does the next scan",
    )


@of_this_version
def presence(situation: Situation) -> Said:
    """Whether another process is at work on the record now."""
    if situation.somebody_at_work:
        return ok("another process is at work on it now")
    return ok("no other process is at work on it")


def _names(ids: Sequence[str]) -> str:
    more = f" and {len(ids) - _NAMED} more" if len(ids) > _NAMED else ""
    return f"{', '.join(ids[:_NAMED])}{more}"
