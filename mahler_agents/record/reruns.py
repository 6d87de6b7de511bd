"""Record: a run whose market is to be seen again; its name in, what the record has of that market out, as it is."""

import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mahler_agents.errors import InputError
from mahler_agents.record.database import connect, database_errors, open_database
from mahler_agents.record.queries import Reader

_DECIDED = """
    SELECT decided_at, short_symbol, short_bid, short_ask, long_symbol, long_bid, long_ask FROM orders
    WHERE candidate_id IN (SELECT id FROM candidates WHERE run_id = ?)
        AND short_bid IS NOT NULL AND short_ask IS NOT NULL AND long_bid IS NOT NULL AND long_ask IS NOT NULL
    ORDER BY decided_at, rowid
"""
_ASKED = "SELECT at, symbol, bid, ask, quoted_at FROM quotes WHERE run_id = ? ORDER BY at"
_ANSWERED = """
    SELECT method, path, status, asked_at, content FROM raw_answers JOIN raw_payloads ON hash = payload_hash
    WHERE run_id = ? ORDER BY id
"""


@dataclass(frozen=True, kw_only=True)
class KeptAnswer:
    """One answer of the market's server."""

    method: str
    path: str
    """With its query."""
    status: int
    asked_at: str
    content: bytes
    """The body, compressed by zlib."""


@dataclass(frozen=True, kw_only=True)
class RecordedRun:
    """What the record has of the market that a scan saw; instants as the record writes them."""

    id: str
    market: str
    source: str
    synthetic: bool
    max_quote_age_seconds: float
    """Of the market's feed, as the run was configured."""
    snapshot: bytes
    """Packed, with the account."""
    quotes: tuple[Mapping[str, Any], ...]
    """Rows of `quotes`: all that it asked for, in order."""
    decided: tuple[Mapping[str, Any], ...]
    """The legs' quotes on which each order was decided, a row of `orders` each: what older versions recorded."""
    answers: tuple[KeptAnswer, ...]
    """In the order in which they came; empty unless they were kept."""


def read_recorded(path: Path, text: str) -> RecordedRun:
    """Return the scan that `text` names: its id, the beginning of one, or `latest`, the newest.

    Raises `UnknownIdError` if there is none, or more than one, and `InputError` for a run that saw no market of its
    own, or whose snapshot is not in the record any more.
    """
    open_database(path)
    none = f"no scan in {path} yet: run `mahler scan` first, or name a record: recorded:RUN@FILE"
    with Reader(path) as reader:
        run_id = reader.run_id(text, latest_of="kind = 'scan' AND rerun_of IS NULL", no_latest=none)
    with closing(connect(path, read_only=True)) as connection, database_errors(path):
        connection.execute("BEGIN")
        return _read(connection, path, run_id)


def _read(connection: sqlite3.Connection, path: Path, run_id: str) -> RecordedRun:
    run = connection.execute("SELECT * FROM runs WHERE id = ?", (run_id,)).fetchone()
    if run["kind"] != "scan":
        raise InputError(f"run {run_id} is a {run['kind']}, which saw no market: name the scan, {run['replay_of']}")
    if run["rerun_of"] is not None:
        raise InputError(f"run {run_id} saw again what run {run['rerun_of']} had seen: name that, in its own record")
    content = connection.execute("SELECT content FROM snapshots WHERE hash = ?", (run["snapshot_hash"],)).fetchone()
    if content is None:
        why = "was pruned" if run["pruned_at"] else "is not there"
        raise InputError(f"run {run_id}: its snapshot {why} in {path}: what its market showed cannot be seen again")
    return RecordedRun(
        id=run_id,
        market=run["market"],
        source=run["source"],
        synthetic=bool(run["synthetic"]),
        max_quote_age_seconds=json.loads(run["config"])["screen"]["max_quote_age_seconds"],
        snapshot=content["content"],
        quotes=tuple(dict(row) for row in connection.execute(_ASKED, (run_id,))),
        decided=tuple(dict(row) for row in connection.execute(_DECIDED, (run_id,))),
        answers=tuple(KeptAnswer(**dict(row)) for row in connection.execute(_ANSWERED, (run_id,))),
    )
