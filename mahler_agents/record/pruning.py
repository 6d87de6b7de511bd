"""Record: old runs in, their bulk out: requests, replies and what markets showed go, all that was decided stays.

No row is deleted but raw answers, and texts and snapshots that nothing refers to. So orders, fills, positions,
outcomes, equity and shadows keep the candidates, runs, opinions and briefs that they refer to; what is lost is the
replay of a pruned run.
"""

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from mahler_agents.errors import RecordError
from mahler_agents.record.database import connect, database_errors, open_database
from mahler_agents.record.presence import alone_now
from mahler_agents.record.references import unreferred


@dataclass(frozen=True, kw_only=True)
class Bulk:
    """One kind of what goes: how many, and bytes before SQLite's own overhead."""

    kind: str
    count: int
    bytes: int


@dataclass(frozen=True, kw_only=True)
class Pruning:
    """What a pruning drops, or has dropped."""

    runs: int
    """Runs whose bulk goes."""
    still_open: int
    """Runs as old that keep theirs: they did not end, or a trade or shadow of theirs has not."""
    bulk: tuple[Bulk, ...]
    done: bool
    bytes_before: int
    bytes_after: int
    """Of the file; the same until it is done."""


_OPEN = """
    status = 'running' OR abandoned_at IS NOT NULL
    OR id IN (
        SELECT run_id FROM candidates
        WHERE id IN (SELECT candidate_id FROM shadows WHERE exit_at IS NULL OR daily_exit_at IS NULL)
            OR id IN (
                SELECT candidate_id FROM orders LEFT JOIN positions ON entry_order_id = client_order_id
                WHERE positions.state = 'open' OR orders.state IN ('intent', 'sent', 'unknown', 'accepted', 'partial')
            )
    )
"""
"""A run that could be resumed, or whose trades are looked after still."""

_OF_CALL = "run_id IN (SELECT id FROM pruned)"
_OF_FAILURE = "candidate_id IN (SELECT id FROM candidates WHERE run_id IN (SELECT id FROM pruned))"

_COLUMNS = (
    ("requests", "llm_calls", "request", "''", f"{_OF_CALL} AND request <> ''"),
    ("replies", "llm_calls", "response", "NULL", f"{_OF_CALL} AND response IS NOT NULL"),
    ("replies of failures", "failures", "raw_reply", "NULL", f"{_OF_FAILURE} AND raw_reply IS NOT NULL"),
)
"""Kind, table, column, what is left of it, and which rows."""


def prune(path: Path, *, before: str | None = None, keep: int | None = None, at: str, really: bool) -> Pruning:
    """Return what goes with the runs that started before an instant, or all but the last `keep`; drop it if `really`.

    `before` and `at`, the present, are in UTC as the record writes them. The bulk of the runs goes in one transaction,
    then the file is made smaller. Raises `RecordError` if a process is at work on the record.
    """
    open_database(path)
    with alone_now(path) as alone:
        if not alone:
            raise RecordError(f"{path}: a process is at work on it; prune when that has ended")
        size = path.stat().st_size
        with closing(connect(path)) as connection, database_errors(path):
            connection.execute("BEGIN IMMEDIATE")
            runs, still_open = _choose(connection, before, keep)
            connection.execute("UPDATE runs SET snapshot_hash = NULL WHERE id IN (SELECT id FROM pruned)")
            connection.execute("DELETE FROM raw_answers WHERE run_id IN (SELECT id FROM pruned)")
            bulk = (*_empty_columns(connection), *_drop_texts(connection))
            connection.execute("UPDATE runs SET pruned_at = ? WHERE id IN (SELECT id FROM pruned)", (at,))
            connection.execute("COMMIT" if really else "ROLLBACK")
            if really:
                connection.execute("VACUUM")
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return Pruning(
            runs=runs,
            still_open=still_open,
            bulk=bulk,
            done=really,
            bytes_before=size,
            bytes_after=path.stat().st_size,
        )


def _choose(connection: sqlite3.Connection, before: str | None, keep: int | None) -> tuple[int, int]:
    """Put the ids of the runs to prune into the table `pruned`; return their number, and that of those still open."""
    newest = "SELECT id FROM runs ORDER BY started_at DESC, rowid DESC LIMIT ?"
    old, bound = ("started_at < ?", before) if keep is None else (f"id NOT IN ({newest})", keep)
    connection.execute("CREATE TEMP TABLE pruned (id TEXT PRIMARY KEY)")
    connection.execute(
        f"INSERT INTO pruned SELECT id FROM runs WHERE pruned_at IS NULL AND {old} AND NOT ({_OPEN})", (bound,)
    )
    still_open = connection.execute(f"SELECT COUNT(*) FROM runs WHERE {old} AND ({_OPEN})", (bound,))
    return connection.execute("SELECT COUNT(*) FROM pruned").fetchone()[0], still_open.fetchone()[0]


def _empty_columns(connection: sqlite3.Connection) -> list[Bulk]:
    found: list[Bulk] = []
    for kind, table, column, left, which in _COLUMNS:
        found.append(_measured(connection, kind, f"{table} WHERE {which}", column))
        connection.execute(f"UPDATE {table} SET {column} = {left} WHERE {which}")
    return found


def _drop_texts(connection: sqlite3.Connection) -> list[Bulk]:
    found: list[Bulk] = []
    for table in ("snapshots", "raw_payloads", "briefs", "prompts"):
        rows = f"{table} WHERE {unreferred(connection, table)}"
        found.append(_measured(connection, table, rows, "content"))
        connection.execute(f"DELETE FROM {rows}")
    return found


def _measured(connection: sqlite3.Connection, kind: str, rows: str, column: str) -> Bulk:
    count, size = connection.execute(
        f"SELECT COUNT(*), COALESCE(SUM(LENGTH(CAST({column} AS BLOB))), 0) FROM {rows}"
    ).fetchone()
    return Bulk(kind=kind, count=count, bytes=size)
