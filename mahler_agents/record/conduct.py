"""Record: an account and a span of instants in, all that it did in it out, as frozen rows; plain sqlite3."""

import json
import sqlite3
from collections import defaultdict
from typing import Any

from mahler_agents.record.accounts import AccountReader, RecordedEquity
from mahler_agents.record.conduct_rows import (
    PENDING,
    BreakerChange,
    CallSums,
    CandidateConduct,
    Conduct,
    EventConduct,
    MarkConduct,
    OrderConduct,
    OutcomeConduct,
    PositionConduct,
    ReductionConduct,
    RoleFailure,
    TradingChange,
)
from mahler_agents.record.reading import read_row
from mahler_agents.record.slots import slot_row
from mahler_agents.record.trace_rows import AdviceRow, ConstraintRow, FillRow, RunRow, SizingRow

_JSON_OF_RUN = ("config", "screen", "regime", "breaker", "size_multiplier", "portfolio_delta")


class ConductReader(AccountReader):
    """A reader of what accounts did."""

    def conduct(self, account_id: str, begins: str, ends: str) -> Conduct:
        """Return what an account did from one instant to before another. Raises `RecordError`."""
        of_runs = (account_id, begins, ends)
        positions = self._positions_of(account_id, begins, ends)
        return Conduct(
            account_id=account_id,
            begins=begins,
            ends=ends,
            runs=tuple(_run(row) for row in self._rows(_RUNS, *of_runs)),
            candidates=self._candidates_of(of_runs),
            orders=self._orders_of(account_id, begins, ends),
            positions=positions,
            marks=self._all(MarkConduct, _MARKS, *of_runs),
            outcomes=self._all(OutcomeConduct, _OUTCOMES, *of_runs),
            reductions=self._all(ReductionConduct, _REDUCTIONS, account_id, ends),
            equity=self._equity_of(account_id, begins, ends),
            trading=self._all(TradingChange, "SELECT * FROM trading_states WHERE at < ? ORDER BY id", ends),
            breaker=self._all(BreakerChange, _BREAKER, account_id, ends),
            failures=self._all(RoleFailure, _FAILURES, *of_runs),
            answers={row["candidate_id"]: row["answers"] for row in self._rows(_ANSWERS, *of_runs)},
            calls=read_row(CallSums, self._rows(_CALLS, *of_runs)[0]),
            events=self._all(EventConduct, _EVENTS, *of_runs),
            slots=tuple(map(slot_row, self._rows(_SLOTS, begins, ends))),
            first_due={row["job"]: row["at"] for row in self._rows(_FIRST_DUE)},
        )

    def newest_scan(self, account_id: str, before: str) -> RunRow | None:
        """Return the last scan of an account with `as_of` before an instant; None if there is none."""
        rows = self._rows(f"SELECT * FROM runs WHERE {_OF_SCANS} ORDER BY as_of DESC LIMIT 1", account_id, "", before)
        return _run(rows[0]) if rows else None

    def scheduled(self) -> bool:
        """Return whether a schedule has ever run on the record."""
        return bool(self._rows("SELECT 1 FROM slots LIMIT 1"))

    def last_instant(self, account_id: str) -> str | None:
        """Return the last instant of which the record tells something of an account; None if it tells nothing."""
        return self._rows(_LAST, account_id, account_id)[0]["at"]

    def _positions_of(self, account_id: str, begins: str, ends: str) -> tuple[PositionConduct, ...]:
        rows = self._rows(_POSITIONS, account_id, begins, ends)
        return tuple(read_row(PositionConduct, row, exit_params=_parsed(row["exit_params"])) for row in rows)

    def _candidates_of(self, of_runs: tuple[str, str, str]) -> tuple[CandidateConduct, ...]:
        advice = {row["candidate_id"]: row for row in self._rows(_of_candidates("advice"), *of_runs)}
        sizings = {row["candidate_id"]: _sizing(row) for row in self._rows(_of_candidates("sizings"), *of_runs)}
        followed = {row["candidate_id"] for row in self._rows(_of_candidates("shadows"), *of_runs)}
        return tuple(
            read_row(
                CandidateConduct,
                row,
                advice=read_row(AdviceRow, advice[row["id"]]) if row["id"] in advice else None,
                advised_at=advice[row["id"]]["recorded_at"] if row["id"] in advice else None,
                sizing=sizings.get(row["id"]),
                followed=row["id"] in followed,
            )
            for row in self._rows(_CANDIDATES, *of_runs)
        )

    def _orders_of(self, account_id: str, begins: str, ends: str) -> tuple[OrderConduct, ...]:
        fills: dict[str, list[FillRow]] = defaultdict(list)
        for row in self._rows(_FILLS, account_id, ends):
            fills[row["client_order_id"]].append(read_row(FillRow, row))
        rows = self._rows(_ORDERS, account_id, begins, ends)
        return tuple(read_row(OrderConduct, row, fills=tuple(fills[row["client_order_id"]])) for row in rows)

    def _equity_of(self, account_id: str, begins: str, ends: str) -> tuple[RecordedEquity, ...]:
        before = self._all(RecordedEquity, f"{_EQUITY} AND at < ? ORDER BY at DESC LIMIT 1", account_id, begins)
        within = self._all(RecordedEquity, f"{_EQUITY} AND at >= ? AND at < ? ORDER BY at", account_id, begins, ends)
        return (*before, *within)


def _of_candidates(table: str) -> str:
    return f"SELECT {table}.* FROM {table} JOIN candidates ON candidates.id = candidate_id WHERE {_IN_RUNS}"


def _run(row: sqlite3.Row) -> RunRow:
    return read_row(RunRow, row, **{column: _parsed(row[column]) for column in _JSON_OF_RUN})


def _sizing(row: sqlite3.Row) -> SizingRow:
    return read_row(SizingRow, row, constraints=tuple(ConstraintRow(**one) for one in json.loads(row["constraints"])))


def _parsed(text: str | None) -> Any:
    return None if text is None else json.loads(text)


_OF_SCANS = "kind = 'scan' AND account_id = ?1 AND as_of >= ?2 AND as_of < ?3"
_IN_RUNS = f"candidates.run_id IN (SELECT id FROM runs WHERE {_OF_SCANS})"
_OPEN_IN = """
    account_id = ?1 AND opened_at < ?3 AND (state = 'open' OR EXISTS (
        SELECT 1 FROM outcomes WHERE outcomes.entry_order_id = positions.entry_order_id AND closed_at >= ?2))
"""
_POSITIONS = f"SELECT * FROM positions WHERE {_OPEN_IN} ORDER BY opened_at, entry_order_id"
_HELD = f"SELECT entry_order_id FROM positions WHERE {_OPEN_IN}"
_RUNS = f"SELECT * FROM runs WHERE {_OF_SCANS} ORDER BY as_of, started_at"
_CANDIDATES = f"SELECT * FROM candidates WHERE {_IN_RUNS} ORDER BY run_id, rank"
_FAILURES = f"""
    SELECT failures.*, run_id FROM failures JOIN candidates ON candidates.id = candidate_id
    WHERE {_IN_RUNS} ORDER BY failures.rowid
"""
_ANSWERS = "SELECT candidate_id, COUNT(*) AS answers FROM ({}) GROUP BY candidate_id".format(
    " UNION ALL ".join(
        f"SELECT candidate_id FROM {table} JOIN candidates ON candidates.id = candidate_id WHERE {_IN_RUNS}"
        for table in ("opinions", "arguments", "verdicts")
    )
)
_CALLS = f"""
    SELECT COUNT(*) AS calls, COALESCE(SUM(prompt_tokens), 0) AS prompt_tokens,
        COALESCE(SUM(completion_tokens), 0) AS completion_tokens, COALESCE(SUM(cost_dollars), 0.0) AS cost_dollars,
        COUNT(*) - COUNT(cost_dollars) AS unknown_costs
    FROM llm_calls WHERE run_id IN (SELECT id FROM runs WHERE {_OF_SCANS})
"""
_ORDERS = f"""
    SELECT *, (SELECT MAX(at) FROM order_attempts
            WHERE order_attempts.client_order_id = orders.client_order_id) AS last_attempt_at,
        CASE WHEN EXISTS (SELECT 1 FROM paper_accounts WHERE paper_accounts.account_id = orders.account_id) THEN
            (SELECT COALESCE(SUM(paper_fills.contracts), 0) FROM paper_fills JOIN order_attempts USING (order_id)
            WHERE order_attempts.client_order_id = orders.client_order_id) END AS told_contracts
    FROM orders
    WHERE account_id = ?1 AND decided_at < ?3 AND (decided_at >= ?2 OR client_order_id IN ({_HELD})
        OR closes IN ({_HELD}) OR state IN ({", ".join(repr(state) for state in sorted(PENDING))}))
    ORDER BY decided_at, rowid
"""
_FILLS = """
    SELECT fills.* FROM fills JOIN orders USING (client_order_id) WHERE account_id = ? AND fills.at < ?
    ORDER BY fills.client_order_id, fills.number
"""
_MARKS = f"SELECT * FROM marks WHERE entry_order_id IN ({_HELD}) AND at < ?3 ORDER BY at, entry_order_id"
_OUTCOMES = f"""
    SELECT * FROM outcomes WHERE entry_order_id IN ({_HELD}) AND closed_at < ?3
    ORDER BY closed_at, entry_order_id, number
"""
_REDUCTIONS = "SELECT * FROM reductions WHERE account_id = ? AND at < ? ORDER BY at, entry_order_id"
_BREAKER = "SELECT * FROM breaker_changes WHERE account_id = ? AND at < ? ORDER BY id"
_EQUITY = "SELECT * FROM equity WHERE account_id = ?"
_EVENTS = f"""
    SELECT * FROM events WHERE run_id IN (SELECT id FROM runs WHERE {_OF_SCANS})
        OR run_id IS NULL AND at >= ?2 AND at < ?3 ORDER BY id
"""
_FIRST_DUE = "SELECT job, MIN(due_at) AS at FROM slots GROUP BY job"
_SLOTS = "SELECT * FROM slots WHERE due_at >= ? AND due_at < ? ORDER BY due_at, id"
_LAST = """
    SELECT MAX(at) AS at FROM (SELECT MAX(at) AS at FROM equity WHERE account_id = ?
        UNION ALL SELECT MAX(as_of) FROM runs WHERE account_id = ? AND kind = 'scan'
        UNION ALL SELECT MAX(due_at) FROM slots)
"""
