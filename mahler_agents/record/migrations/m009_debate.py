"""Record: the debate between the analysts and the fund manager, its numbers counted like theirs."""

_COUNTED = "prompt_hash, model, numbers, json_array_length(ungrounded) AS ungrounded"

STATEMENTS = (
    """
    CREATE TABLE arguments (
        candidate_id TEXT NOT NULL REFERENCES candidates (id),
        side TEXT NOT NULL CHECK (side IN ('bull', 'bear')),
        round INTEGER NOT NULL,
        strength TEXT NOT NULL CHECK (strength IN ('weak', 'moderate', 'strong')),
        summary TEXT NOT NULL,
        numbers INTEGER,
        ungrounded TEXT,
        brief_hash TEXT NOT NULL REFERENCES briefs (hash),
        prompt_hash TEXT NOT NULL REFERENCES prompts (hash),
        model TEXT NOT NULL,
        PRIMARY KEY (candidate_id, side, round)
    )
    """,
    "DROP VIEW groundedness",
    f"""
    CREATE VIEW groundedness AS
    SELECT
        role,
        prompt_hash,
        model,
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
    )
    WHERE numbers IS NOT NULL
    GROUP BY role, prompt_hash, model
    """,
)
