"""A record with 1,000,000 LLM calls, synthetic and said so, and the time that looking into it takes.

python -m bench.million_calls [FILE]: copies the rows of one real scan of the sample market with a scripted model, under
new ids, until the record has so many calls; then measures `trace list` and `trace show latest` as whole processes, and
how large the file is.
"""

import asyncio
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from statistics import median
from time import perf_counter

from mahler_agents import Desk
from mahler_agents.testing.scripted import ScriptedModel, favourable

CALLS = 1_000_000
ROUNDS = 7
_OF_RUN = {
    # table: the columns that hold an id which begins with the run's
    "candidates": ("id", "run_id"),
    "spans": ("id", "run_id", "candidate_id"),
    "llm_calls": ("id", "run_id", "candidate_id", "span_id"),
    "opinions": ("candidate_id",),
    "verdicts": ("candidate_id",),
    "advice": ("candidate_id",),
    "sizings": ("candidate_id",),
    "events": ("run_id", "candidate_id"),
}


def run() -> dict[str, float]:
    """Return the median milliseconds of both verbs on such a record, made in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "million.db"
        make(database)
        return measure(database)


def make(database: Path, calls: int = CALLS) -> int:
    """Write a record with at least `calls` LLM calls, and return how many it has."""
    run_id = asyncio.run(_scan(database))
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA cache_size = -200000")
        connection.execute("BEGIN")
        [(of_one,)] = connection.execute("SELECT COUNT(*) FROM llm_calls")
        copies = -(-calls // of_one) - 1
        connection.execute("CREATE TEMP TABLE copies (suffix TEXT, day TEXT)")
        connection.executemany(
            "INSERT INTO copies VALUES (printf('%06x', ?), printf('+%d minutes', ?))",
            ((number, number) for number in range(1, copies + 1)),
        )
        for table, ids in {"runs": ("id",), **_OF_RUN}.items():
            connection.execute(_copy(connection, table, ids, run_id), (run_id,))
        connection.execute("COMMIT")
        return connection.execute("SELECT COUNT(*) FROM llm_calls").fetchone()[0]


def measure(database: Path) -> dict[str, float]:
    """Return the median milliseconds of `trace list` and `trace show latest`, and how large the file is."""
    mahler = [sys.executable, "-c", "import sys; from mahler_agents.cli import main; sys.exit(main())"]
    verbs = {
        "trace_list_ms": ["trace", "list"],
        "trace_list_failed_ms": ["trace", "list", "--failed"],
        "trace_show_latest_ms": ["trace", "show", "latest"],
    }
    taken: dict[str, list[float]] = {name: [] for name in verbs}
    for _ in range(ROUNDS):
        for name, verb in verbs.items():
            since = perf_counter()
            subprocess.run([*mahler, *verb, "--db", str(database)], check=True, capture_output=True)
            taken[name].append(perf_counter() - since)
    figures = {name: round(median(seconds) * 1e3, 1) for name, seconds in taken.items()}
    with closing(sqlite3.connect(database)) as connection:
        [(reviews,)] = connection.execute("SELECT COUNT(*) FROM candidates WHERE reviewed")
    size = database.stat().st_size
    return {**figures, "megabytes": round(size / 1e6), "kilobytes_a_review": round(size / reviews / 1e3, 1)}


async def _scan(database: Path) -> str:
    model = ScriptedModel(favourable)
    async with Desk(market="sample", model=model.endpoint, database=database, environ={}) as desk:
        return (await desk.scan()).run_id


def _copy(connection: sqlite3.Connection, table: str, ids: tuple[str, ...], run_id: str) -> str:
    """Return the SQL that copies a table's rows of the run once for each row of `copies`, under ids of their own."""
    columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
    copied = [name for name in columns if not (table == "events" and name == "id")]
    values = ", ".join(_value(name, ids, table, len(run_id)) for name in copied)
    by_run = "id = ?" if table == "runs" else "run_id = ?"
    of_run = by_run if by_run[:-4] in ids else "candidate_id IN (SELECT id FROM candidates WHERE run_id = ?)"
    return f"INSERT INTO {table} ({', '.join(copied)}) SELECT {values} FROM copies CROSS JOIN {table} WHERE {of_run}"


def _value(name: str, ids: tuple[str, ...], table: str, length: int) -> str:
    if name in ids:
        return f"substr({table}.{name}, 1, {length}) || suffix || substr({table}.{name}, {length + 1})"
    if table == "runs" and name in {"started_at", "ended_at"}:
        return f"strftime('%Y-%m-%dT%H:%M:%fZ', {table}.{name}, day)"
    if table == "runs" and name == "source":
        return "'synthetic copies of one run, for measuring'"
    return f"{table}.{name}"


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(f"{make(Path(sys.argv[1])):,} calls in {sys.argv[1]}")
        print(measure(Path(sys.argv[1])))
    else:
        print(run())
