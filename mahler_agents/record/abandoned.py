"""Record: runs that a process left behind when it died, told apart from those at work."""

from contextlib import closing
from pathlib import Path

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
