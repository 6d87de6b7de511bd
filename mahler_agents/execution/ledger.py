"""Stage 8, execute: the order ledger, our own book of intents, orders, fills and positions.

It has a connection of its own with synchronous FULL: an intent is on disk before the broker hears of it.
"""

import datetime as dt
import sqlite3
from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

from mahler_agents.clock import utc_text
from mahler_agents.errors import RecordError
from mahler_agents.execution.attempts import (
    attempt_state,
    end_unsent,
    follow,
    last_attempt,
    note_quote,
    pending_order,
    sql_list,
    status_of,
    ticket_by_id,
)
from mahler_agents.execution.booking import (
    add_exit_outcome,
    add_hand_outcome,
    add_settlement_outcome,
    book_traded,
    fills_of,
    grow_position,
    lower_position,
)
from mahler_agents.execution.by_hand import HandClose
from mahler_agents.execution.ended import execution_of
from mahler_agents.execution.entry_bar import entry_bar
from mahler_agents.execution.orders import (
    PENDING_STATES,
    Attempt,
    ClosingTicket,
    Execution,
    OrderState,
    OrderStatus,
    OrderTicket,
    OrderUpdate,
    Ticket,
)
from mahler_agents.execution.positions import PendingOrder, Position
from mahler_agents.execution.rows import attempt_of, attempt_row, exposure_of, position_of, ticket_of, ticket_row
from mahler_agents.execution.settlement import Settlement
from mahler_agents.execution.states import attempt_may_become
from mahler_agents.market.snapshot import Exposure
from mahler_agents.record.durable import DurableBook, insert
from mahler_agents.record.exposures import exposure_rows
from mahler_agents.types import Reason, SpreadQuote

T = TypeVar("T")

_PENDING = sql_list(PENDING_STATES)


class Reservation(NamedTuple, Generic[T]):
    """What came of an attempt to reserve an order."""

    reasons: T
    ticket: OrderTicket | None
    """Committed as an intent; None if nothing is."""
    barred: Reason | None
    """Why nothing may be opened, whatever was decided; None if something may."""


class Ledger(DurableBook):
    """One account's orders and positions. Methods block for the length of a commit: call them in a thread.

    All of them raise `RecordError` when the database cannot be read or written. At most one attempt of an order has not
    ended, and all of them fill no more than it asks for: the ledger refuses to write anything else. What a broker says
    of an attempt is cumulative, so that it may be booked again: only what is new of it is a fill.
    """

    def reserve(
        self,
        decide: Callable[[tuple[Exposure, ...], int], tuple[T, OrderTicket | None]],
        *,
        slot: str,
        keep: Callable[[sqlite3.Connection, T, Reason | None], None] | None = None,
    ) -> Reservation[T]:
        """Read the risk now open, let `decide` size a ticket on it, and commit the intent, all in one transaction.

        `decide` gets the exposures and how many entries of `slot` are pending or filled; it returns its reasons and the
        ticket, or None to trade nothing. No other process can add risk between the reading and the commit. Whatever is
        decided, nothing is committed that the trading state or the last check of the broker's account bars; `keep`
        writes the reasons, and what barred them.
        """
        with self._books.transaction() as connection:
            reasons, ticket = decide(self._exposures(connection), self._entries(connection, slot))
            barred = self._barred(connection, ticket)
            if ticket is not None and barred is None:
                insert(connection, "orders", ticket_row(ticket) | {"state": OrderState.INTENT.value})
            if keep is not None:
                keep(connection, reasons, barred)
        return Reservation(reasons, None if barred else ticket, barred)

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
            return tuple(pending_order(connection, row) for row in rows)

    def doubted(self, since: dt.datetime) -> tuple[Attempt, ...]:
        """Return the attempts made since then that were given up though the broker had said nothing of them.

        It did not know them when it was asked, or refused them when they were sent once more; a request that was long
        on its way may have come after that.
        """
        with self._books.reading() as connection:
            rows = connection.execute(
                "SELECT order_attempts.* FROM order_attempts JOIN orders USING (client_order_id) WHERE account_id = ?"
                " AND order_attempts.state IN (?, ?) AND order_attempts.broker_order_id IS NULL"
                " AND order_attempts.at >= ?"
                " ORDER BY order_attempts.at, order_id",
                (self.account_id, OrderState.CANCELED.value, OrderState.REJECTED.value, utc_text(since)),
            ).fetchall()
            return tuple(attempt_of(row, ticket_by_id(connection, row["client_order_id"])) for row in rows)

    def abandon(self, client_order_id: str) -> None:
        """Close a pending order of which nothing is at the broker: what it filled before is held.

        An attempt that has not ended is one that the broker has never had.
        """
        with self._books.transaction() as connection:
            connection.execute(
                f"UPDATE order_attempts SET state = ? WHERE client_order_id = ? AND state IN ({_PENDING})",
                (OrderState.CANCELED.value, client_order_id),
            )
            filled = bool(fills_of(connection, client_order_id))
            reason = Reason.FILLED if filled else Reason.ABANDONED
            end_unsent(connection, client_order_id, PENDING_STATES, reason)
            if isinstance(ticket := ticket_by_id(connection, client_order_id), ClosingTicket):
                add_exit_outcome(connection, ticket)

    def entry(self, client_order_id: str) -> OrderTicket | None:
        """Return the ticket of an entry, in whatever state; None if the ledger has none of this id."""
        with self._books.reading() as connection:
            row = connection.execute(
                "SELECT * FROM orders WHERE client_order_id = ? AND purpose = 'entry'", (client_order_id,)
            ).fetchone()
        ticket = None if row is None else ticket_of(row)
        return ticket if isinstance(ticket, OrderTicket) else None

    def attempts_made(self, ticket: Ticket) -> tuple[int, Attempt | None]:
        """Return how many attempts an order has had, and the last of them if it has not ended."""
        with self._books.reading() as connection:
            last = last_attempt(connection, ticket.client_order_id)
        if last is None:
            return 0, None
        live = attempt_of(last, ticket) if OrderState(last["state"]) in PENDING_STATES else None
        return last["number"], live

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

    def cancel(self, client_order_id: str, reason: Reason, quote: SpreadQuote | None) -> None:
        """Close an intent that was never sent."""
        with self._books.transaction() as connection:
            end_unsent(connection, client_order_id, (OrderState.INTENT,), reason)
            if quote is not None:
                note_quote(connection, client_order_id, quote)

    def attempt(
        self, ticket: Ticket, *, limit_credit: float, at: dt.datetime, quote: SpreadQuote | None = None
    ) -> Attempt | None:
        """Commit an attempt at a price per share (below zero: paid) for what is left of an order, and return it.

        Only then may the broker hear of it. None if the order is an entry and nothing may be opened any more: it has
        ended then, with what it had filled. `quote` is what the order was decided on; it comes with the first one.
        Raises `RecordError` while another attempt of the order has not ended, and if the order itself has.
        """
        with self._books.transaction() as connection:
            order_id = ticket.client_order_id
            row = connection.execute("SELECT state FROM orders WHERE client_order_id = ?", (order_id,)).fetchone()
            if row is None or OrderState(row["state"]) not in PENDING_STATES:
                state = "not in the ledger" if row is None else f"{row['state']} in the ledger"
                raise RecordError(f"{self._books.path}: order {order_id} is {state}: no attempt of it can be made")
            last = last_attempt(connection, order_id)
            if last is not None and OrderState(last["state"]) in PENDING_STATES:
                raise RecordError(
                    f"{self._books.path}: attempt {last['order_id']} is {last['state']}: it has not ended"
                )
            filled = sum(fill.contracts for fill in fills_of(connection, order_id))
            if isinstance(ticket, OrderTicket) and (barred := self._barred(connection, ticket)) is not None:
                end_unsent(connection, order_id, PENDING_STATES, Reason.FILLED if filled else barred)
                return None
            attempt = Attempt(
                ticket=ticket,
                number=1 if last is None else last["number"] + 1,
                contracts=ticket.contracts - filled,
                limit_credit=limit_credit,
                at=at,
            )
            insert(connection, "order_attempts", attempt_row(attempt) | {"state": OrderState.SENT.value})
            follow(connection, attempt, OrderState.SENT, over=False)
            if quote is not None:
                note_quote(connection, order_id, quote)
        return attempt

    def mark_unknown(self, attempt: Attempt) -> None:
        """Note that the broker was asked for an attempt and gave no certain answer; one of which it told is as told."""
        with self._books.transaction() as connection:
            if attempt_state(connection, attempt) is OrderState.SENT:
                follow(connection, attempt, OrderState.UNKNOWN, over=False)

    def book(self, attempt: Attempt, update: OrderUpdate, *, over: bool) -> OrderStatus:
        """Book what the broker says about an attempt, and return how the order stands then.

        `over`: should the attempt be canceled, no other follows it, and the order has ended. Fills of an entry open its
        position or make it larger; those of an exit close contracts, and its end makes their outcome. Of an attempt
        that had ended, only fills not known before are booked: a fill wins over a cancel. Raises `RecordError` for what
        cannot follow what is booked, and for more contracts than the order has.
        """
        ticket = attempt.ticket
        with self._books.transaction() as connection:
            before = attempt_state(connection, attempt)
            if update.state is OrderState.FILLED and update.contracts != attempt.contracts:
                raise RecordError(
                    f"{self._books.path}: order {attempt.order_id} is of {attempt.contracts} contracts, but told to be"
                    f" filled with {update.contracts}"
                )
            new = book_traded(connection, ticket.client_order_id, attempt.number, update.traded)
            if not attempt_may_become(before, update.state, new_fill=new is not None):
                raise RecordError(
                    f"{self._books.path}: order {attempt.order_id} is {before.value} in the ledger: that it is"
                    f" {update.state.value} cannot be booked"
                )
            if new is not None or before in PENDING_STATES:
                follow(connection, attempt, update.state, over=over, told=update)
            if new is not None:
                _move_position(connection, ticket, new.contracts)
            status = status_of(connection, ticket.client_order_id)
            if status.ended and isinstance(ticket, ClosingTicket):
                add_exit_outcome(connection, ticket)
        return status

    def status(self, client_order_id: str) -> OrderStatus:
        """Return how an order stands, all its attempts together. Raises `RecordError` if there is none of this id."""
        with self._books.reading() as connection:
            return status_of(connection, client_order_id)

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

    def book_settlement(self, position: Position, settlement: Settlement) -> None:
        """Book that expiry closed what was open of a position; of one that is closed already, nothing.

        Raises `RecordError` while an order to close it is pending.
        """
        with self._books.transaction() as connection:
            if open_contracts := self._closable(connection, position.entry_order_id):
                lower_position(connection, position.entry_order_id, open_contracts)
                add_settlement_outcome(connection, position.entry_order_id, open_contracts, settlement)

    def book_hand_close(self, close: HandClose) -> None:
        """Book that the user closed a position at the broker.

        Raises `RecordError` while an order to close it is pending, and if it has other contracts open than were read.
        """
        position = close.position
        with self._books.transaction() as connection:
            if self._closable(connection, position.entry_order_id) != position.contracts:
                raise RecordError(f"{self._books.path}: position {position.entry_order_id} has changed meanwhile")
            lower_position(connection, position.entry_order_id, position.contracts)
            add_hand_outcome(connection, close)

    def barred(self, ticket: Ticket) -> Reason | None:
        """Return why nothing of an order may be sent now; None if it may: an exit always."""
        with self._books.reading() as connection:
            return self._barred(connection, ticket) if isinstance(ticket, OrderTicket) else None

    def _barred(self, connection: sqlite3.Connection, ticket: OrderTicket | None) -> Reason | None:
        underlying = None if ticket is None else ticket.spread.underlying
        return entry_bar(connection, self._books.path, self.account_id, underlying)

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
        return tuple(map(exposure_of, exposure_rows(connection, self.account_id)))

    def _entries(self, connection: sqlite3.Connection, slot: str) -> int:
        # By reason, not by state: what was canceled after a part had traded is an entry too.
        row = connection.execute(
            "SELECT COUNT(*) FROM orders WHERE account_id = ? AND slot = ? AND purpose = 'entry'"
            f" AND (state IN ({_PENDING}) OR reason = ?)",
            (self.account_id, slot, Reason.FILLED.value),
        ).fetchone()
        return row[0]


def _move_position(connection: sqlite3.Connection, ticket: Ticket, contracts: int) -> None:
    if isinstance(ticket, OrderTicket):
        grow_position(connection, ticket)
    else:
        lower_position(connection, ticket.entry_order_id, contracts)
