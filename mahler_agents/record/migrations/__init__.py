"""Record: the schema, as named migrations that are only ever appended; one module each, its `STATEMENTS` in order.

Plain SQL, so that opening an up-to-date file imports nothing but sqlite3. A released migration never changes.
"""

from mahler_agents.record.migrations import (
    m001_first_scan,
    m002_regime,
    m003_breaker,
    m004_partial_closes,
    m005_reductions,
    m006_portfolio_delta,
    m007_llm_costs,
    m008_groundedness,
    m009_debate,
    m010_trace_indices,
    m012_inspection,
    m013_replays,
    m014_order_attempts,
    m015_safety,
    m016_implied_volatility,
    m018_retrospective_views,
    m021_raw_answers,
    m022_schedule,
    m023_notifications,
    m024_evaluation,
)

MIGRATION_SET = "mahler_agents"

MIGRATIONS: tuple[tuple[str, tuple[str, ...]], ...] = tuple(
    (module.__name__.rpartition(".")[2], module.STATEMENTS)
    for module in (
        m001_first_scan,
        m002_regime,
        m003_breaker,
        m004_partial_closes,
        m005_reductions,
        m006_portfolio_delta,
        m007_llm_costs,
        m008_groundedness,
        m009_debate,
        m010_trace_indices,
        m012_inspection,
        m013_replays,
        m014_order_attempts,
        m015_safety,
        m016_implied_volatility,
        m018_retrospective_views,
        m021_raw_answers,
        m022_schedule,
        m023_notifications,
        m024_evaluation,
    )
)
"""Name and statements of every migration, oldest first."""
