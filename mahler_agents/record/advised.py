"""Record: every candidate that was reviewed in a scan, what was advised and what became of it, out as frozen rows."""

from dataclasses import dataclass
from typing import NamedTuple

from mahler_agents.record.reading import ReadTransaction


@dataclass(frozen=True, kw_only=True)
class ReviewedRow:
    """One reviewed candidate, never one of a replay; None where the record holds nothing."""

    candidate_id: str
    run_id: str
    as_of: str
    decision_at: str
    started_at: str
    """By the desk's clock, which for a market of other days may be far from `as_of`."""
    environment: str
    market: str
    synthetic: bool
    toy_model: bool
    rerun_of: str | None
    regime: str | None
    commission: float | None
    """Dollars per contract and leg."""
    rank: int
    decision: str | None
    underlying: str
    expiration: str
    short_strike: float
    long_strike: float
    spread_type: str
    dte: int
    screened_credit: float
    spot: float | None
    short_delta: float | None
    short_volatility: float | None
    long_volatility: float | None
    contracts: int | None
    """That the rules allowed."""
    entry_credit: float | None
    """Of its shadow, per share; None if it is not followed."""
    exit_params: str | None
    """JSON: the exit policy of its shadow."""
    exit_at: str | None
    pnl_dollars: float | None
    """Of one contract, after fees."""
    advised_at: str | None
    confidence: float | None
    p_profit: float | None
    approved: bool
    advised_contracts: int | None
    model: str | None
    prompt_hash: str | None


class HeardOpinion(NamedTuple):
    """What one analyst said of a candidate; there are four for each, so it is a plain tuple."""

    candidate_id: str
    analyst: str
    confidence: float
    p_profit: float
    model: str


class AdvisedReader(ReadTransaction):
    """Reads what was advised and what came of it."""

    def reviewed(self) -> tuple[ReviewedRow, ...]:
        """Return every reviewed candidate of every scan, oldest first; what replays asked is left out."""
        return self._all(
            ReviewedRow,
            """
            SELECT
                candidates.id AS candidate_id, candidates.run_id, runs.as_of, runs.decision_at, runs.started_at,
                environment, market,
                synthetic, toy_model, rerun_of, json_extract(runs.regime, '$.regime') AS regime,
                json_extract(runs.config, '$.desk.commission_per_contract_and_leg') AS commission,
                rank, decision, candidates.underlying, candidates.expiration, candidates.short_strike,
                candidates.long_strike, candidates.spread_type, dte, candidates.credit AS screened_credit,
                json_extract(facts, '$.spot') AS spot,
                ABS(json_extract(facts, '$.short_leg.delta')) AS short_delta,
                json_extract(facts, '$.short_leg.implied_volatility') AS short_volatility,
                json_extract(facts, '$.long_leg.implied_volatility') AS long_volatility,
                sizings.contracts, entry_credit, exit_params, exit_at, exit_pnl_dollars AS pnl_dollars,
                advice.recorded_at AS advised_at, verdicts.confidence, p_profit, COALESCE(approved, 0) AS approved,
                verdicts.contracts AS advised_contracts, verdicts.model, verdicts.prompt_hash
            FROM candidates
                JOIN runs ON runs.id = candidates.run_id
                LEFT JOIN shadows ON shadows.candidate_id = candidates.id
                LEFT JOIN advice ON advice.candidate_id = candidates.id
                LEFT JOIN verdicts ON verdicts.candidate_id = candidates.id
                LEFT JOIN sizings ON sizings.candidate_id = candidates.id
            WHERE reviewed AND NOT retrospective AND candidates.replay_of IS NULL
            ORDER BY runs.as_of, candidates.run_id, rank
            """,
        )

    def opinions(self) -> list[HeardOpinion]:
        """Return every opinion on a reviewed candidate; those of replays are among them."""
        return [
            HeardOpinion._make(row)
            for row in self._rows("SELECT candidate_id, analyst, confidence, p_profit, model FROM opinions")
        ]

    def debaters(self) -> dict[str, frozenset[str]]:
        """Return the models that argued about each candidate; without a debate there are none."""
        found: dict[str, frozenset[str]] = {}
        for row in self._rows("SELECT DISTINCT candidate_id, model FROM arguments"):
            found[row["candidate_id"]] = found.get(row["candidate_id"], frozenset()) | {row["model"]}
        return found

    def replayed(self) -> int:
        """Return how many reviewed candidates are of replays, whose advice came after the fact."""
        rows = self._rows(
            "SELECT COUNT(*) AS number FROM candidates JOIN runs ON runs.id = candidates.run_id"
            " WHERE reviewed AND (retrospective OR candidates.replay_of IS NOT NULL)"
        )
        return int(rows[0]["number"])

    def last_instant(self) -> str | None:
        """Return the latest instant that the desk has looked at its account or its market; None in an empty record."""
        rows = self._rows(
            "SELECT MAX(at) AS at FROM (SELECT MAX(at) AS at FROM equity UNION ALL SELECT MAX(as_of) FROM runs"
            " WHERE NOT retrospective)"
        )
        return rows[0]["at"]
