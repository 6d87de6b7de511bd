"""Record: the trading state's history, what the broker has and the ledger has not, and whose record it is."""

STATEMENTS = (
    """
    CREATE TABLE trading_states (
        id INTEGER PRIMARY KEY,
        at TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('active', 'reducing', 'halted')),
        reason TEXT NOT NULL,
        by TEXT NOT NULL
    )
    """,
    """
    CREATE TABLE broker_checks (
        account_id TEXT PRIMARY KEY,
        at TEXT NOT NULL,
        error TEXT
    )
    """,
    """
    CREATE TABLE broker_differences (
        id INTEGER PRIMARY KEY,
        account_id TEXT NOT NULL,
        kind TEXT NOT NULL CHECK (kind IN ('external', 'missing', 'order')),
        item TEXT NOT NULL,
        underlying TEXT,
        in_ledger INTEGER,
        at_broker INTEGER,
        explanation TEXT NOT NULL,
        first_seen_at TEXT NOT NULL,
        last_seen_at TEXT NOT NULL,
        gone_at TEXT
    )
    """,
    """
    CREATE UNIQUE INDEX broker_differences_standing ON broker_differences (account_id, kind, item) WHERE gone_at IS NULL
    """,
    """
    CREATE TABLE record_owners (
        account_id TEXT NOT NULL,
        environment TEXT NOT NULL CHECK (environment IN ('paper', 'live')),
        since TEXT NOT NULL,
        PRIMARY KEY (account_id, environment)
    )
    """,
    # A record of an older version keeps all the accounts that it has.
    """
    INSERT INTO record_owners
    SELECT account_id, environment, MIN(started_at) FROM runs WHERE NOT retrospective GROUP BY account_id, environment
    """,
    "ALTER TABLE runs ADD COLUMN host TEXT",
)
