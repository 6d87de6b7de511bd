"""Record: questions in, frozen rows out; plain sqlite3, so that an answer takes milliseconds."""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import fields
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from mahler_agents.errors import UnknownIdError
from mahler_agents.record.database import connect, database_errors, open_database
from mahler_agents.record.rows import (
    AdviceRow,
    ArgumentRow,
    CallRow,
    CandidateTrace,
    ConstraintRow,
    EventRow,
    FailureRow,
    FillRow,
    GroundednessRow,
    GroundingRow,
    OpinionRow,
    OrderRow,
    PositionRow,
    RunRow,
    RunSummary,
    RunTrace,
    SizingRow,
    SpanRow,
    VerdictRow,
)

LATEST = "latest"
"""Stands for the id of the run that started last."""
_NAMED_MATCHES = 3
_NEWEST_FIRST = "ORDER BY started_at DESC, rowid DESC"
_OF_RUN = "candidate_id IN (SELECT id FROM candidates WHERE run_id = ?)"

T = TypeVar("T")


class Reader:
    """Reads one record in one transaction, so that a run still being written is seen as of one moment.

    Entering it raises `ConfigError` for a missing file; all its methods raise `RecordError` if it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> Self:
        open_database(self.path)
        self._connection = connect(self.path, read_only=True)
        with database_errors(self.path):
            self._connection.execute("BEGIN")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def runs(self, limit: int) -> tuple[RunSummary, ...]:
        """Return the runs that started last, newest first."""
        counts = ", ".join(f"({sql}) AS {name}" for name, sql in _COUNTS.items())
        rows = self._rows(f"SELECT runs.*, {counts} FROM runs {_NEWEST_FIRST} LIMIT ?", limit)
        return tuple(_read(RunSummary, row) for row in rows)

    def slots(self) -> frozenset[str]:
        """Return the slot of every run."""
        return frozenset(row["slot"] for row in self._rows("SELECT DISTINCT slot FROM runs"))

    def open_positions(self) -> tuple[PositionRow, ...]:
        """Return the open positions of every account in the record, oldest first, each with its last mark."""
        rows = self._rows(
            "SELECT positions.*, marks.at AS marked_at, marks.mid_cost, marks.natural_cost FROM positions"
            " LEFT JOIN marks ON marks.entry_order_id = positions.entry_order_id AND marks.at ="
            " (SELECT MAX(at) FROM marks WHERE marks.entry_order_id = positions.entry_order_id AND mid_cost NOT NULL)"
            " WHERE state = 'open' ORDER BY account_id, opened_at, positions.entry_order_id"
        )
        return tuple(
            _read(
                PositionRow,
                row,
                contracts=row["contracts"] - row["closed_contracts"],
                opened_contracts=row["contracts"],
                exit_params=json.loads(row["exit_params"]),
            )
            for row in rows
        )

    def groundedness(self) -> tuple[GroundednessRow, ...]:
        """Return, for each version of each role's prompt and each model, how many numbers were not in the brief."""
        rows = self._rows("SELECT * FROM groundedness ORDER BY role, prompt_hash, model")
        return tuple(_read(GroundednessRow, row) for row in rows)

    def run_id(self, text: str) -> str:
        """Return the id of the run that `text` names: the id, the beginning of one only, or `latest`.

        Raises `UnknownIdError` if there is none, or more than one.
        """
        if text == LATEST:
            found = self._rows(f"SELECT id FROM runs {_NEWEST_FIRST} LIMIT 1")
        else:
            found = self._rows(f"SELECT id FROM runs WHERE substr(id, 1, ?) = ? {_NEWEST_FIRST}", len(text), text)
        ids = [row["id"] for row in found]
        if text in ids:
            return text
        if not ids:
            raise UnknownIdError(f"no run `{text}` in {self.path}; `mahler trace list` shows what there is")
        if len(ids) > 1:
            named = ", ".join(ids[:_NAMED_MATCHES]) + (", ..." if len(ids) > _NAMED_MATCHES else "")
            raise UnknownIdError(f"`{text}` fits {len(ids)} runs in {self.path} ({named}); type more of the id")
        return ids[0]

    def trace(self, run_id: str) -> RunTrace:
        """Return everything that the record holds of a run. Raises `UnknownIdError` if there is no such run."""
        rows = self._rows("SELECT * FROM runs WHERE id = ?", run_id)
        if not rows:
            raise UnknownIdError(f"no run `{run_id}` in {self.path}; `mahler trace list` shows what there is")
        events = self._rows("SELECT * FROM events WHERE run_id = ? ORDER BY id", run_id)
        return RunTrace(
            run=_read(RunRow, rows[0], **{column: _parsed(rows[0][column]) for column in _JSON_OF_RUN}),
            candidates=self._candidates(run_id),
            events=tuple(_read(EventRow, row) for row in events),
        )

    def _candidates(self, run_id: str) -> tuple[CandidateTrace, ...]:
        spans = self._spans(run_id)
        opinions = self._opinions(run_id)
        failures = self._of_run("failures", FailureRow, run_id, order="rowid")
        arguments = self._checked("arguments", ArgumentRow, run_id)
        verdicts = self._checked("verdicts", VerdictRow, run_id)
        advice = self._of_run("advice", AdviceRow, run_id)
        sizings = self._sizings(run_id)
        orders = self._orders(run_id)
        rows = self._rows("SELECT * FROM candidates WHERE run_id = ? ORDER BY rank", run_id)
        return tuple(
            _read(
                CandidateTrace,
                row,
                spans=tuple(spans.get(row["id"], ())),
                opinions=tuple(opinions.get(row["id"], ())),
                arguments=tuple(arguments.get(row["id"], ())),
                failures=tuple(failures.get(row["id"], ())),
                verdict=_only(verdicts.get(row["id"], ())),
                advice=_only(advice.get(row["id"], ())),
                sizing=_only(sizings.get(row["id"], ())),
                orders=tuple(orders.get(row["id"], ())),
            )
            for row in rows
        )

    def _spans(self, run_id: str) -> Mapping[str, list[SpanRow]]:
        calls: dict[str, list[sqlite3.Row]] = defaultdict(list)
        for row in self._rows("SELECT * FROM llm_calls WHERE run_id = ? ORDER BY started_at, attempt", run_id):
            calls[row["span_id"]].append(row)
        spans: dict[str, list[SpanRow]] = defaultdict(list)
        # Parallel nodes start in the same millisecond; the order in which they were written tells them apart.
        for row in self._rows("SELECT * FROM spans WHERE run_id = ? ORDER BY started_at, rowid", run_id):
            made = tuple(_read(CallRow, call) for call in calls.pop(row["id"], ()))
            spans[row["candidate_id"]].append(_read(SpanRow, row, calls=made))
        for span_id, made in calls.items():
            spans[made[0]["candidate_id"]].append(_unfinished(span_id, made))
        return spans

    def _opinions(self, run_id: str) -> Mapping[str, list[OpinionRow]]:
        opinions: dict[str, list[OpinionRow]] = defaultdict(list)
        for row in self._rows(f"SELECT * FROM opinions WHERE {_OF_RUN} ORDER BY rowid", run_id):
            said = _read(OpinionRow, row, details=json.loads(row["details"]), grounding=_grounding(row))
            opinions[row["candidate_id"]].append(said)
        return opinions

    def _checked(self, table: str, kind: type[T], run_id: str) -> Mapping[str, list[T]]:
        """Return the rows of a table of texts whose numbers were checked, in the order in which they were written."""
        found: dict[str, list[T]] = defaultdict(list)
        for row in self._rows(f"SELECT * FROM {table} WHERE {_OF_RUN} ORDER BY rowid", run_id):
            found[row["candidate_id"]].append(_read(kind, row, grounding=_grounding(row)))
        return found

    def _sizings(self, run_id: str) -> Mapping[str, list[SizingRow]]:
        sizings: dict[str, list[SizingRow]] = defaultdict(list)
        for row in self._rows(f"SELECT * FROM sizings WHERE {_OF_RUN}", run_id):
            constraints = tuple(ConstraintRow(**one) for one in json.loads(row["constraints"]))
            sizings[row["candidate_id"]].append(_read(SizingRow, row, constraints=constraints))
        return sizings

    def _orders(self, run_id: str) -> Mapping[str, list[OrderRow]]:
        fills: dict[str, list[FillRow]] = defaultdict(list)
        of_orders = f"client_order_id IN (SELECT client_order_id FROM orders WHERE {_OF_RUN})"
        for row in self._rows(f"SELECT * FROM fills WHERE {of_orders} ORDER BY number", run_id):
            fills[row["client_order_id"]].append(_read(FillRow, row))
        orders: dict[str, list[OrderRow]] = defaultdict(list)
        for row in self._rows(f"SELECT * FROM orders WHERE {_OF_RUN} ORDER BY decided_at, rowid", run_id):
            of_order = tuple(fills.get(row["client_order_id"], ()))
            orders[row["candidate_id"]].append(_read(OrderRow, row, fills=of_order))
        return orders

    def _of_run(self, table: str, kind: type[T], run_id: str, *, order: str = "candidate_id") -> Mapping[str, list[T]]:
        found: dict[str, list[T]] = defaultdict(list)
        for row in self._rows(f"SELECT * FROM {table} WHERE {_OF_RUN} ORDER BY {order}", run_id):
            found[row["candidate_id"]].append(_read(kind, row))
        return found

    def _all(self, kind: type[T], sql: str, *parameters: object) -> tuple[T, ...]:
        return tuple(_read(kind, row) for row in self._rows(sql, *parameters))

    def _rows(self, sql: str, *parameters: object) -> list[sqlite3.Row]:
        with database_errors(self.path):
            return self._connection.execute(sql, parameters).fetchall()


_JSON_OF_RUN = ("config", "screen", "regime", "breaker", "size_multiplier", "portfolio_delta")

_COUNTS = {
    "candidates": "SELECT COUNT(*) FROM candidates WHERE run_id = runs.id AND reviewed",
    "traded": "SELECT COUNT(*) FROM candidates WHERE run_id = runs.id AND decision = 'traded'",
    "llm_calls": "SELECT COUNT(*) FROM llm_calls WHERE run_id = runs.id",
    "failures": "SELECT COUNT(*) FROM failures JOIN candidates ON candidates.id = failures.candidate_id"
    " WHERE candidates.run_id = runs.id",
    "prompt_tokens": "SELECT COALESCE(SUM(prompt_tokens), 0) FROM llm_calls WHERE run_id = runs.id",
    "completion_tokens": "SELECT COALESCE(SUM(completion_tokens), 0) FROM llm_calls WHERE run_id = runs.id",
}


@cache
def _columns(kind: type[Any]) -> tuple[tuple[str, bool], ...]:
    """Return the names of a row type's fields, and which of them are truth values, which SQLite keeps as 0 and 1."""
    return tuple((field.name, field.type is bool) for field in fields(kind))


def _read(kind: type[T], row: sqlite3.Row, **parsed: object) -> T:
    """Return the row as its type: columns of the same name, and what had to be parsed or gathered."""
    present = set(row.keys()) - parsed.keys()
    values = {name: bool(row[name]) if is_bool else row[name] for name, is_bool in _columns(kind) if name in present}
    return kind(**values, **parsed)


def _unfinished(span_id: str, calls: list[sqlite3.Row]) -> SpanRow:
    """Return the span of a node that has made calls and has not ended: it is at work, or its process died."""
    return SpanRow(
        id=span_id,
        name=span_id.rpartition(".")[2],
        status="unfinished",
        started_at=calls[0]["started_at"],
        milliseconds=None,
        detail=None,
        calls=tuple(_read(CallRow, call) for call in calls),
    )


def _grounding(row: sqlite3.Row) -> GroundingRow | None:
    if row["numbers"] is None:
        return None
    return GroundingRow(numbers=row["numbers"], ungrounded=tuple(json.loads(row["ungrounded"])))


def _parsed(text: str | None) -> Mapping[str, Any] | None:
    return None if text is None else json.loads(text)


def _only(found: Iterable[T]) -> T | None:
    return next(iter(found), None)
