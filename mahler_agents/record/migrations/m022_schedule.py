"""Record: the slots of the schedule, each claimed by one process, and the signs of life of daemons."""

STATEMENTS = (
    """
    CREATE TABLE slots (
        id INTEGER PRIMARY KEY,
        job TEXT NOT NULL CHECK (job IN ('scan', 'monitor', 'summary')),
        slot TEXT NOT NULL,
        due_at TEXT NOT NULL,
        status TEXT NOT NULL CHECK (status IN ('running', 'retrying', 'done', 'failed', 'missed')),
        owner TEXT,
        attempts INTEGER NOT NULL CHECK (attempts >= 0),
        claimed_at TEXT,
        lease_until TEXT,
        ended_at TEXT,
        run_id TEXT,
        detail TEXT,
        UNIQUE (job, slot)
    )
    """,
    "CREATE INDEX slots_by_due ON slots (job, due_at)",
    """
    CREATE TABLE heartbeats (
        owner TEXT PRIMARY KEY,
        version TEXT NOT NULL,
        started_at TEXT NOT NULL,
        at TEXT NOT NULL,
        stopped_at TEXT,
        doing TEXT,
        next_job TEXT,
        next_at TEXT
    )
    """,
)
