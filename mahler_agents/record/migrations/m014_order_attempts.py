"""Record: orders that are worked as attempts, one limit order at the broker each, and the broker's words of a refusal.

Until now an order had one id at the broker for all its prices: `order_prices`. Its last price becomes the attempt that
has all that is known of it, its fills with it; the prices before were given up for the next, unfilled.
"""

_PENDING = "('intent', 'sent', 'unknown', 'accepted', 'partial')"
_LAST = "(SELECT MAX(number) FROM order_attempts WHERE order_attempts.client_order_id = {}.client_order_id)"

STATEMENTS = (
    "ALTER TABLE orders ADD COLUMN detail TEXT",
    """
    CREATE TABLE order_attempts (
        client_order_id TEXT NOT NULL REFERENCES orders (client_order_id),
        number INTEGER NOT NULL CHECK (number > 0),
        order_id TEXT NOT NULL UNIQUE,
        at TEXT NOT NULL,
        contracts INTEGER NOT NULL CHECK (contracts > 0),
        limit_credit REAL NOT NULL,
        state TEXT NOT NULL CHECK (
            state IN ('sent', 'unknown', 'accepted', 'partial', 'filled', 'canceled', 'expired', 'rejected')
        ),
        broker_order_id TEXT,
        PRIMARY KEY (client_order_id, number)
    )
    """,
    """
    INSERT INTO order_attempts
        SELECT client_order_id, number, client_order_id || '.' || number, at, contracts, order_prices.limit_credit,
            CASE WHEN last THEN state ELSE 'canceled' END, CASE WHEN last THEN broker_order_id END
        FROM (
            SELECT *, number = MAX(number) OVER (PARTITION BY client_order_id) AS last FROM order_prices
        ) AS order_prices JOIN orders USING (client_order_id)
    """,
    # Before order_prices was kept, an order had one price: its limit.
    """
    INSERT INTO order_attempts
        SELECT client_order_id, 1, client_order_id || '.1', decided_at, contracts, limit_credit, state, broker_order_id
        FROM orders
        WHERE client_order_id NOT IN (SELECT client_order_id FROM order_attempts) AND state <> 'intent' AND (
            client_order_id IN (SELECT client_order_id FROM fills)
            OR client_order_id IN (SELECT client_order_id FROM paper_orders)
        )
    """,
    "DROP TABLE order_prices",
    "ALTER TABLE orders DROP COLUMN broker_order_id",
    # Never two live attempts of one order, whatever a program does.
    f"CREATE UNIQUE INDEX order_attempts_live ON order_attempts (client_order_id) WHERE state IN {_PENDING}",
    """
    CREATE TABLE fills_of_attempts (
        client_order_id TEXT NOT NULL REFERENCES orders (client_order_id),
        number INTEGER NOT NULL,
        attempt INTEGER NOT NULL,
        at TEXT NOT NULL,
        contracts INTEGER NOT NULL CHECK (contracts > 0),
        credit REAL NOT NULL,
        fees REAL NOT NULL,
        PRIMARY KEY (client_order_id, number),
        FOREIGN KEY (client_order_id, attempt) REFERENCES order_attempts (client_order_id, number)
    )
    """,
    f"""
    INSERT INTO fills_of_attempts
        SELECT client_order_id, number, {_LAST.format("fills")}, at, contracts, credit, fees FROM fills ORDER BY rowid
    """,
    "DROP TABLE fills",
    "ALTER TABLE fills_of_attempts RENAME TO fills",
    # The embedded broker's own books: an order of theirs is an attempt of ours.
    f"""
    CREATE TABLE paper_orders_of_attempts AS
        SELECT client_order_id || '.' || COALESCE({_LAST.format("paper_orders")}, 1) AS order_id, * FROM paper_orders
    """,
    "CREATE TABLE paper_fills_then AS SELECT * FROM paper_fills ORDER BY rowid",
    "DROP TABLE paper_fills",
    "DROP TABLE paper_orders",
    """
    CREATE TABLE paper_orders (
        order_id TEXT PRIMARY KEY,
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
        order_id TEXT NOT NULL REFERENCES paper_orders (order_id),
        number INTEGER NOT NULL,
        at TEXT NOT NULL,
        contracts INTEGER NOT NULL CHECK (contracts > 0),
        credit REAL NOT NULL,
        fees REAL NOT NULL,
        PRIMARY KEY (order_id, number)
    )
    """,
    """
    INSERT INTO paper_orders
        SELECT order_id, account_id, state, reason, contracts, ticket, limit_credit, expires_at, at
        FROM paper_orders_of_attempts
    """,
    """
    INSERT INTO paper_fills
        SELECT order_id, number, paper_fills_then.at, paper_fills_then.contracts, credit, fees
        FROM paper_fills_then JOIN paper_orders_of_attempts USING (client_order_id) ORDER BY paper_fills_then.rowid
    """,
    "DROP TABLE paper_fills_then",
    "DROP TABLE paper_orders_of_attempts",
    "CREATE INDEX paper_orders_working ON paper_orders (account_id) WHERE state IN ('accepted', 'partial')",
)
