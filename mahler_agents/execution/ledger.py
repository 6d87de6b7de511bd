"""Stage 8, execute: the order ledger, our own book of intents, orders, fills and positions.

It has a connection of its own with synchronous FULL: an intent is on disk before the broker hears of it.
"""

import datetime as dt
import sqlite3
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from mahler_agents.clock import utc_text
from mahler_agents.errors import RecordError
from mahler_agents.execution.orders import PENDING_STATES, ClosingTicket, Fill, OrderState, OrderTicket, OrderUpdate
from mahler_agents.execution.rows import spread_of, spread_row
from mahler_agents.market.snapshot import Exposure
from mahler_agents.record.durable import DurableConnection, insert
from mahler_agents.types import CONTRACT_MULTIPLIER, Frozen, Reason, Spread, SpreadQuote, SpreadType

T = TypeVar("T")

_PENDING = ", ".join(f"'{state.value}'" for state in PENDING_STATES)


class Position(Frozen):
    """An open or closed credit spread, from its fills."""

    entry_order_id: str
    spread: Spread
    contracts: int
    entry_credit: float
    """Filled credit per share, before fees."""
    fees: float
    """Dollars paid at entry."""
    opened_at: dt.datetime


class PendingOrder(Frozen):
    """An order that may or may not have been filled."""

    state: OrderState
    """`INTENT`: never sent. `SENT`: the broker's answer is not known."""
    ticket: OrderTicket | ClosingTicket


class Ledger:
    """One account's orders and positions. Methods block for the length of a commit: call them in a thread.

    All of them raise `RecordError` when the database cannot be read or written.
    """

    def __init__(self, path: Path, account_id: str) -> None:
        self.account_id = account_id
        self._books = DurableConnection(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._books.close()

    def reserve(
        self, decide: Callable[[tuple[Exposure, ...], int], tuple[T, OrderTicket | None]], *, slot: str
    ) -> tuple[T, OrderTicket | None]:
        """Read the risk now open, let `decide` size a ticket on it, and commit the intent, all in one transaction.

        `decide` gets the exposures and how many entries of `slot` are pending or filled; it returns its reasons and the
        ticket, or None to trade nothing. No other process can add risk between the reading and the commit.
        """
        with self._books.transaction() as connection:
            reasons, ticket = decide(self._exposures(connection), self._entries(connection, slot))
            if ticket is not None:
                self._insert_intent(connection, ticket)
        return reasons, ticket

    def exposures(self) -> tuple[Exposure, ...]:
        """Return the risk of open positions and pending orders."""
        with self._books.reading() as connection:
            return self._exposures(connection)

    def pending(self) -> tuple[PendingOrder, ...]:
        """Return the orders whose end is not known, oldest first."""
        with self._books.reading() as connection:
            rows = connection.execute(
                f"SELECT * FROM orders WHERE account_id = ? AND state IN ({_PENDING})"
                " ORDER BY decided_at, client_order_id",
                (self.account_id,),
            ).fetchall()
        return tuple(PendingOrder(state=OrderState(row["state"]), ticket=_ticket(row)) for row in rows)

    def abandon(self, pending: PendingOrder) -> None:
        """Close a pending order that the broker has never had."""
        with self._books.transaction() as connection:
            self._move(connection, pending.ticket.client_order_id, pending.state, OrderState.CANCELED, Reason.ABANDONED)

    def was_ordered(self, client_order_id: str) -> bool:
        """Return whether the ledger has an order of this id, in whatever state."""
        with self._books.reading() as connection:
            row = connection.execute(
                "SELECT COUNT(*) FROM orders WHERE client_order_id = ?", (client_order_id,)
            ).fetchone()
        return row[0] > 0

    def has_filled(self, candidate_id: str) -> bool:
        """Return whether an entry for a candidate has been filled."""
        with self._books.reading() as connection:
            row = connection.execute(
                "SELECT COUNT(*) FROM orders WHERE candidate_id = ? AND reason = ?",
                (candidate_id, Reason.FILLED.value),
            ).fetchone()
        return row[0] > 0

    def last_traded_as_of(self) -> dt.datetime | None:
        """Return the latest snapshot of an entry, or pass of an exit, of this account; None if it never ordered."""
        with self._books.reading() as connection:
            row = connection.execute(
                "SELECT MAX(CASE purpose WHEN 'entry' THEN runs.as_of ELSE decided_at END) AS latest FROM orders"
                " LEFT JOIN candidates ON candidates.id = orders.candidate_id"
                " LEFT JOIN runs ON runs.id = candidates.run_id WHERE orders.account_id = ?",
                (self.account_id,),
            ).fetchone()
        return dt.datetime.fromisoformat(row["latest"]) if row["latest"] else None

    def open_positions(self, at: dt.datetime) -> tuple[Position, ...]:
        """Return the positions that were open at the instant `at` and still are, oldest first."""
        with self._books.reading() as connection:
            rows = connection.execute(
                "SELECT * FROM positions WHERE account_id = ? AND state = 'open' AND opened_at <= ?"
                " ORDER BY opened_at, entry_order_id",
                (self.account_id, utc_text(at)),
            ).fetchall()
        return tuple(_position(row) for row in rows)

    def position(self, entry_order_id: str) -> Position:
        """Return the position that an entry opened. Raises `RecordError` if it opened none."""
        with self._books.reading() as connection:
            row = connection.execute("SELECT * FROM positions WHERE entry_order_id = ?", (entry_order_id,)).fetchone()
        if row is None:
            raise RecordError(f"{self._books.path}: order {entry_order_id} opened no position")
        return _position(row)

    def mark_sent(self, client_order_id: str, quote: SpreadQuote) -> None:
        """Note that the order is about to be sent, and the quotes on which that was decided."""
        with self._books.transaction() as connection:
            self._move(connection, client_order_id, OrderState.INTENT, OrderState.SENT)
            _note_quote(connection, client_order_id, quote)

    def cancel(self, client_order_id: str, reason: Reason, quote: SpreadQuote | None) -> None:
        """Close an intent that was never sent."""
        with self._books.transaction() as connection:
            self._move(connection, client_order_id, OrderState.INTENT, OrderState.CANCELED, reason)
            if quote is not None:
                _note_quote(connection, client_order_id, quote)

    def book(self, ticket: OrderTicket, update: OrderUpdate) -> None:
        """Book what the broker said about a sent entry; a fill opens the position in the same transaction."""
        with self._books.transaction() as connection:
            self._end(connection, ticket.client_order_id, update)
            if update.fill is not None:
                _insert_fill(connection, update.fill)
                self._open_position(connection, ticket, update.fill)

    def intend_close(self, ticket: ClosingTicket) -> None:
        """Commit the intent to close a position.

        Raises `RecordError` if that position is not open, or an order to close it is pending.
        """
        with self._books.transaction() as connection:
            state = connection.execute(
                "SELECT state FROM positions WHERE entry_order_id = ?", (ticket.entry_order_id,)
            ).fetchone()
            pending = connection.execute(
                f"SELECT COUNT(*) FROM orders WHERE closes = ? AND state IN ({_PENDING})", (ticket.entry_order_id,)
            ).fetchone()[0]
            if state is None or state["state"] != "open" or pending:
                raise RecordError(f"{self._books.path}: position {ticket.entry_order_id} cannot be closed now")
            row = {
                **self._intent(ticket.client_order_id, ticket.slot, ticket.spread, ticket.decided_at),
                "purpose": "exit",
                "closes": ticket.entry_order_id,
                "rule": ticket.rule,
                "contracts": ticket.contracts,
                "limit_credit": -ticket.limit_debit,
            }
            insert(connection, "orders", row)

    def book_close(self, ticket: ClosingTicket, position: Position, update: OrderUpdate) -> None:
        """Book what the broker said about a sent exit; a fill closes the position and makes its outcome.

        Raises `RecordError` if only a part was closed: the order then stays pending, and what is left stays open.
        """
        with self._books.transaction() as connection:
            self._end(connection, ticket.client_order_id, update)
            if (fill := update.fill) is None:
                return
            if fill.contracts != position.contracts:
                raise RecordError(
                    f"{self._books.path}: order {ticket.client_order_id} closed {fill.contracts} of"
                    f" {position.contracts} contracts: close the rest at the broker"
                )
            _insert_fill(connection, fill)
            connection.execute(
                "UPDATE positions SET state = 'closed' WHERE entry_order_id = ?", (position.entry_order_id,)
            )
            outcome: dict[str, object] = {
                "entry_order_id": position.entry_order_id,
                "exit_order_id": ticket.client_order_id,
                "rule": ticket.rule,
                "closed_at": utc_text(fill.at),
                "exit_debit": -fill.credit,
                "fees": round(position.fees + fill.fees, 2),
                "pnl_dollars": pnl_dollars(position, fill),
            }
            insert(connection, "outcomes", outcome)

    def _exposures(self, connection: sqlite3.Connection) -> tuple[Exposure, ...]:
        positions = connection.execute(
            "SELECT *, entry_credit AS credit, 0 AS pending FROM positions WHERE account_id = ? AND state = 'open'"
            " ORDER BY opened_at, entry_order_id",
            (self.account_id,),
        ).fetchall()
        orders = connection.execute(
            "SELECT *, limit_credit AS credit, 1 AS pending FROM orders"
            f" WHERE account_id = ? AND purpose = 'entry' AND state IN ({_PENDING})"
            " ORDER BY decided_at, client_order_id",
            (self.account_id,),
        ).fetchall()
        return tuple(_exposure(row) for row in (*positions, *orders))

    def _entries(self, connection: sqlite3.Connection, slot: str) -> int:
        # By reason, not by state: what was canceled after a part had traded is an entry too.
        row = connection.execute(
            "SELECT COUNT(*) FROM orders WHERE account_id = ? AND slot = ? AND purpose = 'entry'"
            f" AND (state IN ({_PENDING}) OR reason = ?)",
            (self.account_id, slot, Reason.FILLED.value),
        ).fetchone()
        return row[0]

    def _insert_intent(self, connection: sqlite3.Connection, ticket: OrderTicket) -> None:
        row = {
            **self._intent(ticket.client_order_id, ticket.slot, ticket.spread, ticket.decided_at),
            "candidate_id": ticket.candidate_id,
            "purpose": ticket.purpose,
            "contracts": ticket.contracts,
            "limit_credit": ticket.limit_credit,
        }
        insert(connection, "orders", row)

    def _intent(self, client_order_id: str, slot: str, spread: Spread, decided_at: dt.datetime) -> dict[str, object]:
        return {
            "client_order_id": client_order_id,
            "account_id": self.account_id,
            "slot": slot,
            "state": OrderState.INTENT.value,
            **spread_row(spread),
            "decided_at": utc_text(decided_at),
        }

    def _end(self, connection: sqlite3.Connection, client_order_id: str, update: OrderUpdate) -> None:
        reason = None if update.state in PENDING_STATES else update.outcome
        self._move(connection, client_order_id, OrderState.SENT, update.state, reason)
        connection.execute(
            "UPDATE orders SET broker_order_id = ? WHERE client_order_id = ?",
            (update.broker_order_id, client_order_id),
        )

    def _open_position(self, connection: sqlite3.Connection, ticket: OrderTicket, fill: Fill) -> None:
        insert(
            connection,
            "positions",
            {
                "entry_order_id": ticket.client_order_id,
                "account_id": self.account_id,
                "state": "open",
                **spread_row(ticket.spread),
                "contracts": fill.contracts,
                "entry_credit": fill.credit,
                "fees": fill.fees,
                "opened_at": utc_text(fill.at),
            },
        )

    def _move(
        self,
        connection: sqlite3.Connection,
        client_order_id: str,
        before: OrderState,
        after: OrderState,
        reason: Reason | None = None,
    ) -> None:
        moved = connection.execute(
            "UPDATE orders SET state = ?, reason = ? WHERE client_order_id = ? AND state = ?",
            (after.value, reason and reason.value, client_order_id, before.value),
        )
        if moved.rowcount != 1:
            raise RecordError(f"{self._books.path}: order {client_order_id} is not in state {before.value}")


def pnl_dollars(position: Position, exit_fill: Fill) -> float:
    """Return the profit of a closed position, dollars after all fees: from fills, never from limits."""
    per_share = position.entry_credit + exit_fill.credit
    return round(per_share * CONTRACT_MULTIPLIER * position.contracts - position.fees - exit_fill.fees, 2)


def _insert_fill(connection: sqlite3.Connection, fill: Fill) -> None:
    row: dict[str, object] = {
        "client_order_id": fill.client_order_id,
        "number": 1,
        "at": utc_text(fill.at),
        "contracts": fill.contracts,
        "credit": fill.credit,
        "fees": fill.fees,
    }
    insert(connection, "fills", row)


def _note_quote(connection: sqlite3.Connection, client_order_id: str, quote: SpreadQuote) -> None:
    connection.execute(
        "UPDATE orders SET short_bid = ?, short_ask = ?, long_bid = ?, long_ask = ? WHERE client_order_id = ?",
        (quote.short.bid, quote.short.ask, quote.long.bid, quote.long.ask, client_order_id),
    )


def _position(row: sqlite3.Row) -> Position:
    return Position(
        entry_order_id=row["entry_order_id"],
        spread=spread_of(row),
        contracts=row["contracts"],
        entry_credit=row["entry_credit"],
        fees=row["fees"],
        opened_at=dt.datetime.fromisoformat(row["opened_at"]),
    )


def _ticket(row: sqlite3.Row) -> OrderTicket | ClosingTicket:
    shared: dict[str, Any] = {name: row[name] for name in ("client_order_id", "account_id", "slot", "contracts")}
    shared |= {"spread": spread_of(row), "decided_at": dt.datetime.fromisoformat(row["decided_at"])}
    if row["purpose"] == "entry":
        return OrderTicket(**shared, candidate_id=row["candidate_id"], limit_credit=row["limit_credit"])
    return ClosingTicket(**shared, entry_order_id=row["closes"], limit_debit=-row["limit_credit"], rule=row["rule"])


def _exposure(row: sqlite3.Row) -> Exposure:
    spread = spread_of(row)
    return Exposure(
        underlying=spread.underlying,
        spread_type=SpreadType(row["spread_type"]),
        expiration=spread.expiration,
        short_symbol=spread.short_symbol,
        long_symbol=spread.long_symbol,
        contracts=row["contracts"],
        max_loss_dollars=spread.max_loss_dollars(row["credit"]),
        pending=bool(row["pending"]),
    )
