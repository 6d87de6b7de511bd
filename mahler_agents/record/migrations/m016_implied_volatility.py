"""Record: implied volatilities day by day, which a market that has only now cannot give again."""

STATEMENTS = (
    """
    CREATE TABLE implied_volatilities (
        world TEXT NOT NULL,
        underlying TEXT NOT NULL,
        date TEXT NOT NULL,
        implied_volatility REAL NOT NULL CHECK (implied_volatility > 0),
        source TEXT NOT NULL CHECK (source IN ('scan', 'option_bars')),
        at TEXT NOT NULL,
        PRIMARY KEY (world, underlying, date)
    ) WITHOUT ROWID
    """,
)
