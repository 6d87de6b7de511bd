"""Record: a file that others write to in, what is added to it out, as it happens: runs, calls, orders, decisions.

Each look reads the rows that came after the last one, by row number, and asks again about what had not ended by then.
"""

import datetime as dt
import sqlite3
from collections.abc import AsyncGenerator, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mahler_agents.clock import Clock
from mahler_agents.record.exposures import ENDED_ORDERS
from mahler_agents.record.reading import ReadTransaction
from mahler_agents.wording import spread_label

Kind = Literal["run_started", "call_started", "call_ended", "node", "event", "order", "fill", "decision", "run_ended"]
POLL = dt.timedelta(milliseconds=500)

_RUN = "id, id AS run_id, NULL AS candidate_id, market, synthetic, model, status, error"
_CALL = (
    "id, run_id, candidate_id, role, attempt, model, outcome, http_status, prompt_tokens, completion_tokens,"
    " cost_dollars, error"
)
_SPAN_ENDED = "strftime('%Y-%m-%dT%H:%M:%fZ', started_at, (milliseconds / 1000.0) || ' seconds')"
_FILL = """
    SELECT fills.rowid AS rowid, at, run_id, candidate_id, purpose, client_order_id, fills.contracts, fills.credit, fees
    FROM fills JOIN orders USING (client_order_id) LEFT JOIN candidates ON candidates.id = orders.candidate_id
"""
_ORDER_STATE = """
    SELECT orders.rowid AS rowid, NULL AS at, client_order_id AS id, run_id, candidate_id, purpose, rule, state,
        orders.reason AS reason, contracts, limit_credit
    FROM orders LEFT JOIN candidates ON candidates.id = orders.candidate_id
"""
_ADDED: dict[Kind, tuple[str, str]] = {
    "run_started": ("runs", f"SELECT rowid, started_at AS at, {_RUN} FROM runs"),
    "call_started": ("llm_calls", f"SELECT rowid, started_at AS at, {_CALL} FROM llm_calls"),
    "node": (
        "spans",
        f"SELECT rowid, {_SPAN_ENDED} AS at, run_id, candidate_id, name, status, milliseconds, detail FROM spans",
    ),
    "event": ("events", "SELECT rowid, at, run_id, candidate_id, level, code, message FROM events"),
    "order": ("orders", _ORDER_STATE),
    "fill": ("fills", _FILL),
    "decision": (
        "candidates",
        "SELECT rowid, NULL AS at, id, run_id, id AS candidate_id, decision, reason, reviewed FROM candidates",
    ),
}
"""What is told of a new row: its table, and the question."""
_ORDER: tuple[Kind, ...] = (
    "run_started",
    "call_started",
    "call_ended",
    "node",
    "event",
    "order",
    "fill",
    "decision",
    "run_ended",
)


@dataclass(frozen=True, kw_only=True)
class Happening:
    """One thing that was recorded."""

    kind: Kind
    at: str | None
    """None: the record keeps no time of it, as of a decision or an order's state."""
    run_id: str | None
    """None: it belongs to no run."""
    rank: int | None
    """The candidate's; None if it is about none."""
    spread: str | None
    facts: dict[str, Any]
    """Columns of the row, by name."""


@dataclass(kw_only=True)
class Bookmark:
    """How far a record was read."""

    rows: dict[str, int] = field(default_factory=dict)
    """The last row number of each table; empty before the first look."""
    in_flight: set[str] = field(default_factory=set)
    """Ids of calls without a reply."""
    undecided: set[str] = field(default_factory=set)
    """Ids of candidates."""
    running: set[str] = field(default_factory=set)
    """Ids of runs."""
    working: dict[str, str] = field(default_factory=dict)
    """The last known state of each order that has not ended, by id."""


class FollowReader(ReadTransaction):
    """Answers what came since a bookmark."""

    def look(self, mark: Bookmark) -> list[Happening]:
        """Return what came since `mark`, in time order, and move it; the first look is at the newest run only."""
        first = not mark.rows
        newest = self._rows("SELECT id FROM runs ORDER BY started_at DESC, rowid DESC LIMIT 1") if first else []
        found: list[tuple[Kind, sqlite3.Row]] = []
        for kind, (table, sql) in _ADDED.items():
            [(last,)] = self._rows(f"SELECT COALESCE(MAX(rowid), 0) FROM {table}")
            since = f"rowid > {mark.rows[table]}" if not first else "run_id = ?"
            wanted = [row["id"] for row in newest]
            if not first or wanted:
                found.extend((kind, row) for row in self._rows(f"SELECT * FROM ({sql}) WHERE {since}", *wanted))
            mark.rows[table] = last
        found.extend(list(self._ended(mark, found)))
        found.extend(list(self._moved(mark, found, first=first)))
        happenings = [self._happening(kind, row) for kind, row in found if _told(kind, row)]
        return sorted(happenings, key=_place)

    def _ended(self, mark: Bookmark, added: list[tuple[Kind, sqlite3.Row]]) -> Iterator[tuple[Kind, sqlite3.Row]]:
        """Yield the ends of what was begun, and keep what has none yet."""
        mark.in_flight |= {row["id"] for kind, row in added if kind == "call_started"}
        mark.running |= {row["id"] for kind, row in added if kind == "run_started"}
        mark.undecided |= {row["id"] for kind, row in added if kind == "decision" and not row["decision"]}
        calls = f"SELECT ended_at AS at, {_CALL} FROM llm_calls WHERE ended_at NOT NULL"
        runs = f"SELECT ended_at AS at, {_RUN} FROM runs WHERE ended_at NOT NULL"
        _, decisions = _ADDED["decision"]
        ends: tuple[tuple[Kind, set[str], str], ...] = (
            ("call_ended", mark.in_flight, calls),
            ("run_ended", mark.running, runs),
            ("decision", mark.undecided, f"{decisions} WHERE decision NOT NULL"),
        )
        for kind, begun, sql in ends:
            for row in self._named(sql, begun):
                begun.discard(row["id"])
                yield kind, row

    def _moved(
        self, mark: Bookmark, added: list[tuple[Kind, sqlite3.Row]], *, first: bool
    ) -> Iterator[tuple[Kind, sqlite3.Row]]:
        """Yield the orders whose state is not the last known one, and keep those that have not ended."""
        if first:  # an order of an earlier run may be at the broker still
            left = self._rows(f"SELECT client_order_id AS id, state FROM orders WHERE state NOT IN {ENDED_ORDERS}")
            mark.working = {row["id"]: row["state"] for row in left}
        mark.working |= {row["id"]: row["state"] for kind, row in added if kind == "order"}
        for row in self._named(f"SELECT * FROM ({_ORDER_STATE}) WHERE TRUE", mark.working):
            if row["state"] != mark.working[row["id"]]:
                yield "order", row
            mark.working[row["id"]] = row["state"]
            if row["state"] in ENDED_ORDERS:
                del mark.working[row["id"]]

    def _named(self, sql: str, ids: Collection[str]) -> list[sqlite3.Row]:
        return [row for one in sorted(ids) for row in self._rows(f"{sql} AND id = ?", one)]

    def _happening(self, kind: Kind, row: sqlite3.Row) -> Happening:
        rows = self._rows("SELECT * FROM candidates WHERE id = ?", row["candidate_id"]) if row["candidate_id"] else []
        spread = [
            spread_label(
                underlying=one["underlying"],
                spread_type=one["spread_type"],
                short_strike=one["short_strike"],
                long_strike=one["long_strike"],
                expiration=one["expiration"],
            )
            for one in rows
        ]
        own = {"rowid", "at", "run_id", "candidate_id", "reviewed"}
        return Happening(
            kind=kind,
            at=row["at"],
            run_id=row["run_id"],
            rank=rows[0]["rank"] if rows else None,
            spread=spread[0] if spread else None,
            facts={name: row[name] for name in row.keys() if name not in own},  # noqa: SIM118 - a Row iterates values
        )


async def follow(path: Path, clock: Clock, *, every: dt.timedelta = POLL) -> AsyncGenerator[Happening]:
    """Yield what the newest run holds, then whatever is added to the record, for ever.

    Raises `ConfigError` for a missing file, `RecordError` if it cannot be read.
    """
    mark = Bookmark()
    while True:
        with FollowReader(path) as reader:
            happenings = reader.look(mark)
        for one in happenings:
            yield one
        await clock.sleep_until(clock.now() + every)


def _told(kind: Kind, row: sqlite3.Row) -> bool:
    return kind != "decision" or bool(row["decision"] and row["reviewed"])


def _place(one: Happening) -> tuple[str, int]:
    """Return where a happening stands among those of one look; without a time of its own, after all but the end.

    A fill has the market's time, which in a scan of another day is none of the record's.
    """
    if one.at is None or one.kind in {"fill", "run_ended"}:
        return "~", _ORDER.index(one.kind)
    return one.at, _ORDER.index(one.kind)
