"""Record: what the circuit breaker asks to close, as the contracts of each position that may stay."""

STATEMENTS = (
    """
    CREATE TABLE reductions (
        account_id TEXT NOT NULL,
        code TEXT NOT NULL,
        at TEXT NOT NULL,
        entry_order_id TEXT NOT NULL REFERENCES positions (entry_order_id),
        keep INTEGER NOT NULL CHECK (keep >= 0),
        PRIMARY KEY (account_id, code, at, entry_order_id)
    )
    """,
    "CREATE INDEX reductions_by_position ON reductions (entry_order_id)",
)
