"""Record: what the user was told, through which channel, and which channels do not answer."""

STATEMENTS = (
    """
    CREATE TABLE notifications (
        id INTEGER PRIMARY KEY,
        key TEXT NOT NULL UNIQUE,
        kind TEXT NOT NULL,
        severity TEXT NOT NULL CHECK (severity IN ('info', 'success', 'warning', 'failure')),
        at TEXT NOT NULL,
        title TEXT NOT NULL,
        notice TEXT NOT NULL,
        status TEXT NOT NULL CHECK (status IN ('pending', 'sent', 'given_up', 'suppressed')),
        unsent INTEGER NOT NULL DEFAULT 0 CHECK (unsent >= 0),
        told_in INTEGER REFERENCES notifications (id)
    )
    """,
    "CREATE INDEX notifications_by_time ON notifications (at)",
    "CREATE INDEX notifications_untold ON notifications (status) WHERE status = 'suppressed' AND told_in IS NULL",
    """
    CREATE TABLE notification_deliveries (
        notification_id INTEGER NOT NULL REFERENCES notifications (id),
        channel TEXT NOT NULL,
        status TEXT NOT NULL CHECK (status IN ('pending', 'sent', 'given_up')),
        attempts INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
        at TEXT,
        error TEXT,
        leased_until TEXT,
        PRIMARY KEY (notification_id, channel)
    ) WITHOUT ROWID
    """,
    """
    CREATE INDEX notification_deliveries_waiting ON notification_deliveries (channel) WHERE status = 'pending'
    """,
    """
    CREATE TABLE notification_channels (
        channel TEXT PRIMARY KEY,
        down_since TEXT,
        error TEXT
    ) WITHOUT ROWID
    """,
)
