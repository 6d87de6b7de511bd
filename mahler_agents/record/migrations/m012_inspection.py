"""Record: marks of what dead processes left and of what was pruned, and views for who reads the record.

A migration that rebuilds a table which a view reads must drop the view first.
"""

_RIGHT = "CASE spread_type WHEN 'bull_put' THEN 'put' ELSE 'call' END"
_SHORT, _LONG = (f"rtrim(rtrim(printf('%.3f', {leg}_strike), '0'), '.')" for leg in ("short", "long"))
_LABEL = f"underlying || ' ' || {_SHORT} || '/' || {_LONG} || ' ' || {_RIGHT} || ' spread, ' || expiration"
"""As `wording.spread_label` says it; a test holds the two together."""


def _milliseconds(table: str) -> str:
    return f"ROUND((julianday({table}.ended_at) - julianday({table}.started_at)) * 86400000, 0)"


def _sums(which: str) -> str:
    """Return the tokens and the known cost of the calls that `which` selects, as three columns."""
    return ", ".join(
        f"(SELECT SUM(llm_calls.{column}) FROM llm_calls WHERE {which}) AS {column}"
        for column in ("prompt_tokens", "completion_tokens", "cost_dollars")
    )


_OF_SPAN = "llm_calls.run_id = spans.run_id AND llm_calls.span_id = spans.id"
_OF_CANDIDATE = "llm_calls.run_id = candidates.run_id AND llm_calls.candidate_id = candidates.id"
_CALL_STATUS = """
    COALESCE(llm_calls.outcome, CASE WHEN llm_calls.abandoned_at IS NULL THEN 'unfinished' ELSE 'abandoned' END)
"""
_RANK = "printf('%06d/', COALESCE(rank, 0))"
_PLACE_OF_SPAN = f"{_RANK} || spans.started_at || '/' || spans.id"
_PLACE_OF_CALL = f"{_RANK} || COALESCE(spans.started_at, llm_calls.started_at) || '/' || span_id"

_RUN_TREE = f"""
    CREATE VIEW run_tree AS
    SELECT
        id AS run_id, 0 AS depth, '' AS place, 'run' AS kind, id, NULL AS parent_id, kind || ' of ' || slot AS label,
        status, started_at, {_milliseconds("runs")} AS milliseconds, {_sums("llm_calls.run_id = runs.id")},
        error AS detail
    FROM runs
    UNION ALL
    SELECT
        run_id, 1, printf('%06d', rank), 'candidate', id, run_id, {_LABEL},
        decision, NULL, NULL, {_sums(_OF_CANDIDATE)}, reason
    FROM candidates
    UNION ALL
    SELECT
        spans.run_id, 2, {_PLACE_OF_SPAN}, 'span', spans.id,
        COALESCE(spans.candidate_id, spans.run_id), name, spans.status, spans.started_at, milliseconds,
        {_sums(_OF_SPAN)}, spans.detail
    FROM spans LEFT JOIN candidates ON candidates.id = spans.candidate_id
    UNION ALL
    SELECT
        llm_calls.run_id, 2, {_PLACE_OF_CALL}, 'span', span_id, llm_calls.candidate_id, role, 'unfinished',
        llm_calls.started_at, NULL, NULL, NULL, NULL, NULL
    FROM llm_calls
        LEFT JOIN spans ON spans.id = span_id
        LEFT JOIN candidates ON candidates.id = llm_calls.candidate_id
    WHERE attempt = 1 AND spans.id IS NULL
    UNION ALL
    SELECT
        llm_calls.run_id, 3, {_PLACE_OF_CALL} || printf('/%03d', attempt), 'call', llm_calls.id, span_id,
        model || ', attempt ' || attempt, {_CALL_STATUS}, llm_calls.started_at, {_milliseconds("llm_calls")},
        prompt_tokens, completion_tokens, cost_dollars, llm_calls.error
    FROM llm_calls
        LEFT JOIN spans ON spans.id = span_id
        LEFT JOIN candidates ON candidates.id = llm_calls.candidate_id
"""

_FAILED_CALLS = f"""
    CREATE VIEW failed_calls AS
    SELECT
        llm_calls.run_id, llm_calls.candidate_id, underlying, llm_calls.role, model, llm_calls.prompt_hash, attempt,
        started_at, {_CALL_STATUS} AS outcome, http_status, finish_reason, error,
        failures.role IS NULL AND ended_at IS NOT NULL AS recovered,
        failures.kind AS failure_kind, failures.detail AS failure_detail, llm_calls.id
    FROM llm_calls
        LEFT JOIN candidates ON candidates.id = llm_calls.candidate_id
        LEFT JOIN failures ON failures.candidate_id = llm_calls.candidate_id AND failures.role = llm_calls.role
    WHERE outcome IS NOT 'replied'
        OR failures.role IS NOT NULL
        OR EXISTS (
            SELECT 1 FROM llm_calls AS later WHERE later.id = llm_calls.span_id || '.' || (llm_calls.attempt + 1)
        )
"""

_COST_BY_PROMPT = """
    CREATE VIEW cost_by_prompt AS
    WITH questions AS (
        SELECT
            candidate_id, role, brief_hash, prompt_hash, model,
            COUNT(*) AS calls,
            SUM(prompt_tokens) AS prompt_tokens,
            SUM(completion_tokens) AS completion_tokens,
            SUM(cost_dollars) AS cost_dollars,
            SUM(cost_dollars IS NULL) AS calls_of_unknown_cost
        FROM llm_calls
        GROUP BY span_id, candidate_id, role, brief_hash, prompt_hash, model
    )
    SELECT
        questions.role,
        prompts.name AS prompt,
        questions.prompt_hash,
        questions.model,
        COUNT(*) AS questions,
        SUM(calls) AS calls,
        SUM(failures.role IS NOT NULL) AS failures,
        SUM(questions.prompt_tokens) AS prompt_tokens,
        SUM(questions.completion_tokens) AS completion_tokens,
        SUM(cost_dollars) AS cost_dollars,
        SUM(calls_of_unknown_cost) AS calls_of_unknown_cost,
        CAST(SUM(json_array_length(COALESCE(opinions.ungrounded, arguments.ungrounded, verdicts.ungrounded))) AS REAL)
            / SUM(COALESCE(opinions.numbers, arguments.numbers, verdicts.numbers)) AS ungrounded_share
    FROM questions
        LEFT JOIN prompts ON prompts.hash = questions.prompt_hash
        LEFT JOIN failures ON failures.candidate_id = questions.candidate_id AND failures.role = questions.role
        LEFT JOIN opinions ON opinions.candidate_id = questions.candidate_id AND opinions.analyst = questions.role
        LEFT JOIN arguments ON arguments.candidate_id = questions.candidate_id AND arguments.side = questions.role
            AND arguments.brief_hash = questions.brief_hash
        LEFT JOIN verdicts ON verdicts.candidate_id = questions.candidate_id AND questions.role = 'fund_manager'
    GROUP BY questions.role, questions.prompt_hash, questions.model
"""

_DECISIONS = """
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
"""

STATEMENTS = (
    "ALTER TABLE runs ADD COLUMN abandoned_at TEXT",
    "ALTER TABLE runs ADD COLUMN pruned_at TEXT",
    "ALTER TABLE llm_calls ADD COLUMN abandoned_at TEXT",
    "CREATE INDEX runs_left_running ON runs (started_at) WHERE status = 'running'",
    _RUN_TREE,
    _FAILED_CALLS,
    _COST_BY_PROMPT,
    _DECISIONS,
)
