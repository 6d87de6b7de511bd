"""Stage 8, execute: the order ledger, our own book of intents, orders, fills and positions.

It has a connection of its own with synchronous FULL: an intent is on disk before the broker hears of it.
"""

import datetime as dt
import sqlite3
from collections.abc import Callable
from typing import TypeVar

from mahler_agents.clock import utc_text
from mahler_agents.errors import RecordError
from mahler_agents.execution.booking import (
    add_exit_outcome,
    add_settlement_outcome,
    book_fills,
    grow_position,
    lower_position,
)
from mahler_agents.execution.ended import execution_of
from mahler_agents.execution.orders import (
    PENDING_STATES,
    ClosingTicket,
    Execution,
    OrderState,
    OrderTicket,
    OrderUpdate,
)
from mahler_agents.execution.positions import PendingOrder, Position
from mahler_agents.execution.rows import exposure_of, position_of, ticket_of, ticket_row
from mahler_agents.execution.settlement import Settlement
from mahler_agents.market.snapshot import Exposure
from mahler_agents.record.durable import DurableBook, insert
from mahler_agents.types import Reason, SpreadQuote

T = TypeVar("T")

_PENDING = ", ".join(f"'{state.value}'" for state in PENDING_STATES)


class Ledger(DurableBook):
    """One account's orders and positions. Methods block for the length of a commit: call them in a thread.

    All of them raise `RecordError` when the database cannot be read or written. What a broker says may be booked again:
    fills are known by their order and number, and an order's end, once booked, is not booked twice.
    """

    def reserve(
        self,
        decide: Callable[[tuple[Exposure, ...], int], tuple[T, OrderTicket | None]],
        *,
        slot: str,
        keep: Callable[[sqlite3.Connection, T], None] | None = None,
    ) -> tuple[T, OrderTicket | None]:
        """Read the risk now open, let `decide` size a ticket on it, and commit the intent, all in one transaction.

        `decide` gets the exposures and how many entries of `slot` are pending or filled; it returns its reasons and the
        ticket, or None to trade nothing; `keep` writes the reasons. No other process can add risk between the reading
        and the commit.
        """
        with self._books.transaction() as connection:
            reasons, ticket = decide(self._exposures(connection), self._entries(connection, slot))
            if ticket is not None:
                insert(connection, "orders", ticket_row(ticket) | {"state": OrderState.INTENT.value})
            if keep is not None:
                keep(connection, reasons)
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
        return tuple(PendingOrder(state=OrderState(row["state"]), ticket=ticket_of(row)) for row in rows)

    def abandon(self, pending: PendingOrder) -> None:
        """Close a pending order that the broker has never had."""
        with self._books.transaction() as connection:
            self._move(connection, pending.ticket.client_order_id, pending.state, OrderState.CANCELED, Reason.ABANDONED)

    def entry(self, client_order_id: str) -> OrderTicket | None:
        """Return the ticket of an entry, in whatever state; None if the ledger has none of this id."""
        with self._books.reading() as connection:
            row = connection.execute(
                "SELECT * FROM orders WHERE client_order_id = ? AND purpose = 'entry'", (client_order_id,)
            ).fetchone()
        ticket = None if row is None else ticket_of(row)
        return ticket if isinstance(ticket, OrderTicket) else None

    def execution(self, ticket: OrderTicket) -> Execution | None:
        """Return how an entry ended, None if it has not."""
        with self._books.reading() as connection:
            return execution_of(connection, ticket)

    def has_filled(self, candidate_id: str) -> bool:
        """Return whether an entry for a candidate has been filled, or a part of it."""
        with self._books.reading() as connection:
            row = connection.execute(
                "SELECT COUNT(*) FROM fills JOIN orders USING (client_order_id) WHERE candidate_id = ?", (candidate_id,)
            ).fetchone()
        return row[0] > 0

    def last_traded_as_of(self) -> dt.datetime | None:
        """Return the latest snapshot of an entry, pass of an exit or deposit of this account; None if there is none."""
        with self._books.reading() as connection:
            row = connection.execute(
                "SELECT MAX(at) AS latest FROM ("
                "SELECT CASE purpose WHEN 'entry' THEN runs.as_of ELSE decided_at END AS at FROM orders"
                " LEFT JOIN candidates ON candidates.id = orders.candidate_id"
                " LEFT JOIN runs ON runs.id = candidates.run_id WHERE orders.account_id = ?1"
                " UNION ALL SELECT at FROM deposits WHERE account_id = ?1)",
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
        return tuple(position_of(row) for row in rows)

    def position(self, entry_order_id: str) -> Position:
        """Return the position that an entry opened. Raises `RecordError` if it opened none."""
        with self._books.reading() as connection:
            row = connection.execute("SELECT * FROM positions WHERE entry_order_id = ?", (entry_order_id,)).fetchone()
        if row is None:
            raise RecordError(f"{self._books.path}: order {entry_order_id} opened no position")
        return position_of(row)

    def mark_sent(self, client_order_id: str, quote: SpreadQuote) -> None:
        """Note that the order is about to be sent, and the quotes on which that was decided."""
        with self._books.transaction() as connection:
            self._move(connection, client_order_id, OrderState.INTENT, OrderState.SENT, None)
            _note_quote(connection, client_order_id, quote)

    def cancel(self, client_order_id: str, reason: Reason, quote: SpreadQuote | None) -> None:
        """Close an intent that was never sent."""
        with self._books.transaction() as connection:
            self._move(connection, client_order_id, OrderState.INTENT, OrderState.CANCELED, reason)
            if quote is not None:
                _note_quote(connection, client_order_id, quote)

    def note_price(self, client_order_id: str, limit_credit: float, at: dt.datetime) -> None:
        """Note a price before the broker is asked to work an order at it, per share; below zero where it is paid."""
        with self._books.transaction() as connection:
            connection.execute(
                "INSERT INTO order_prices (client_order_id, number, at, limit_credit)"
                " SELECT ?1, COUNT(*) + 1, ?2, ?3 FROM order_prices WHERE client_order_id = ?1",
                (client_order_id, utc_text(at), limit_credit),
            )

    def book(self, ticket: OrderTicket, update: OrderUpdate) -> None:
        """Book what the broker says about a sent entry: its fills open the position, or make it larger.

        Of an order that had ended, only fills not known before are booked: a fill wins over a cancel. Raises
        `RecordError` if it ended otherwise, and for an order that was never sent.
        """
        with self._books.transaction() as connection:
            new = book_fills(connection, ticket.client_order_id, update.fills)
            self._follow(connection, ticket.client_order_id, update, filled=bool(new))
            if new:
                grow_position(connection, ticket)

    def intend_close(self, position: Position, write: Callable[[int], ClosingTicket]) -> ClosingTicket:
        """Commit the intent to close a position, or a part of it, as `position` was read, and return its ticket.

        `write` makes the ticket from the number of the attempt: of the closing orders that the position has had, and
        this one. Raises `RecordError` while an order to close it is pending, if others have closed a part meanwhile
        (what was due was decided on what is no more), and for more contracts than are open.
        """
        with self._books.transaction() as connection:
            open_contracts = self._closable(connection, position.entry_order_id)
            if open_contracts != position.contracts:
                raise RecordError(
                    f"{self._books.path}: position {position.entry_order_id} has {open_contracts} contracts open now,"
                    f" not {position.contracts}: another process has closed some; the next pass decides again"
                )
            attempt = connection.execute(
                "SELECT COUNT(*) + 1 FROM orders WHERE closes = ?", (position.entry_order_id,)
            ).fetchone()[0]
            ticket = write(attempt)
            if ticket.contracts > open_contracts:
                raise RecordError(
                    f"{self._books.path}: position {ticket.entry_order_id} has {open_contracts} contracts open,"
                    f" so {ticket.contracts} cannot be closed"
                )
            insert(connection, "orders", ticket_row(ticket) | {"state": OrderState.INTENT.value})
        return ticket

    def book_close(self, ticket: ClosingTicket, update: OrderUpdate) -> None:
        """Book what the broker says about a sent exit: its fills close contracts, and its end makes their outcome.

        Fills of an order that had ended are booked as by `book`, and have an outcome of their own.
        """
        with self._books.transaction() as connection:
            new = book_fills(connection, ticket.client_order_id, update.fills)
            self._follow(connection, ticket.client_order_id, update, filled=bool(new))
            if new:
                lower_position(connection, ticket.entry_order_id, sum(fill.contracts for fill in new))
            if update.ended:
                add_exit_outcome(connection, ticket)

    def book_settlement(self, position: Position, settlement: Settlement) -> None:
        """Book that expiry closed what was open of a position; of one that is closed already, nothing.

        Raises `RecordError` while an order to close it is pending.
        """
        with self._books.transaction() as connection:
            if open_contracts := self._closable(connection, position.entry_order_id):
                lower_position(connection, position.entry_order_id, open_contracts)
                add_settlement_outcome(connection, position.entry_order_id, open_contracts, settlement)

    def _closable(self, connection: sqlite3.Connection, entry_order_id: str) -> int:
        """Return how many contracts of a position are open, if no order to close it is pending."""
        pending = connection.execute(
            f"SELECT COUNT(*) FROM orders WHERE closes = ? AND state IN ({_PENDING})", (entry_order_id,)
        ).fetchone()[0]
        if pending:
            raise RecordError(
                f"{self._books.path}: position {entry_order_id} cannot be closed now: an order to close it is pending"
            )
        row = connection.execute(
            "SELECT contracts - closed_contracts FROM positions WHERE entry_order_id = ?", (entry_order_id,)
        ).fetchone()
        return row[0] if row is not None else 0

    def _exposures(self, connection: sqlite3.Connection) -> tuple[Exposure, ...]:
        positions = connection.execute(
            "SELECT *, contracts - closed_contracts AS open_contracts, entry_credit AS credit, 0 AS pending"
            " FROM positions WHERE account_id = ? AND state = 'open' ORDER BY opened_at, entry_order_id",
            (self.account_id,),
        ).fetchall()
        # What has filled of a pending entry is a position; what is left may still fill at its worst limit.
        orders = connection.execute(
            "SELECT *, limit_credit AS credit, 1 AS pending, orders.contracts - (SELECT COALESCE(SUM(fills.contracts),"
            " 0) FROM fills WHERE fills.client_order_id = orders.client_order_id) AS open_contracts FROM orders"
            f" WHERE account_id = ? AND purpose = 'entry' AND state IN ({_PENDING})"
            " ORDER BY decided_at, client_order_id",
            (self.account_id,),
        ).fetchall()
        return tuple(exposure_of(row) for row in (*positions, *orders))

    def _entries(self, connection: sqlite3.Connection, slot: str) -> int:
        # By reason, not by state: what was canceled after a part had traded is an entry too.
        row = connection.execute(
            "SELECT COUNT(*) FROM orders WHERE account_id = ? AND slot = ? AND purpose = 'entry'"
            f" AND (state IN ({_PENDING}) OR reason = ?)",
            (self.account_id, slot, Reason.FILLED.value),
        ).fetchone()
        return row[0]

    def _move(
        self,
        connection: sqlite3.Connection,
        client_order_id: str,
        before: OrderState,
        after: OrderState,
        reason: Reason | None,
    ) -> None:
        moved = connection.execute(
            "UPDATE orders SET state = ?, reason = ? WHERE client_order_id = ? AND state = ?",
            (after.value, reason and reason.value, client_order_id, before.value),
        )
        if moved.rowcount != 1:
            raise RecordError(f"{self._books.path}: order {client_order_id} is not in state {before.value}")

    def _follow(self, connection: sqlite3.Connection, ticket_id: str, update: OrderUpdate, *, filled: bool) -> None:
        """Bring an order's row to the state that the broker says, where it can come from the state that it is in.

        `filled`: the update told a fill that was not booked yet.
        """
        row = connection.execute("SELECT state FROM orders WHERE client_order_id = ?", (ticket_id,)).fetchone()
        before = None if row is None else OrderState(row["state"])
        at_broker = before in PENDING_STATES and before is not OrderState.INTENT
        if not at_broker and not filled and before is update.state:
            return  # told again
        if before is None or before is OrderState.INTENT or not (at_broker or (filled and update.ended)):
            state = "not in the ledger" if before is None else f"{before.value} in the ledger"
            raise RecordError(
                f"{self._books.path}: order {ticket_id} is {state}: that it is {update.state.value} cannot be booked"
            )
        reason = update.outcome.value if update.ended else None
        connection.execute(
            "UPDATE orders SET state = ?, reason = ?, broker_order_id = ? WHERE client_order_id = ?",
            (update.state.value, reason, update.broker_order_id, ticket_id),
        )


def _note_quote(connection: sqlite3.Connection, client_order_id: str, quote: SpreadQuote) -> None:
    connection.execute(
        "UPDATE orders SET short_bid = ?, short_ask = ?, long_bid = ?, long_ask = ? WHERE client_order_id = ?",
        (quote.short.bid, quote.short.ask, quote.long.bid, quote.long.ask, client_order_id),
    )
