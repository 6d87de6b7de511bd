"""Record: indices for looking into traces; the first holds all that a list of runs sums up, and saves reading calls."""

STATEMENTS = (
    """
    CREATE INDEX llm_calls_of_run ON llm_calls (
        run_id, prompt_hash, model, resolved_model, prompt_tokens, completion_tokens, cost_dollars
    )
    """,
    "DROP INDEX llm_calls_by_run",
    "CREATE INDEX events_of_run ON events (run_id)",
    "CREATE INDEX orders_of_candidate ON orders (candidate_id)",
    "CREATE INDEX runs_by_moment ON runs (as_of)",
)
