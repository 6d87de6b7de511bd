"""Stage 8, execute: what fills, closes and settlements do to the ledger's tables, inside one of its transactions."""

import sqlite3

from mahler_agents.clock import utc_text
from mahler_agents.errors import RecordError
from mahler_agents.execution.by_hand import RULE, HandClose
from mahler_agents.execution.orders import ClosingTicket, Fill, OrderTicket, Traded, attempt_id
from mahler_agents.execution.profit import Cents, part_of, part_result, received_cents
from mahler_agents.execution.rows import fill_of, fill_row, spread_row
from mahler_agents.execution.settlement import Settlement
from mahler_agents.record.durable import insert


def book_traded(
    connection: sqlite3.Connection, client_order_id: str, number: int, traded: Traded | None
) -> Fill | None:
    """Enter what an attempt has filled since it was booked last, as one fill, and return it; None if that is nothing.

    `traded` is all that the attempt has filled; the price of what is new is what it takes to make the whole of it.
    Raises `RecordError` if less is told than is booked, or the same contracts at another price.
    """
    fills = fills_of(connection, client_order_id)
    booked = Traded.of([fill for fill in fills if fill.attempt == number])
    had = (0, 0, 0.0) if booked is None else (booked.contracts, booked.hundredths, booked.fees)
    told = (0, 0, 0.0) if traded is None else (traded.contracts, traded.hundredths, traded.fees)
    if traded is None or traded.contracts <= had[0]:
        if told != had:
            raise RecordError(
                f"order {attempt_id(client_order_id, number)} is told to have filled {told[0]} contracts, which is not"
                f" what was booked of it: {had[0]}"
            )
        return None
    contracts = told[0] - had[0]
    new = Fill(
        client_order_id=client_order_id,
        number=len(fills) + 1,
        attempt=number,
        contracts=contracts,
        credit=(told[1] - had[1]) / contracts / 10_000,
        fees=max(0.0, round(told[2] - had[2], 2)),
        at=traded.at,
    )
    insert(connection, "fills", fill_row(new))
    return new


def fills_of(connection: sqlite3.Connection, client_order_id: str) -> tuple[Fill, ...]:
    """Return the booked fills of an order, in their order."""
    rows = connection.execute("SELECT * FROM fills WHERE client_order_id = ? ORDER BY number", (client_order_id,))
    return tuple(fill_of(row) for row in rows)


def grow_position(connection: sqlite3.Connection, ticket: OrderTicket) -> None:
    """Open the position of an entry, or grow it, to what the entry's booked fills are together."""
    fills = fills_of(connection, ticket.client_order_id)
    traded = Traded.of(fills)
    if traded is None:
        return
    row: dict[str, object] = {
        "entry_order_id": ticket.client_order_id,
        "account_id": ticket.account_id,
        "state": "open",
        **spread_row(ticket.spread),
        "contracts": traded.contracts,
        "entry_credit": traded.credit,
        "fees": traded.fees,
        "opened_at": utc_text(fills[0].at),
        "exit_params": ticket.exit_params.model_dump_json(),
    }
    grown = connection.execute(
        "UPDATE positions SET state = 'open', contracts = ?, entry_credit = ?, fees = ? WHERE entry_order_id = ?",
        (traded.contracts, traded.credit, traded.fees, ticket.client_order_id),
    )
    if grown.rowcount == 0:
        insert(connection, "positions", row)


def lower_position(connection: sqlite3.Connection, entry_order_id: str, contracts: int) -> None:
    """Close some of a position's open contracts, and the position with the last of them."""
    lowered = connection.execute(
        "UPDATE positions SET closed_contracts = closed_contracts + ?1,"
        " state = CASE WHEN closed_contracts + ?1 = contracts THEN 'closed' ELSE 'open' END"
        " WHERE entry_order_id = ?2 AND closed_contracts + ?1 <= contracts",
        (contracts, entry_order_id),
    )
    if lowered.rowcount != 1:
        raise RecordError(f"position {entry_order_id} has not {contracts} contracts open that could be closed")


def add_exit_outcome(connection: sqlite3.Connection, ticket: ClosingTicket) -> None:
    """Make the outcome of what a closing order filled and no outcome tells yet, if there is any."""
    told = connection.execute(
        "SELECT COALESCE(SUM(contracts), 0) FROM outcomes WHERE exit_order_id = ?", (ticket.client_order_id,)
    ).fetchone()[0]
    fills = fills_of(connection, ticket.client_order_id)
    contracts = sum(fill.contracts for fill in fills) - told
    if contracts == 0:
        return
    bought = part_of(fills, after=told, contracts=contracts)
    last = max(fill.at for fill in fills)
    row: dict[str, object] = {
        "exit_order_id": ticket.client_order_id,
        "rule": ticket.rule,
        "closed_at": utc_text(last),
        "exit_debit": -bought.received / contracts / 10_000,
    }
    _add_outcome(connection, ticket.entry_order_id, contracts, bought, row)


def add_settlement_outcome(
    connection: sqlite3.Connection, entry_order_id: str, contracts: int, settlement: Settlement
) -> None:
    """Make the outcome of the contracts that expiry closed; settling costs no fee."""
    paid = Cents(received=-received_cents(settlement.debit, contracts), fees=0)
    row: dict[str, object] = {
        "exit_order_id": None,
        "rule": settlement.expiry.value,
        "closed_at": utc_text(settlement.at),
        "exit_debit": settlement.debit,
    }
    _add_outcome(connection, entry_order_id, contracts, paid, row)


def add_hand_outcome(connection: sqlite3.Connection, close: HandClose) -> None:
    """Make the outcome of what the user closed at the broker, in the user's figures."""
    contracts = close.position.contracts
    paid = Cents(received=-received_cents(close.debit, contracts), fees=round(close.fees * 100))
    row: dict[str, object] = {
        "exit_order_id": None,
        "rule": RULE,
        "closed_at": utc_text(close.at),
        "exit_debit": close.debit,
    }
    _add_outcome(connection, close.position.entry_order_id, contracts, paid, row)


def _add_outcome(
    connection: sqlite3.Connection, entry_order_id: str, contracts: int, exit_: Cents, row: dict[str, object]
) -> None:
    number, before = connection.execute(
        "SELECT COUNT(*) + 1, COALESCE(SUM(contracts), 0) FROM outcomes WHERE entry_order_id = ?", (entry_order_id,)
    ).fetchone()
    entry = part_of(fills_of(connection, entry_order_id), after=before, contracts=contracts)
    result = part_result(entry, exit_)
    own: dict[str, object] = {
        "entry_order_id": entry_order_id,
        "number": number,
        "contracts": contracts,
        "fees": result.fees,
        "pnl_dollars": result.pnl_dollars,
    }
    insert(connection, "outcomes", own | row)
