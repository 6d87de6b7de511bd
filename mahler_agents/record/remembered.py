"""Record: which reviewed candidates have ended, and how, with the brief that one role had of each, out as rows."""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from mahler_agents.record.reading import ReadTransaction


@dataclass(frozen=True, kw_only=True)
class Pool:
    """Scans whose trades may stand beside one another: never paper beside live, nor made-up data beside real."""

    market: str
    environment: str
    synthetic: bool
    toy_model: bool

    @classmethod
    def of_run(cls, run: Mapping[str, Any] | sqlite3.Row) -> Self:
        """Return the pool of a run's row."""
        return cls(
            market=run["market"],
            environment=run["environment"],
            synthetic=bool(run["synthetic"]),
            toy_model=bool(run["toy_model"]),
        )


@dataclass(frozen=True, kw_only=True)
class EndedRow:
    """One reviewed candidate, traded or not, that the exit policy has closed."""

    candidate_id: str
    brief: str
    """The role's, as JSON."""
    spread_type: str
    expiration: str
    as_of: str
    exit_at: str
    exit_rule: str
    exit_params: str | None
    """JSON."""
    pnl_dollars: float
    """Of one contract, after fees."""


class RememberedReader(ReadTransaction):
    """Reads what became of a pool's candidates."""

    def ended(self, role: str, pool: Pool) -> tuple[EndedRow, ...]:
        """Return the candidates of a pool that have ended and of which the role had a brief, in that order.

        What replays, evaluations and markets that are seen again reviewed is no trade of its own, and left out.
        """
        return self._all(
            EndedRow,
            """
            SELECT
                candidates.id AS candidate_id, content AS brief, candidates.spread_type, candidates.expiration,
                runs.as_of, exit_at, exit_rule, exit_params, exit_pnl_dollars AS pnl_dollars
            FROM shadows
                JOIN candidates ON candidates.id = shadows.candidate_id
                JOIN runs ON runs.id = candidates.run_id
                JOIN candidate_briefs ON candidate_briefs.candidate_id = candidates.id
                JOIN briefs ON briefs.hash = candidate_briefs.brief_hash
            WHERE exit_at IS NOT NULL AND exit_pnl_dollars IS NOT NULL AND role = ?
                AND NOT retrospective AND candidates.replay_of IS NULL
                AND market = ? AND environment = ? AND synthetic = ? AND toy_model = ?
            ORDER BY exit_at, candidates.id
            """,
            role,
            pool.market,
            pool.environment,
            pool.synthetic,
            pool.toy_model,
        )

    def pools(self) -> dict[str, Pool]:
        """Return the pool of every scan, by its run."""
        rows = self._rows("SELECT id, market, environment, synthetic, toy_model FROM runs")
        return {row["id"]: Pool.of_run(row) for row in rows}
