"""Record: what happened in one run: its id in, everything that the record holds of it out."""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, TypeVar

from mahler_agents.errors import UnknownIdError
from mahler_agents.record.reading import ReadTransaction, only, read_row
from mahler_agents.record.trace_rows import (
    AdviceRow,
    ArgumentRow,
    CallRow,
    CandidateTrace,
    ConstraintRow,
    EventRow,
    FailureRow,
    FillRow,
    GroundingRow,
    OpinionRow,
    OrderRow,
    PromptRow,
    RawKept,
    RunRow,
    RunTrace,
    SizingRow,
    SpanRow,
    VerdictRow,
)

T = TypeVar("T")

_OF_RUN = "candidate_id IN (SELECT id FROM candidates WHERE run_id = ?)"
_JSON_OF_RUN = ("config", "screen", "regime", "breaker", "size_multiplier", "portfolio_delta")
_ADVISED = ("opinions", "arguments", "failures", "verdicts")
"""The tables that name the brief and the prompt that an advisor was given, as does every call."""


class TraceReader(ReadTransaction):
    """Answers what happened in one run."""

    def trace(self, run_id: str) -> RunTrace:
        """Return everything that the record holds of a run. Raises `UnknownIdError` if there is no such run."""
        rows = self._rows("SELECT * FROM runs WHERE id = ?", run_id)
        if not rows:
            raise UnknownIdError(f"no run `{run_id}` in {self.path}; `mahler trace list` shows what there is")
        events = self._rows("SELECT * FROM events WHERE run_id = ? ORDER BY id", run_id)
        briefs = self._given("briefs", "brief_hash", run_id)
        return RunTrace(
            run=read_row(RunRow, rows[0], **{column: _parsed(rows[0][column]) for column in _JSON_OF_RUN}),
            candidates=self._candidates(run_id),
            events=tuple(read_row(EventRow, row) for row in events),
            prompts={row["hash"]: read_row(PromptRow, row) for row in self._given("prompts", "prompt_hash", run_id)},
            briefs={row["hash"]: json.loads(row["content"]) for row in briefs},
            raw=self._raw(run_id),
        )

    def _raw(self, run_id: str) -> RawKept | None:
        answered = "FROM raw_payloads JOIN raw_answers ON payload_hash = hash WHERE run_id = ?"
        once = f"SELECT DISTINCT hash, LENGTH(content) AS stored {answered}"
        (row,) = self._rows(
            f"SELECT COUNT(*) AS answers, COALESCE(SUM(bytes), 0) AS bytes,"
            f" (SELECT COALESCE(SUM(stored), 0) FROM ({once})) AS stored_bytes {answered}",
            run_id,
            run_id,
        )
        return read_row(RawKept, row) if row["answers"] else None

    def _given(self, table: str, column: str, run_id: str) -> list[sqlite3.Row]:
        """Return the blobs that the run's advisors were given."""
        used = [f"SELECT {column} FROM {advised} WHERE {_OF_RUN}" for advised in _ADVISED]
        hashes = " UNION ".join([f"SELECT {column} FROM llm_calls WHERE run_id = ?", *used])
        return self._rows(
            f"SELECT * FROM {table} WHERE hash IN ({hashes}) ORDER BY rowid", *(run_id,) * (1 + len(used))
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
            read_row(
                CandidateTrace,
                row,
                facts=json.loads(row["facts"]),
                spans=tuple(spans.get(row["id"], ())),
                opinions=tuple(opinions.get(row["id"], ())),
                arguments=tuple(arguments.get(row["id"], ())),
                failures=tuple(failures.get(row["id"], ())),
                verdict=only(verdicts.get(row["id"], ())),
                advice=only(advice.get(row["id"], ())),
                sizing=only(sizings.get(row["id"], ())),
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
            made = tuple(read_row(CallRow, call) for call in calls.pop(row["id"], ()))
            spans[row["candidate_id"]].append(read_row(SpanRow, row, calls=made))
        for span_id, made in calls.items():
            spans[made[0]["candidate_id"]].append(_unfinished(span_id, made))
        return spans

    def _opinions(self, run_id: str) -> Mapping[str, list[OpinionRow]]:
        opinions: dict[str, list[OpinionRow]] = defaultdict(list)
        for row in self._rows(f"SELECT * FROM opinions WHERE {_OF_RUN} ORDER BY rowid", run_id):
            said = read_row(OpinionRow, row, details=json.loads(row["details"]), grounding=_grounding(row))
            opinions[row["candidate_id"]].append(said)
        return opinions

    def _checked(self, table: str, kind: type[T], run_id: str) -> Mapping[str, list[T]]:
        """Return the rows of a table of texts whose numbers were checked, in the order in which they were written."""
        found: dict[str, list[T]] = defaultdict(list)
        for row in self._rows(f"SELECT * FROM {table} WHERE {_OF_RUN} ORDER BY rowid", run_id):
            found[row["candidate_id"]].append(read_row(kind, row, grounding=_grounding(row)))
        return found

    def _sizings(self, run_id: str) -> Mapping[str, list[SizingRow]]:
        sizings: dict[str, list[SizingRow]] = defaultdict(list)
        for row in self._rows(f"SELECT * FROM sizings WHERE {_OF_RUN}", run_id):
            constraints = tuple(ConstraintRow(**one) for one in json.loads(row["constraints"]))
            sizings[row["candidate_id"]].append(read_row(SizingRow, row, constraints=constraints))
        return sizings

    def _orders(self, run_id: str) -> Mapping[str, list[OrderRow]]:
        fills: dict[str, list[FillRow]] = defaultdict(list)
        of_orders = f"client_order_id IN (SELECT client_order_id FROM orders WHERE {_OF_RUN})"
        for row in self._rows(f"SELECT * FROM fills WHERE {of_orders} ORDER BY number", run_id):
            fills[row["client_order_id"]].append(read_row(FillRow, row))
        orders: dict[str, list[OrderRow]] = defaultdict(list)
        lowest = "SELECT MIN(limit_credit) FROM order_attempts WHERE client_order_id = orders.client_order_id"
        select = f"SELECT *, ({lowest}) AS lowest_asked FROM orders WHERE {_OF_RUN} ORDER BY decided_at, rowid"
        for row in self._rows(select, run_id):
            of_order = tuple(fills.get(row["client_order_id"], ()))
            orders[row["candidate_id"]].append(read_row(OrderRow, row, fills=of_order))
        return orders

    def _of_run(self, table: str, kind: type[T], run_id: str, *, order: str = "candidate_id") -> Mapping[str, list[T]]:
        found: dict[str, list[T]] = defaultdict(list)
        for row in self._rows(f"SELECT * FROM {table} WHERE {_OF_RUN} ORDER BY {order}", run_id):
            found[row["candidate_id"]].append(read_row(kind, row))
        return found


def _unfinished(span_id: str, calls: list[sqlite3.Row]) -> SpanRow:
    """Return the span of a node that has made calls and has not ended: it is at work, or its process died."""
    return SpanRow(
        id=span_id,
        name=span_id.rpartition(".")[2],
        status="unfinished",
        started_at=calls[0]["started_at"],
        milliseconds=None,
        detail=None,
        calls=tuple(read_row(CallRow, call) for call in calls),
    )


def _grounding(row: sqlite3.Row) -> GroundingRow | None:
    if row["numbers"] is None:
        return None
    return GroundingRow(numbers=row["numbers"], ungrounded=tuple(json.loads(row["ungrounded"])))


def _parsed(text: str | None) -> Mapping[str, Any] | None:
    return None if text is None else json.loads(text)
