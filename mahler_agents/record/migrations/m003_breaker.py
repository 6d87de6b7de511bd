"""Record: the circuit breaker's memory, and what it allowed each run."""

STATEMENTS = (
    "ALTER TABLE runs ADD COLUMN breaker TEXT",
    "ALTER TABLE runs ADD COLUMN size_multiplier TEXT",
    """
    CREATE TABLE breaker_states (
        account_id TEXT PRIMARY KEY,
        state TEXT NOT NULL
    )
    """,
    """
    CREATE TABLE breaker_changes (
        id INTEGER PRIMARY KEY,
        account_id TEXT NOT NULL,
        at TEXT NOT NULL,
        rule TEXT NOT NULL,
        code TEXT NOT NULL,
        observed REAL,
        equity REAL NOT NULL,
        size REAL NOT NULL,
        close_share TEXT NOT NULL
    )
    """,
    """
    CREATE TABLE deposits (
        account_id TEXT NOT NULL,
        at TEXT NOT NULL,
        dollars REAL NOT NULL
    )
    """,
)
