"""Record: stored briefs as cases; a filter in, rows out; tags and added cases in."""

import datetime as dt
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mahler_agents.record.durable import Durable, insert
from mahler_agents.record.reading import ReadTransaction, read_row
from mahler_agents.record.runs import begins, midnight, prefix_range

_TAGS = "SELECT json_group_array(tag) FROM (SELECT tag FROM case_tags WHERE brief_hash = cases.brief_hash ORDER BY tag)"
_OUTCOMES = {
    "profit": "pnl_dollars > 0",
    "loss": "pnl_dollars <= 0",
    "known": "pnl_dollars IS NOT NULL",
    "pending": "pnl_dollars IS NULL",
}
OUTCOMES = tuple(_OUTCOMES)


@dataclass(frozen=True, kw_only=True)
class CaseFilter:
    """Which cases: those that fit every field that is set, in each field any of its values."""

    roles: Sequence[str] = ()
    underlyings: Sequence[str] = ()
    spread_types: Sequence[str] = ()
    markets: Sequence[str] = ()
    since: dt.date | None = None
    """First New York date of `as_of`."""
    until: dt.date | None = None
    """Last one, included."""
    outcomes: Sequence[str] = ()
    """Of `OUTCOMES`."""
    failures: Sequence[str] = ()
    """Kinds, `any` or `none`."""
    tags: Sequence[str] = ()
    ids: Sequence[str] = ()
    """Ids or beginnings of them."""
    evaluation: str | None = None
    """Those on which this evaluation asks."""
    limit: int | None = None
    """So many, the newest."""


@dataclass(frozen=True, kw_only=True)
class CaseRow:
    """One case; `content` is the brief's JSON."""

    brief_hash: str
    role: str
    as_of: str
    underlying: str
    spread_type: str
    market: str
    synthetic: bool
    run_id: str | None
    candidate_id: str | None
    failure: str | None
    pnl_dollars: float | None
    """Of one contract, after fees; None if it is not known yet."""
    exit_rule: str | None
    tags: tuple[str, ...]
    content: str


@dataclass(frozen=True, kw_only=True)
class AddedCase:
    """A case to be added: its brief as it is recorded, and what is known of it."""

    brief_hash: str
    role: str
    content: str
    as_of: str
    """UTC, as the record writes instants."""
    market: str
    synthetic: bool
    pnl_dollars: float | None
    exit_rule: str | None
    tags: tuple[str, ...]


class CaseReader(ReadTransaction):
    """Answers which cases there are."""

    def cases(self, chosen: CaseFilter) -> tuple[CaseRow, ...]:
        """Return the cases that fit, oldest first."""
        conditions = list(_conditions(chosen))
        where = " AND ".join(f"({sql})" for sql, _ in conditions) or "TRUE"
        values = [value for _, bound in conditions for value in bound]
        # The texts are fetched for what is chosen only: a filter on a large record need not carry them along.
        rows = self._rows(
            f"SELECT cases.*, ({_TAGS}) AS tags, (SELECT content FROM briefs WHERE hash = brief_hash) AS content"
            f" FROM (SELECT * FROM cases WHERE {where} ORDER BY as_of DESC, role, brief_hash LIMIT ?) AS cases"
            " ORDER BY as_of, role, brief_hash",
            *values,
            -1 if chosen.limit is None else chosen.limit,
        )
        return tuple(read_row(CaseRow, row, tags=tuple(json.loads(row["tags"]))) for row in rows)


class CaseBook(Durable):
    """Adds cases and tags; each call is one transaction: all of it, or nothing."""

    def add(self, cases: Iterable[AddedCase], *, at: str) -> tuple[int, int]:
        """Add cases; return how many are new, and how many were there and have got tags at most."""
        new = there = 0
        with self._books.transaction() as connection:
            for case in cases:
                if connection.execute("SELECT 1 FROM cases WHERE brief_hash = ?", (case.brief_hash,)).fetchone():
                    there += 1
                else:
                    new += 1
                    _add(connection, case, at)
                _tag(connection, [case.brief_hash], case.tags)
        return new, there

    def tag(self, hashes: Iterable[str], tags: Iterable[str], *, remove: bool = False) -> int:
        """Give cases tags, or take them away; return how many of them that changed."""
        with self._books.transaction() as connection:
            before = connection.total_changes
            if remove:
                for pair in _pairs(hashes, tags):
                    connection.execute("DELETE FROM case_tags WHERE brief_hash = ? AND tag = ?", pair)
            else:
                _tag(connection, hashes, tags)
            return connection.total_changes - before


def _add(connection: sqlite3.Connection, case: AddedCase, at: str) -> None:
    connection.execute(
        "INSERT INTO briefs (hash, role, content) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        (case.brief_hash, case.role, case.content),
    )
    row: Mapping[str, Any] = {
        "brief_hash": case.brief_hash,
        "as_of": case.as_of,
        "market": case.market,
        "synthetic": case.synthetic,
        "pnl_dollars": case.pnl_dollars,
        "exit_rule": case.exit_rule,
        "added_at": at,
    }
    insert(connection, "added_cases", row)


def _tag(connection: sqlite3.Connection, hashes: Iterable[str], tags: Iterable[str]) -> None:
    for pair in _pairs(hashes, tags):
        connection.execute("INSERT INTO case_tags (brief_hash, tag) VALUES (?, ?) ON CONFLICT DO NOTHING", pair)


def _pairs(hashes: Iterable[str], tags: Iterable[str]) -> list[tuple[str, str]]:
    words = list(tags)
    return [(one, tag) for one in hashes for tag in words]


def _conditions(chosen: CaseFilter) -> Iterator[tuple[str, tuple[object, ...]]]:
    """Yield a condition of SQL and its values for every field that is set."""
    for column, values in (
        ("role", chosen.roles),
        ("underlying", chosen.underlyings),
        ("spread_type", chosen.spread_types),
        ("market", chosen.markets),
    ):
        if values:
            yield f"{column} IN ({', '.join('?' * len(values))})", tuple(values)
    if chosen.since is not None:
        yield "as_of >= ?", (midnight(chosen.since),)
    if chosen.until is not None:
        yield "as_of < ?", (midnight(chosen.until + dt.timedelta(days=1)),)
    if chosen.outcomes:
        yield " OR ".join(_OUTCOMES[one] for one in chosen.outcomes), ()
    if chosen.failures:
        yield _failed(chosen.failures)
    if chosen.tags:
        listed = ", ".join("?" * len(chosen.tags))
        yield f"brief_hash IN (SELECT brief_hash FROM case_tags WHERE tag IN ({listed}))", tuple(chosen.tags)
    if chosen.evaluation is not None:
        yield "brief_hash IN (SELECT brief_hash FROM evaluation_cases WHERE run_id = ?)", (chosen.evaluation,)
    if chosen.ids:
        ranges = " OR ".join(begins("brief_hash") for _ in chosen.ids)
        yield ranges, tuple(end for one in chosen.ids for end in prefix_range(one))


def _failed(kinds: Sequence[str]) -> tuple[str, tuple[object, ...]]:
    named = [one for one in kinds if one not in {"any", "none"}]
    parts = [f"failure IN ({', '.join('?' * len(named))})"] if named else []
    parts += ["failure IS NOT NULL"] if "any" in kinds else []
    parts += ["failure IS NULL"] if "none" in kinds else []
    return " OR ".join(parts), tuple(named)
