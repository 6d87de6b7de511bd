"""Record: the risk that an account carries, as rows: open positions, and what may still fill of pending entries.

Each row has a spread's columns, `open_contracts`, `credit` (the lowest it may have been sold at) and `pending`.
"""

import sqlite3

ENDED_ORDERS = ("filled", "canceled", "expired", "rejected")
"""States in which an order stays."""

_POSITIONS = """
    SELECT *, contracts - closed_contracts AS open_contracts, entry_credit AS credit, 0 AS pending
    FROM positions WHERE account_id = ? AND state = 'open' ORDER BY opened_at, entry_order_id
"""
# What has filled of a pending entry is a position; what is left may still fill at its worst limit.
_ENTRIES = f"""
    SELECT *, limit_credit AS credit, 1 AS pending, orders.contracts - (SELECT COALESCE(SUM(fills.contracts), 0)
        FROM fills WHERE fills.client_order_id = orders.client_order_id) AS open_contracts
    FROM orders WHERE account_id = ? AND purpose = 'entry' AND state NOT IN {ENDED_ORDERS}
    ORDER BY decided_at, client_order_id
"""


def exposure_rows(connection: sqlite3.Connection, account_id: str) -> list[sqlite3.Row]:
    """Return them, positions first, each kind oldest first."""
    return [row for sql in (_POSITIONS, _ENTRIES) for row in connection.execute(sql, (account_id,)).fetchall()]
