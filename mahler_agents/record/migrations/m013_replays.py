"""Record: runs that replay another, in retrospect, so that they are never pooled with advice given before an order."""

STATEMENTS = (
    "ALTER TABLE runs ADD COLUMN replay_of TEXT REFERENCES runs (id)",
    "ALTER TABLE runs ADD COLUMN retrospective INTEGER NOT NULL DEFAULT 0 CHECK (retrospective IN (0, 1))",
    "ALTER TABLE candidates ADD COLUMN replay_of TEXT REFERENCES candidates (id)",
    "CREATE INDEX replays_of_run ON runs (replay_of) WHERE replay_of IS NOT NULL",
    # As it was, without the candidates of replays, of which nothing was decided.
    "DROP VIEW decisions",
    """
    CREATE VIEW decisions AS
    SELECT
        candidates.run_id, candidates.id AS candidate_id, runs.as_of, runs.environment, runs.market, runs.synthetic,
        candidates.rank, candidates.reviewed, candidates.underlying, candidates.spread_type, candidates.short_strike,
        candidates.long_strike, candidates.expiration, candidates.credit, candidates.decision, candidates.reason,
        candidates.ai_summary, candidates.confidence, candidates.iv_rank,
        verdicts.p_profit, advice.level AS advice_level, advice.would_veto, sizings.contracts,
        shadows.exit_rule AS shadow_exit_rule, shadows.exit_pnl_dollars AS shadow_pnl_dollars
    FROM candidates
        JOIN runs ON runs.id = candidates.run_id
        LEFT JOIN verdicts ON verdicts.candidate_id = candidates.id
        LEFT JOIN advice ON advice.candidate_id = candidates.id
        LEFT JOIN sizings ON sizings.candidate_id = candidates.id
        LEFT JOIN shadows ON shadows.candidate_id = candidates.id
    WHERE NOT runs.retrospective
    """,
)
