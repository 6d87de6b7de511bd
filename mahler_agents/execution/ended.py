"""Stage 8, execute: an order that has ended in, its `Execution` out, from the ledger's rows."""

import sqlite3

from mahler_agents.execution.booking import fills_of
from mahler_agents.execution.orders import PENDING_STATES, Execution, OrderState, OrderTicket, Traded
from mahler_agents.types import Quote, Reason, SpreadQuote


def execution_of(connection: sqlite3.Connection, ticket: OrderTicket) -> Execution | None:
    """Return how an entry ended, None if it has not."""
    order = (ticket.client_order_id,)
    row = connection.execute("SELECT * FROM orders WHERE client_order_id = ?", order).fetchone()
    state = OrderState(row["state"])
    if state in PENDING_STATES:
        return None
    lowest = "SELECT MIN(limit_credit) FROM order_attempts WHERE client_order_id = ?"
    asked = connection.execute(lowest, order).fetchone()
    reason = Reason(row["reason"])
    return Execution(
        ticket=ticket,
        state=state,
        reason=reason,
        quote=_quote_of(row, ticket),
        traded=Traded.of(fills_of(connection, ticket.client_order_id)),
        lowest_asked=asked[0] if reason is Reason.UNFILLED else None,
        detail=row["detail"],
    )


def _quote_of(row: sqlite3.Row, ticket: OrderTicket) -> SpreadQuote | None:
    """Return the legs' quotes of the decision time, which is all that the ledger keeps of when they were made."""
    if row["short_bid"] is None:
        return None
    legs = {leg: Quote(bid=row[f"{leg}_bid"], ask=row[f"{leg}_ask"], at=ticket.decided_at) for leg in ("short", "long")}
    return SpreadQuote(**legs)
