"""Record: positions that close in parts, the policy each trade was entered under, and orders that are worked.

`positions.contracts` are those opened, `closed_contracts` those of them that are closed. `outcomes` has a row for each
closing order that filled something, and one for a settlement (which has no order).
"""

_PARAMS_THEN = '{"profit_target":0.65,"stop_loss":1.25,"time_exit_dte":21}'
"""The exit policy of every trade before this version."""

STATEMENTS = (
    "ALTER TABLE positions ADD COLUMN closed_contracts INTEGER NOT NULL DEFAULT 0",
    "UPDATE positions SET closed_contracts = contracts WHERE state = 'closed'",
    *(
        statement
        for table, which in (("positions", "1"), ("orders", "purpose = 'entry'"), ("shadows", "1"))
        for statement in (
            f"ALTER TABLE {table} ADD COLUMN exit_params TEXT",
            f"UPDATE {table} SET exit_params = '{_PARAMS_THEN}' WHERE {which}",
        )
    ),
    """
    CREATE TABLE outcomes_in_parts (
        entry_order_id TEXT NOT NULL REFERENCES positions (entry_order_id),
        number INTEGER NOT NULL,
        exit_order_id TEXT REFERENCES orders (client_order_id),
        rule TEXT NOT NULL,
        contracts INTEGER NOT NULL CHECK (contracts > 0),
        closed_at TEXT NOT NULL,
        exit_debit REAL NOT NULL,
        fees REAL NOT NULL,
        pnl_dollars REAL NOT NULL,
        PRIMARY KEY (entry_order_id, number)
    )
    """,
    """
    INSERT INTO outcomes_in_parts
        SELECT entry_order_id, 1, exit_order_id, rule, contracts, closed_at, exit_debit, outcomes.fees, pnl_dollars
        FROM outcomes JOIN positions USING (entry_order_id)
    """,
    "DROP TABLE outcomes",
    "ALTER TABLE outcomes_in_parts RENAME TO outcomes",
    """
    CREATE TABLE order_prices (
        client_order_id TEXT NOT NULL REFERENCES orders (client_order_id),
        number INTEGER NOT NULL,
        at TEXT NOT NULL,
        limit_credit REAL NOT NULL,
        PRIMARY KEY (client_order_id, number)
    )
    """,
    # The embedded broker's own books. An order of an older version has ended: its ticket is not needed any more.
    """
    CREATE TABLE paper_orders_worked (
        client_order_id TEXT PRIMARY KEY,
        account_id TEXT NOT NULL REFERENCES paper_accounts (account_id),
        state TEXT NOT NULL CHECK (state IN ('accepted', 'partial', 'filled', 'canceled', 'expired', 'rejected')),
        reason TEXT,
        contracts INTEGER NOT NULL,
        ticket TEXT,
        limit_credit REAL,
        expires_at TEXT,
        at TEXT NOT NULL
    )
    """,
    """
    CREATE TABLE paper_fills (
        client_order_id TEXT NOT NULL REFERENCES paper_orders (client_order_id),
        number INTEGER NOT NULL,
        at TEXT NOT NULL,
        contracts INTEGER NOT NULL CHECK (contracts > 0),
        credit REAL NOT NULL,
        fees REAL NOT NULL,
        PRIMARY KEY (client_order_id, number)
    )
    """,
    """
    INSERT INTO paper_orders_worked (client_order_id, account_id, state, reason, contracts, limit_credit, at)
        SELECT client_order_id, account_id, state, CASE state WHEN 'canceled' THEN 'unfilled' END, contracts, credit, at
        FROM paper_orders
    """,
    """
    CREATE TABLE paper_fills_then AS
        SELECT client_order_id, 1 AS number, at, contracts, credit, fees FROM paper_orders WHERE credit IS NOT NULL
    """,
    """
    CREATE TABLE paper_spreads (
        account_id TEXT NOT NULL REFERENCES paper_accounts (account_id),
        short_symbol TEXT NOT NULL,
        long_symbol TEXT NOT NULL,
        contracts INTEGER NOT NULL,
        PRIMARY KEY (account_id, short_symbol, long_symbol)
    )
    """,
    """
    INSERT INTO paper_spreads
        SELECT paper_orders.account_id, short_symbol, long_symbol,
            SUM(CASE purpose WHEN 'entry' THEN paper_orders.contracts ELSE -paper_orders.contracts END)
        FROM paper_orders JOIN orders USING (client_order_id) WHERE paper_orders.state = 'filled' GROUP BY 1, 2, 3
    """,
    "DROP TABLE paper_orders",
    "ALTER TABLE paper_orders_worked RENAME TO paper_orders",
    "INSERT INTO paper_fills SELECT * FROM paper_fills_then",
    "DROP TABLE paper_fills_then",
    """
    CREATE INDEX paper_orders_working ON paper_orders (account_id) WHERE state IN ('accepted', 'partial')
    """,
    """
    CREATE TABLE paper_settlements (
        account_id TEXT NOT NULL REFERENCES paper_accounts (account_id),
        symbol TEXT NOT NULL,
        at TEXT NOT NULL,
        contracts INTEGER NOT NULL,
        underlying_price REAL NOT NULL,
        dollars_per_share REAL NOT NULL,
        in_the_money INTEGER NOT NULL,
        PRIMARY KEY (account_id, symbol)
    )
    """,
)
