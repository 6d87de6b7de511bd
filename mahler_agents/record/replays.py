"""Record: a run that is to be replayed; its id in, the rows out that a replay starts from, as they are."""

import json
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mahler_agents.errors import InputError
from mahler_agents.record.database import connect, database_errors, open_database
from mahler_agents.record.queries import Reader

Row = Mapping[str, Any]

_OF_RUN = "candidate_id IN (SELECT id FROM candidates WHERE run_id = :run)"
_BLOBS = "SELECT * FROM {table} WHERE hash IN (SELECT value FROM json_each(:hashes))"


@dataclass(frozen=True, kw_only=True)
class OriginalRows:
    """A run's rows, columns by name."""

    run: Row
    candidates: tuple[Row, ...]
    """Those that were reviewed, in rank order."""
    opinions: tuple[Row, ...]
    arguments: tuple[Row, ...]
    failures: tuple[Row, ...]
    verdicts: tuple[Row, ...]
    calls: tuple[Row, ...]
    """Every HTTP attempt, in the order of spans and attempts."""
    briefs: Mapping[str, Row]
    """By hash: those that a row above names."""
    prompts: Mapping[str, str]
    """Content by hash: likewise, and those of the run's configuration."""


def read_original(path: Path, text: str) -> OriginalRows:
    """Return the rows of the run that `text` names: its id, the beginning of one, or `latest`, the newest scan.

    Raises `UnknownIdError` if there is none, or more than one, and `InputError` for a run that is itself a replay.
    """
    open_database(path)
    none = f"no run in {path} yet: run `mahler scan` first"
    with Reader(path) as reader:
        run_id = reader.run_id(text, latest_of="NOT retrospective", no_latest=none)
    with closing(connect(path, read_only=True)) as connection, database_errors(path):
        connection.execute("BEGIN")
        return _read(connection, run_id)


def _read(connection: sqlite3.Connection, run_id: str) -> OriginalRows:
    def rows(sql: str) -> tuple[Row, ...]:
        return tuple(dict(row) for row in connection.execute(sql, {"run": run_id}))

    (run,) = rows("SELECT * FROM runs WHERE id = :run")
    if run["replay_of"] is not None:
        raise InputError(f"run {run_id} is itself a replay: replay the original, `mahler replay {run['replay_of']}`")
    found = {
        "candidates": rows("SELECT * FROM candidates WHERE run_id = :run AND reviewed ORDER BY rank"),
        "calls": rows("SELECT * FROM llm_calls WHERE run_id = :run ORDER BY span_id, attempt"),
    }
    for table in ("opinions", "arguments", "failures", "verdicts"):
        found[table] = rows(f"SELECT * FROM {table} WHERE {_OF_RUN} ORDER BY rowid")
    said = [row for table in found if table != "candidates" for row in found[table]]
    briefs = _blobs(connection, "briefs", (row["brief_hash"] for row in said))
    configured: Mapping[str, str] = json.loads(run["config"]).get("prompts", {})
    prompts = _blobs(connection, "prompts", [*configured.values(), *(row["prompt_hash"] for row in said)])
    return OriginalRows(
        run=run,
        **found,
        briefs={row["hash"]: row for row in briefs},
        prompts={row["hash"]: row["content"] for row in prompts},
    )


def _blobs(connection: sqlite3.Connection, table: str, hashes: Iterable[str | None]) -> tuple[Row, ...]:
    wanted = json.dumps(sorted({one for one in hashes if one is not None}))
    return tuple(dict(row) for row in connection.execute(_BLOBS.format(table=table), {"hashes": wanted}))
