"""Stage 8, execute: what becomes of an order and its attempts in the ledger's tables, in one of its transactions."""

import sqlite3
from collections.abc import Iterable

from mahler_agents.errors import RecordError
from mahler_agents.execution.booking import fills_of
from mahler_agents.execution.orders import PENDING_STATES, Attempt, OrderState, OrderStatus, OrderUpdate, Ticket, Traded
from mahler_agents.execution.positions import PendingOrder
from mahler_agents.execution.rows import attempt_of, ticket_of
from mahler_agents.execution.states import order_state
from mahler_agents.types import Reason, SpreadQuote


def sql_list(states: Iterable[OrderState]) -> str:
    """Return states as the inside of an SQL list."""
    return ", ".join(f"'{state.value}'" for state in states)


def status_of(connection: sqlite3.Connection, client_order_id: str) -> OrderStatus:
    """Return how an order stands. Raises `RecordError` if the ledger has none of this id."""
    row = connection.execute(
        "SELECT state, reason, detail FROM orders WHERE client_order_id = ?", (client_order_id,)
    ).fetchone()
    if row is None:
        raise RecordError(f"order {client_order_id} is not in the ledger")
    return OrderStatus(
        state=OrderState(row["state"]),
        reason=Reason(row["reason"]) if row["reason"] else None,
        traded=Traded.of(fills_of(connection, client_order_id)),
        detail=row["detail"],
    )


def pending_order(connection: sqlite3.Connection, row: sqlite3.Row) -> PendingOrder:
    """Return what a row of orders that have not ended speaks of."""
    ticket = ticket_of(row)
    last = last_attempt(connection, ticket.client_order_id)
    live = None if last is None or OrderState(last["state"]) not in PENDING_STATES else attempt_of(last, ticket)
    return PendingOrder(ticket=ticket, state=OrderState(row["state"]), attempt=live)


def ticket_by_id(connection: sqlite3.Connection, client_order_id: str) -> Ticket:
    """Return the ticket of an order that is in the ledger."""
    return ticket_of(
        connection.execute("SELECT * FROM orders WHERE client_order_id = ?", (client_order_id,)).fetchone()
    )


def last_attempt(connection: sqlite3.Connection, client_order_id: str) -> sqlite3.Row | None:
    """Return the row of an order's last attempt, None if it had none."""
    return connection.execute(
        "SELECT * FROM order_attempts WHERE client_order_id = ? ORDER BY number DESC LIMIT 1", (client_order_id,)
    ).fetchone()


def attempt_state(connection: sqlite3.Connection, attempt: Attempt) -> OrderState:
    """Return the state of an attempt. Raises `RecordError` if it was never committed, and so never sent."""
    row = connection.execute("SELECT state FROM order_attempts WHERE order_id = ?", (attempt.order_id,)).fetchone()
    if row is None:
        raise RecordError(f"order {attempt.order_id} is not in the ledger: it was never sent")
    return OrderState(row["state"])


def follow(
    connection: sqlite3.Connection,
    attempt: Attempt,
    state: OrderState,
    *,
    over: bool,
    told: OrderUpdate | None = None,
) -> None:
    """Bring an attempt to a state, and its order to what that makes of it.

    Raises `RecordError` if more contracts have filled than the order has.
    """
    ticket = attempt.ticket
    connection.execute(
        "UPDATE order_attempts SET state = ?, broker_order_id = ? WHERE order_id = ?",
        (state.value, told and told.broker_order_id, attempt.order_id),
    )
    filled = sum(fill.contracts for fill in fills_of(connection, ticket.client_order_id))
    if filled > ticket.contracts:
        raise RecordError(
            f"order {ticket.client_order_id} is of {ticket.contracts} contracts, but {filled} are told to have filled"
        )
    after, reason = _after(connection, attempt, state, filled=filled, over=over, told=told)
    connection.execute(
        "UPDATE orders SET state = ?, reason = ?, detail = COALESCE(?, detail) WHERE client_order_id = ?",
        (after.value, reason and reason.value, told and told.detail, ticket.client_order_id),
    )


def _after(
    connection: sqlite3.Connection,
    attempt: Attempt,
    state: OrderState,
    *,
    filled: int,
    over: bool,
    told: OrderUpdate | None,
) -> tuple[OrderState, Reason | None]:
    """Return the state of an order, and why it ended, after one of its attempts has come to `state`."""
    ticket = attempt.ticket
    before = status_of(connection, ticket.client_order_id).state
    if before not in PENDING_STATES:  # a fill that comes late: the order has ended, and has traded after all
        return (OrderState.FILLED if filled == ticket.contracts else before), Reason.FILLED
    last = last_attempt(connection, ticket.client_order_id)
    if last is not None and last["number"] != attempt.number:  # the same, while a later attempt is at work
        return OrderState.PARTIAL, None
    after = order_state(state, filled=filled, contracts=ticket.contracts, over=over)
    return after, _reason(after, told, filled=filled > 0)


def _reason(state: OrderState, told: OrderUpdate | None, *, filled: bool) -> Reason | None:
    """Return why an order ended; contracts that traded before its rest ended are a fill."""
    if state in PENDING_STATES:
        return None
    if filled:
        return Reason.FILLED
    ends = {OrderState.REJECTED: Reason.REJECTED, OrderState.EXPIRED: Reason.EXPIRED}
    return (told and told.reason) or ends.get(state, Reason.UNFILLED)


def end_unsent(
    connection: sqlite3.Connection, client_order_id: str, before: Iterable[OrderState], reason: Reason
) -> None:
    """Close an order of which nothing is at the broker. Raises `RecordError` unless it is in a state of `before`."""
    ended = connection.execute(
        f"UPDATE orders SET state = ?, reason = ? WHERE client_order_id = ? AND state IN ({sql_list(before)})",
        (OrderState.CANCELED.value, reason.value, client_order_id),
    )
    if ended.rowcount != 1:
        states = " or ".join(state.value for state in before)
        raise RecordError(f"order {client_order_id} is not in state {states}")


def note_quote(connection: sqlite3.Connection, client_order_id: str, quote: SpreadQuote) -> None:
    """Keep the legs' quotes on which an order was decided."""
    connection.execute(
        "UPDATE orders SET short_bid = ?, short_ask = ?, long_bid = ?, long_ask = ? WHERE client_order_id = ?",
        (quote.short.bid, quote.short.ask, quote.long.bid, quote.long.ask, client_order_id),
    )
