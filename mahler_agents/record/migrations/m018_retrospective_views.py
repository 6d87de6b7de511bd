"""Record: views that say which calls and answers are of replays, so that evidence can leave them out.

A migration that rebuilds a table which a view reads must drop the view first.
"""

_COUNTED = "candidate_id, prompt_hash, model, numbers, json_array_length(ungrounded) AS ungrounded"

STATEMENTS = (
    "DROP VIEW failed_calls",
    """
    CREATE VIEW failed_calls AS
    SELECT
        llm_calls.run_id, retrospective, llm_calls.candidate_id, underlying, llm_calls.role, llm_calls.model,
        llm_calls.prompt_hash, attempt, llm_calls.started_at,
        COALESCE(
            llm_calls.outcome, CASE WHEN llm_calls.abandoned_at IS NULL THEN 'unfinished' ELSE 'abandoned' END
        ) AS outcome,
        http_status, finish_reason, llm_calls.error,
        failures.role IS NULL AND llm_calls.ended_at IS NOT NULL AS recovered,
        failures.kind AS failure_kind, failures.detail AS failure_detail, llm_calls.id
    FROM llm_calls
        JOIN runs ON runs.id = llm_calls.run_id
        LEFT JOIN candidates ON candidates.id = llm_calls.candidate_id
        LEFT JOIN failures ON failures.candidate_id = llm_calls.candidate_id AND failures.role = llm_calls.role
    WHERE outcome IS NOT 'replied'
        OR failures.role IS NOT NULL
        OR EXISTS (
            SELECT 1 FROM llm_calls AS later WHERE later.id = llm_calls.span_id || '.' || (llm_calls.attempt + 1)
        )
    """,
    "DROP VIEW cost_by_prompt",
    """
    CREATE VIEW cost_by_prompt AS
    WITH questions AS (
        SELECT
            run_id, candidate_id, role, brief_hash, prompt_hash, model,
            COUNT(*) AS calls,
            SUM(prompt_tokens) AS prompt_tokens,
            SUM(completion_tokens) AS completion_tokens,
            SUM(cost_dollars) AS cost_dollars,
            SUM(cost_dollars IS NULL) AS calls_of_unknown_cost
        FROM llm_calls
        GROUP BY span_id, run_id, candidate_id, role, brief_hash, prompt_hash, model
    )
    SELECT
        questions.role,
        prompts.name AS prompt,
        questions.prompt_hash,
        questions.model,
        retrospective,
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
        JOIN runs ON runs.id = questions.run_id
        LEFT JOIN prompts ON prompts.hash = questions.prompt_hash
        LEFT JOIN failures ON failures.candidate_id = questions.candidate_id AND failures.role = questions.role
        LEFT JOIN opinions ON opinions.candidate_id = questions.candidate_id AND opinions.analyst = questions.role
        LEFT JOIN arguments ON arguments.candidate_id = questions.candidate_id AND arguments.side = questions.role
            AND arguments.brief_hash = questions.brief_hash
        LEFT JOIN verdicts ON verdicts.candidate_id = questions.candidate_id AND questions.role = 'fund_manager'
    GROUP BY questions.role, questions.prompt_hash, questions.model, retrospective
    """,
    "DROP VIEW groundedness",
    f"""
    CREATE VIEW groundedness AS
    SELECT
        role,
        prompt_hash,
        said.model,
        retrospective,
        COUNT(*) AS replies,
        SUM(ungrounded > 0) AS ungrounded_replies,
        SUM(numbers) AS numbers,
        SUM(ungrounded) AS ungrounded
    FROM (
        SELECT analyst AS role, {_COUNTED} FROM opinions
        UNION ALL
        SELECT side, {_COUNTED} FROM arguments
        UNION ALL
        SELECT 'fund_manager', {_COUNTED} FROM verdicts
    ) AS said
        JOIN candidates ON candidates.id = said.candidate_id
        JOIN runs ON runs.id = candidates.run_id
    WHERE numbers IS NOT NULL
    GROUP BY role, prompt_hash, said.model, retrospective
    """,
)
