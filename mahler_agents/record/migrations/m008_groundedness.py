"""Record: how many numbers an advisor's text has and which of them are not in its brief, and their sums by prompt."""

_COUNTED = "numbers, json_array_length(ungrounded) AS ungrounded"

STATEMENTS = (
    "ALTER TABLE opinions ADD COLUMN numbers INTEGER",
    "ALTER TABLE opinions ADD COLUMN ungrounded TEXT",
    "ALTER TABLE verdicts ADD COLUMN numbers INTEGER",
    "ALTER TABLE verdicts ADD COLUMN ungrounded TEXT",
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
        SELECT analyst AS role, prompt_hash, model, {_COUNTED} FROM opinions
        UNION ALL
        SELECT 'fund_manager', prompt_hash, model, {_COUNTED} FROM verdicts
    )
    WHERE numbers IS NOT NULL
    GROUP BY role, prompt_hash, model
    """,
)
