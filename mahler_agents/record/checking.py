"""Record: a file in, what is wrong with it out; reads only, and migrates nothing."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from mahler_agents.record.abandoned import LEFT
from mahler_agents.record.database import applied_migrations, check_place, connect, database_errors, not_a_record
from mahler_agents.record.migrations import MIGRATIONS
from mahler_agents.record.presence import alone_now
from mahler_agents.record.references import unreferred

_MOST_SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    code: str
    problem: bool
    text: str


def check(path: Path) -> tuple[Finding, ...]:
    """Return what was found: pages, references, schema, texts, and what dead processes left.

    Raises `ConfigError` for a file that is no record, or a newer version's, `RecordError` if it cannot be opened.
    """
    check_place(path)
    with alone_now(path) as alone, closing(connect(path, read_only=True)) as connection:
        with database_errors(path):
            if not (applied := applied_migrations(connection, path)):
                raise not_a_record(path)

        def left(connection: sqlite3.Connection) -> Iterator[Finding]:
            return _left(connection, alone=alone)

        looks: tuple[Callable[[sqlite3.Connection], Iterator[Finding]], ...] = (_pages, _references, _texts, left)
        found = [finding for look in looks for finding in _looked(look, connection)]
    return (_schema(applied), *found)


def _looked(look: Callable[[sqlite3.Connection], Iterator[Finding]], connection: sqlite3.Connection) -> list[Finding]:
    """Return what one look found; that a damaged file cannot be read there is a finding, too."""
    try:
        return list(look(connection))
    except sqlite3.DatabaseError as error:
        return [Finding(code="unreadable", problem=True, text=f"a part of the file cannot be read: {error}")]


def _schema(applied: list[str]) -> Finding:
    pending = [name for name, _ in MIGRATIONS if name not in applied]
    text = f"older: {', '.join(pending)} to come, with the next verb that reads it" if pending else applied[-1]
    return Finding(code="schema", problem=False, text=text)


def _pages(connection: sqlite3.Connection) -> Iterator[Finding]:
    said = [row[0] for row in connection.execute(f"PRAGMA integrity_check({_MOST_SHOWN})")]
    whole = said == ["ok"]
    yield Finding(code="pages", problem=not whole, text="whole" if whole else "; ".join(said))


def _references(connection: sqlite3.Connection) -> Iterator[Finding]:
    broken = connection.execute(
        'SELECT "table", COUNT(*) FROM pragma_foreign_key_check GROUP BY 1 ORDER BY 1'
    ).fetchall()
    for table, count in broken:
        yield Finding(
            code="references", problem=True, text=f"{count:,} rows of {table} refer to rows that are not there"
        )
    if not broken:
        yield Finding(code="references", problem=False, text="every row that is referred to is there")


def _texts(connection: sqlite3.Connection) -> Iterator[Finding]:
    for table, column in (("prompts", "prompt_hash"), ("briefs", "brief_hash")):
        missing = _count(connection, f"SELECT COUNT(*) FROM llm_calls WHERE {column} NOT IN (SELECT hash FROM {table})")
        if missing:
            yield Finding(code="texts", problem=True, text=f"{missing:,} calls name one of {table} that is not there")
    for table in ("snapshots", "raw_payloads", "prompts", "briefs"):
        unused = _count(connection, f"SELECT COUNT(*) FROM {table} WHERE {unreferred(connection, table)}")
        if unused:
            yield Finding(
                code="unused", problem=False, text=f"{unused:,} of {table} that nothing refers to: prune drops them"
            )


def _left(connection: sqlite3.Connection, *, alone: bool) -> Iterator[Finding]:
    running = len(connection.execute(LEFT).fetchall())
    if not alone:
        yield Finding(code="at_work", problem=False, text=f"a process is at work; runs in progress: {running:,}")
    elif running:
        text = f"{running:,} runs were left by processes that died: --mend, or the next scan, marks them"
        yield Finding(code="left_running", problem=True, text=text)


def _count(connection: sqlite3.Connection, sql: str) -> int:
    return connection.execute(sql).fetchone()[0]
