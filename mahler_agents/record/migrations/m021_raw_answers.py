"""Record: quotes that a run asked for, what its market's server answered, and runs that see that market again."""

STATEMENTS = (
    "ALTER TABLE runs ADD COLUMN rerun_of TEXT",
    """
    CREATE TABLE quotes (
        run_id TEXT NOT NULL REFERENCES runs (id),
        at TEXT NOT NULL,
        symbol TEXT NOT NULL,
        bid REAL,
        ask REAL,
        quoted_at TEXT,
        PRIMARY KEY (run_id, at, symbol)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE raw_payloads (
        hash TEXT PRIMARY KEY,
        bytes INTEGER NOT NULL CHECK (bytes >= 0),
        content BLOB NOT NULL
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE raw_answers (
        id INTEGER PRIMARY KEY,
        run_id TEXT NOT NULL REFERENCES runs (id),
        method TEXT NOT NULL,
        path TEXT NOT NULL,
        status INTEGER NOT NULL,
        asked_at TEXT NOT NULL,
        received_at TEXT NOT NULL,
        payload_hash TEXT NOT NULL REFERENCES raw_payloads (hash)
    )
    """,
    "CREATE INDEX raw_answers_of_run ON raw_answers (run_id)",
    "CREATE INDEX raw_answers_of_payload ON raw_answers (payload_hash)",
)
