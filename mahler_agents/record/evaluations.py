"""Record: evaluations; what is to be asked in, what was asked and heard out, as rows."""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mahler_agents.errors import InputError, UnknownIdError
from mahler_agents.record.database import connect, database_errors, open_database
from mahler_agents.record.reading import ReadTransaction
from mahler_agents.record.runs import LATEST, begins, prefix_range

Row = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class EvaluationRow:
    """One evaluation."""

    id: str
    status: str
    """`running`, `done`, or `failed`: it was interrupted, and the same command goes on with it."""
    started_at: str
    error: str | None
    role: str
    cases_query: str
    cases: int
    repeats: int
    variants: int
    expected: int
    """Answers that all of it comes to."""
    answered: int
    failed: int
    calls: int
    """HTTP requests."""
    cost_dollars: float | None
    """At list price; None if that of any call is unknown."""

    @property
    def state(self) -> str:
        """How far it is, in a word: `running`, `done`, `with failures`, or `unfinished`: the same command goes on."""
        if self.status == "running":
            return "running"
        if self.answered + self.failed < self.expected:
            return "unfinished"
        return "with failures" if self.failed else "done"


_LISTED = """
    SELECT evaluations.run_id AS id, status, started_at, error, role, evaluations.cases AS cases_query, repeats,
        (SELECT COUNT(*) FROM evaluation_cases WHERE run_id = evaluations.run_id) AS cases,
        (SELECT COUNT(*) FROM evaluation_variants WHERE run_id = evaluations.run_id) AS variants,
        (SELECT COUNT(*) FROM evaluation_results WHERE run_id = evaluations.run_id AND reply NOT NULL) AS answered,
        (SELECT COUNT(*) FROM evaluation_results WHERE run_id = evaluations.run_id AND reply IS NULL) AS failed,
        (SELECT COUNT(*) FROM llm_calls WHERE run_id = evaluations.run_id) AS calls,
        (SELECT CASE WHEN COUNT(*) = COUNT(cost_dollars) THEN COALESCE(SUM(cost_dollars), 0.0) END
            FROM llm_calls WHERE run_id = evaluations.run_id) AS cost_dollars
    FROM evaluations JOIN runs ON runs.id = evaluations.run_id
"""


class EvaluationReader(ReadTransaction):
    """Answers what was evaluated."""

    def evaluations(self, limit: int = -1) -> tuple[EvaluationRow, ...]:
        """Return the evaluations, newest first."""
        rows = self._rows(f"{_LISTED} ORDER BY started_at DESC, runs.rowid DESC LIMIT ?", limit)
        return tuple(_listed(row) for row in rows)

    def evaluation(self, text: str) -> EvaluationRow:
        """Return the evaluation that `text` names: its id, the beginning of one only, or `latest`.

        Raises `UnknownIdError` if there is none, or more than one.
        """
        found = self.evaluations(1) if text == LATEST else self._beginning(text)
        if len(found) == 0:
            raise UnknownIdError(f"no evaluation `{text}` in {self.path}; `mahler eval list` shows what there is")
        if len(found) > 1:
            named = ", ".join(one.id for one in found[:3])
            raise UnknownIdError(f"`{text}` fits {len(found)} evaluations ({named}); type more of the id")
        return found[0]

    def variants(self, evaluation: str) -> tuple[Row, ...]:
        """Return an evaluation's variants, in order, each with its prompt's content."""
        return self._dicts(
            "SELECT evaluation_variants.*, content FROM evaluation_variants JOIN prompts ON prompts.hash = prompt_hash"
            " WHERE run_id = ? ORDER BY variant",
            evaluation,
        )

    def results(self, evaluation: str, variant: str | None = None) -> tuple[Row, ...]:
        """Return what came of an evaluation, or of one variant of it."""
        return self._dicts(
            "SELECT * FROM evaluation_results WHERE run_id = ? AND (? IS NULL OR variant = ?)"
            " ORDER BY variant, brief_hash, repeat",
            evaluation,
            variant,
            variant,
        )

    def failures(self, evaluation: str) -> dict[str, int]:
        """Return how many answers of an evaluation failed, by kind."""
        rows = self._rows(
            "SELECT failure_kind, COUNT(*) AS times FROM evaluation_results"
            " WHERE run_id = ? AND failure_kind NOT NULL GROUP BY failure_kind ORDER BY times DESC, failure_kind",
            evaluation,
        )
        return {row["failure_kind"]: row["times"] for row in rows}

    def calls(self, evaluation: str) -> tuple[Row, ...]:
        """Return every HTTP attempt of an evaluation, in the order of spans and attempts."""
        return self._dicts("SELECT * FROM llm_calls WHERE run_id = ? ORDER BY span_id, attempt", evaluation)

    def unfinished(self, spec_hash: str) -> Row | None:
        """Return the newest evaluation of the same kind that did not come to its end, None if there is none."""
        rows = self._dicts(
            "SELECT id, status, abandoned_at FROM evaluations JOIN runs ON runs.id = run_id"
            " WHERE spec_hash = ? AND status <> 'done' ORDER BY started_at DESC LIMIT 1",
            spec_hash,
        )
        return rows[0] if rows else None

    def _beginning(self, text: str) -> tuple[EvaluationRow, ...]:
        rows = self._rows(f"{_LISTED} WHERE {begins('runs.id')}", *prefix_range(text))
        return tuple(_listed(row) for row in rows)

    def _dicts(self, sql: str, *parameters: object) -> tuple[Row, ...]:
        return tuple(dict(row) for row in self._rows(sql, *parameters))


class PastResults:
    """Finds what was heard to the same request before; one connection, used by one thread at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection = connect(path, read_only=True)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def find(self, request_hash: str, repeat: int, kinds: Sequence[str]) -> Row | None:
        """Return the oldest result of a request at its repetition: an answer, or a failure of one of the kinds."""
        with database_errors(self._path):
            row = self._connection.execute(
                "SELECT * FROM evaluation_results WHERE request_hash = ? AND repeat = ? AND served_from IS NULL"
                f" AND (reply NOT NULL OR failure_kind IN ({', '.join('?' * len(kinds))})) LIMIT 1",
                (request_hash, repeat, *kinds),
            ).fetchone()
        return dict(row) if row else None


def begin(path: Path, tables: Sequence[tuple[str, Iterable[Row]]]) -> None:
    """Write the rows of a new evaluation, all or none; texts that are there already stay."""
    with closing(connect(path)) as connection, database_errors(path):
        connection.execute("BEGIN IMMEDIATE")
        for table, rows in tables:
            for row in rows:
                places = ", ".join("?" * len(row))
                connection.execute(
                    f"INSERT INTO {table} ({', '.join(row)}) VALUES ({places})"
                    + (" ON CONFLICT DO NOTHING" if table == "prompts" else ""),
                    tuple(row.values()),
                )
        connection.execute("COMMIT")


def reopen(path: Path, evaluation: str) -> None:
    """Say that an evaluation is at work again. Raises `InputError` if another process is at work on it."""
    open_database(path)
    with closing(connect(path)) as connection, database_errors(path):
        changed: sqlite3.Cursor = connection.execute(
            "UPDATE runs SET status = 'running', error = NULL, ended_at = NULL, abandoned_at = NULL"
            " WHERE id = ? AND status <> 'running'",
            (evaluation,),
        )
        if changed.rowcount == 0:
            raise InputError(f"evaluation {evaluation} is at work in another process: wait for it to end")


def _listed(row: sqlite3.Row) -> EvaluationRow:
    fields = dict(row)
    return EvaluationRow(**fields, expected=fields["cases"] * fields["variants"] * fields["repeats"])
