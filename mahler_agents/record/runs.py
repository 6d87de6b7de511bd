"""Record: which runs are there: filters in, one row a run out; and the run or prompt version that a text names."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass

from mahler_agents.errors import UnknownIdError
from mahler_agents.record.reading import ReadTransaction, read_row
from mahler_agents.record.rows import RunSummary

LATEST = "latest"
"""Stands for the id of the run that started last."""
_NAMED_MATCHES = 3
_NEWEST_FIRST = "ORDER BY started_at DESC, rowid DESC"
_AFTER_ALL = "\U0010ffff"
"""Sorts behind every character of an id, so that a prefix is a range of the index."""

_OF_CALLS = "FROM llm_calls WHERE run_id = runs.id"
_COUNTED = {
    "underlyings": "SELECT GROUP_CONCAT(DISTINCT underlying) FROM candidates WHERE run_id = runs.id AND reviewed",
    "candidates": "SELECT COUNT(*) FROM candidates WHERE run_id = runs.id AND reviewed",
    "traded": "SELECT COUNT(*) FROM candidates WHERE run_id = runs.id AND decision = 'traded'",
    "llm_calls": f"SELECT COUNT(*) {_OF_CALLS}",
    "failures": "SELECT COUNT(*) FROM failures JOIN candidates ON candidates.id = failures.candidate_id"
    " WHERE candidates.run_id = runs.id",
    "prompt_tokens": f"SELECT COALESCE(SUM(prompt_tokens), 0) {_OF_CALLS}",
    "completion_tokens": f"SELECT COALESCE(SUM(completion_tokens), 0) {_OF_CALLS}",
    "cost_dollars": "SELECT CASE WHEN COUNT(*) = COUNT(cost_dollars) THEN COALESCE(SUM(cost_dollars), 0.0) END"
    f" {_OF_CALLS}",
}


@dataclass(frozen=True, kw_only=True)
class RunFilter:
    """Which runs to list: those that fit every field that is set."""

    since: dt.date | None = None
    """First New York date of `as_of`."""
    until: dt.date | None = None
    """Last one, included."""
    underlying: str | None = None
    """A symbol of which a candidate was reviewed."""
    status: str | None = None
    failed: bool = False
    """Runs that failed, or in which an analyst or the fund manager did."""
    model: str | None = None
    """As asked for (of the run or of one role), or as the provider resolved it."""
    prompt: str | None = None
    """The version of a prompt, or the beginning of one that fits no other."""
    min_cost: float | None = None
    """Dollars: the least that the calls of known cost sum to."""


class RunsReader(ReadTransaction):
    """Answers which runs there are."""

    def runs(self, limit: int, chosen: RunFilter | None = None) -> tuple[RunSummary, ...]:
        """Return the runs that fit, newest first, at most `limit`.

        Raises `UnknownIdError` for a prompt version that the record does not hold, or that fits several.
        """
        conditions = list(self._conditions(chosen or RunFilter()))
        where = " AND ".join(f"({sql})" for sql, _ in conditions) or "TRUE"
        counted = ", ".join(f"({sql}) AS {name}" for name, sql in _COUNTED.items())
        values = [value for _, bound in conditions for value in bound]
        rows = self._rows(f"SELECT runs.*, {counted} FROM runs WHERE {where} {_NEWEST_FIRST} LIMIT ?", *values, limit)
        return tuple(read_row(RunSummary, row, underlyings=_split(row["underlyings"])) for row in rows)

    def slots(self) -> frozenset[str]:
        """Return the slot of every run."""
        return frozenset(row["slot"] for row in self._rows("SELECT DISTINCT slot FROM runs"))

    def run_id(self, text: str, *, latest_of: str = "TRUE", no_latest: str | None = None) -> str:
        """Return the id of the run that `text` names: the id, the beginning of one only, or `latest`.

        `latest_of` is the condition on the runs of which `latest` is the newest, and `no_latest` says that there is
        none. Raises `UnknownIdError` if there is none, or more than one.
        """
        if text == LATEST:
            found = self._rows(f"SELECT id FROM runs WHERE {latest_of} {_NEWEST_FIRST} LIMIT 1")
            if not found and no_latest is not None:
                raise UnknownIdError(no_latest)
        else:
            found = self._rows(f"SELECT id FROM runs WHERE {begins('id')} {_NEWEST_FIRST}", *prefix_range(text))
        ids = [row["id"] for row in found]
        if text in ids:
            return text
        if not ids:
            raise UnknownIdError(f"no run `{text}` in {self.path}; `mahler trace list` shows what there is")
        if len(ids) > 1:
            raise UnknownIdError(f"`{text}` fits {len(ids)} runs in {self.path} ({_named(ids)}); type more of the id")
        return ids[0]

    def prompt_version(self, text: str) -> str:
        """Return the version of a prompt that `text` is, or begins. Raises `UnknownIdError` for none or several."""
        found = self._rows(f"SELECT hash, name FROM prompts WHERE {begins('hash')} ORDER BY name", *prefix_range(text))
        if not found:
            raise UnknownIdError(f"no prompt version `{text}` in {self.path}; `mahler trace show ID` names a run's")
        if len(found) > 1:
            versions = [f"{row['name']} {row['hash'][: len(text) + 6]}" for row in found]
            raise UnknownIdError(f"`{text}` fits {len(versions)} prompt versions ({_named(versions)}); type more of it")
        return found[0]["hash"]

    def _conditions(self, chosen: RunFilter) -> Iterator[tuple[str, tuple[object, ...]]]:
        """Yield a condition of SQL and its values for every field that is set."""
        if chosen.since is not None:
            yield "as_of >= ?", (midnight(chosen.since),)
        if chosen.until is not None:
            yield "as_of < ?", (midnight(chosen.until + dt.timedelta(days=1)),)
        if chosen.underlying is not None:
            reviewed = "SELECT 1 FROM candidates WHERE run_id = runs.id AND reviewed AND underlying = ?"
            yield f"EXISTS ({reviewed})", (chosen.underlying,)
        if chosen.status is not None:
            yield "status = ?", (chosen.status,)
        if chosen.failed:
            failures = "SELECT run_id FROM failures JOIN candidates ON candidates.id = failures.candidate_id"
            yield f"status = 'failed' OR id IN ({failures})", ()
        if chosen.model is not None:
            asked = f"SELECT 1 {_OF_CALLS} AND (llm_calls.model = ? OR resolved_model = ?)"
            yield f"runs.model = ? OR EXISTS ({asked})", (chosen.model,) * 3
        if chosen.prompt is not None:
            version = self.prompt_version(chosen.prompt)
            yield f"EXISTS (SELECT 1 {_OF_CALLS} AND prompt_hash = ?)", (version,)
        if chosen.min_cost is not None:
            yield f"(SELECT SUM(cost_dollars) {_OF_CALLS}) >= ?", (chosen.min_cost,)


def begins(column: str) -> str:
    """Return the condition that a column begins with a text, whose bounds `prefix_range` gives."""
    return f"{column} >= ? AND {column} < ?"


def prefix_range(prefix: str) -> tuple[str, str]:
    """Return the two bounds of all texts that begin with `prefix`."""
    return prefix, prefix + _AFTER_ALL


def _named(matches: list[str]) -> str:
    return ", ".join(matches[:_NAMED_MATCHES]) + (", ..." if len(matches) > _NAMED_MATCHES else "")


def _split(joined: str | None) -> tuple[str, ...]:
    return tuple(sorted(joined.split(","))) if joined else ()


def midnight(day: dt.date) -> str:
    """Return the instant at which the day begins in New York, as the record writes instants."""
    from mahler_agents.clock import NEW_YORK, utc_text  # a list without dates need not wait for it

    return utc_text(dt.datetime.combine(day, dt.time(), NEW_YORK))
