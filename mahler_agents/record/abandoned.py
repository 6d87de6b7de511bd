"""Record: runs that their process left when it died: how they are marked, found, and claimed by who resumes one."""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from mahler_agents.record.database import connect, database_errors

ERROR = "the process ended before the run did"
"""Stands in `runs.error` of an abandoned run."""

LEFT = "SELECT id FROM runs WHERE status = 'running' ORDER BY started_at, rowid"


def mark_abandoned(path: Path, *, at: str) -> tuple[str, ...]:
    """Mark the runs that say they are running, and their calls without an end, as abandoned; return the runs' ids.

    To be called by who is alone on the record (`presence`): nobody is left who could end them. A run becomes `failed`
    with `abandoned_at`; nothing else of it changes, so that it can still be resumed. `at` is the present, in UTC.
    """
    with closing(connect(path)) as connection, database_errors(path):
        left = tuple(row["id"] for row in connection.execute(LEFT))
        if not left:  # nearly always: no write then
            return left
        of_them = f"IN ({', '.join('?' * len(left))})"
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(
            f"UPDATE runs SET status = 'failed', error = ?, abandoned_at = ? WHERE id {of_them}", (ERROR, at, *left)
        )
        connection.execute(
            f"UPDATE llm_calls SET abandoned_at = ? WHERE ended_at IS NULL AND run_id {of_them}", (at, *left)
        )
        connection.execute("COMMIT")
    return left


def abandoned_scans(path: Path, account_id: str) -> tuple[str, ...]:
    """Return the ids of an account's scans that are marked as abandoned, oldest first."""
    return _ids(path, "abandoned_at IS NOT NULL", account_id)


def unended_scans(path: Path, account_id: str) -> tuple[str, ...]:
    """Return the ids of an account's scans that are abandoned, or at work, or will turn out to be abandoned."""
    return _ids(path, "(abandoned_at IS NOT NULL OR status = 'running')", account_id)


def claim(path: Path, run_id: str) -> bool:
    """Say that an abandoned run is at work again; False if it is not abandoned: somebody else may be at it."""
    with closing(connect(path)) as connection, database_errors(path):
        claimed = connection.execute(
            "UPDATE runs SET status = 'running', error = NULL, ended_at = NULL, abandoned_at = NULL"
            " WHERE id = ? AND abandoned_at IS NOT NULL",
            (run_id,),
        )
    return claimed.rowcount == 1


def left_of(path: Path, run_id: str) -> tuple[bytes | None, tuple[Mapping[str, Any], ...]]:
    """Return what a resumed scan needs beside the rows of a replay: the snapshot's content, and its sizings."""
    with closing(connect(path, read_only=True)) as connection, database_errors(path):
        connection.execute("BEGIN")
        content = connection.execute(
            "SELECT content FROM snapshots JOIN runs ON runs.snapshot_hash = snapshots.hash WHERE runs.id = ?",
            (run_id,),
        ).fetchone()
        sizings = connection.execute(
            "SELECT sizings.* FROM sizings JOIN candidates ON candidates.id = candidate_id WHERE run_id = ?", (run_id,)
        ).fetchall()
    return (content and content["content"]), tuple(map(dict[str, Any], sizings))


def _ids(path: Path, condition: str, account_id: str) -> tuple[str, ...]:
    with closing(connect(path, read_only=True)) as connection, database_errors(path):
        rows: list[sqlite3.Row] = connection.execute(
            f"SELECT id FROM runs WHERE kind = 'scan' AND account_id = ? AND {condition} ORDER BY started_at, rowid",
            (account_id,),
        ).fetchall()
    return tuple(row["id"] for row in rows)
