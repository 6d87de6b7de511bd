"""Record: cases that were added by hand, tags, and evaluations: prompts and models asked on the same stored briefs."""

_CURABLE = "brief_hash IS NOT NULL AND kind NOT IN ('missing_facts', 'no_quorum')"
"""What a brief itself lacks, no prompt can cure: such briefs are no cases."""

_HEARD = " UNION ALL ".join(
    (
        "SELECT brief_hash, candidate_id, NULL AS failure FROM candidate_briefs",
        # In records of older versions a brief is found by what was said of it only.
        "SELECT brief_hash, candidate_id, NULL FROM opinions",
        "SELECT brief_hash, candidate_id, NULL FROM verdicts",
        "SELECT brief_hash, candidate_id, NULL FROM arguments",
        f"SELECT brief_hash, candidate_id, kind FROM failures WHERE {_CURABLE}",
    )
)

STATEMENTS = (
    """
    CREATE TABLE candidate_briefs (
        candidate_id TEXT NOT NULL REFERENCES candidates (id),
        brief_hash TEXT NOT NULL REFERENCES briefs (hash),
        PRIMARY KEY (candidate_id, brief_hash)
    )
    """,
    """
    CREATE TABLE added_cases (
        brief_hash TEXT PRIMARY KEY REFERENCES briefs (hash),
        as_of TEXT NOT NULL,
        market TEXT NOT NULL,
        synthetic INTEGER NOT NULL,
        pnl_dollars REAL,
        exit_rule TEXT,
        added_at TEXT NOT NULL
    )
    """,
    """
    CREATE TABLE case_tags (
        brief_hash TEXT NOT NULL REFERENCES briefs (hash),
        tag TEXT NOT NULL,
        PRIMARY KEY (brief_hash, tag)
    )
    """,
    """
    CREATE TABLE evaluations (
        run_id TEXT PRIMARY KEY REFERENCES runs (id),
        spec_hash TEXT NOT NULL,
        role TEXT NOT NULL,
        cases TEXT NOT NULL,
        repeats INTEGER NOT NULL CHECK (repeats > 0)
    )
    """,
    "CREATE INDEX evaluations_by_spec ON evaluations (spec_hash)",
    """
    CREATE TABLE evaluation_variants (
        run_id TEXT NOT NULL REFERENCES evaluations (run_id),
        variant TEXT NOT NULL,
        prompt_hash TEXT NOT NULL REFERENCES prompts (hash),
        model TEXT NOT NULL,
        base_url TEXT NOT NULL,
        toy_model INTEGER NOT NULL,
        PRIMARY KEY (run_id, variant)
    )
    """,
    """
    CREATE TABLE evaluation_cases (
        run_id TEXT NOT NULL REFERENCES evaluations (run_id),
        brief_hash TEXT NOT NULL REFERENCES briefs (hash),
        PRIMARY KEY (run_id, brief_hash)
    )
    """,
    """
    CREATE TABLE evaluation_results (
        run_id TEXT NOT NULL REFERENCES evaluations (run_id),
        variant TEXT NOT NULL,
        brief_hash TEXT NOT NULL REFERENCES briefs (hash),
        repeat INTEGER NOT NULL,
        request_hash TEXT NOT NULL,
        reply TEXT,
        failure_kind TEXT,
        failure_detail TEXT,
        attempts INTEGER NOT NULL,
        repaired INTEGER NOT NULL,
        prompt_tokens INTEGER,
        completion_tokens INTEGER,
        cost_dollars REAL,
        milliseconds REAL,
        numbers INTEGER,
        ungrounded TEXT,
        model TEXT,
        served_from TEXT REFERENCES evaluations (run_id),
        PRIMARY KEY (run_id, variant, brief_hash, repeat),
        CHECK ((reply IS NULL) <> (failure_kind IS NULL))
    )
    """,
    "CREATE INDEX evaluation_results_by_request ON evaluation_results (request_hash, repeat)",
    # SQLite takes the bare columns of a group from the row that has the MIN: the scan that heard the brief first.
    f"""
    CREATE VIEW cases AS
    WITH heard AS ({_HEARD}),
    scanned AS (
        SELECT
            heard.brief_hash, candidates.id AS candidate_id, runs.id AS run_id, runs.as_of, runs.market, runs.synthetic,
            MIN(runs.started_at || candidates.id) AS heard_first
        FROM heard
            JOIN candidates ON candidates.id = heard.candidate_id
            JOIN runs ON runs.id = candidates.run_id AND NOT runs.retrospective
        GROUP BY heard.brief_hash
    ),
    failed AS (SELECT brief_hash, MAX(failure) AS failure FROM heard WHERE failure IS NOT NULL GROUP BY brief_hash),
    found AS (
        SELECT
            brief_hash, candidate_id, run_id, as_of, market, synthetic,
            shadows.exit_pnl_dollars AS pnl_dollars, shadows.exit_rule
        FROM scanned LEFT JOIN shadows USING (candidate_id)
        UNION ALL
        SELECT brief_hash, NULL, NULL, as_of, market, synthetic, pnl_dollars, exit_rule FROM added_cases
        WHERE brief_hash NOT IN (SELECT brief_hash FROM scanned)
    )
    SELECT
        found.brief_hash, briefs.role, found.as_of,
        json_extract(briefs.content, '$.underlying') AS underlying,
        json_extract(briefs.content, '$.spread_type') AS spread_type,
        found.market, found.synthetic, found.run_id, found.candidate_id, failed.failure, found.pnl_dollars,
        found.exit_rule
    FROM found
        JOIN briefs ON briefs.hash = found.brief_hash
        LEFT JOIN failed ON failed.brief_hash = found.brief_hash
    """,
)
