"""Stage 8, execute: the embedded broker's books in the record's file, apart from our own ledger."""

import datetime as dt
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from pydantic import TypeAdapter

from mahler_agents.clock import utc_text
from mahler_agents.errors import BrokerError
from mahler_agents.execution.orders import OrderState, OrderTicket, OrderUpdate, Ticket, Traded
from mahler_agents.execution.paper_account import (
    STARTING_CASH_CENTS,
    OpenOrder,
    PaperAccount,
    after_fill,
    after_settlement,
)
from mahler_agents.execution.paper_matching import PaperOrder, broker_order_id
from mahler_agents.execution.settlement import LegSettlement
from mahler_agents.record.durable import DurableBook, insert
from mahler_agents.types import Quote, Reason, SpreadQuote

_TICKET: TypeAdapter[Ticket] = TypeAdapter(Ticket)
_WORKING = f"state IN ('{OrderState.ACCEPTED.value}', '{OrderState.PARTIAL.value}')"


class HeldMark(NamedTuple):
    """The last quote that the account saw of a leg that it holds."""

    mid: float
    quoted_at: dt.datetime


class Holdings(NamedTuple):
    """The account at one moment."""

    account: PaperAccount
    working: tuple[OpenOrder, ...]
    marks: Mapping[str, HeldMark]


class PaperBooks(DurableBook):
    """One account's cash, legs, orders, fills and settlements; every change is one transaction."""

    def __init__(self, path: Path, account_id: str) -> None:
        super().__init__(path, account_id)
        with self._books.transaction() as connection:
            connection.execute(
                "INSERT INTO paper_accounts (account_id, cash_cents) VALUES (?, ?) ON CONFLICT DO NOTHING",
                (self.account_id, STARTING_CASH_CENTS),
            )

    def holdings(self) -> Holdings:
        """Return the account, what may still fill, and the last mark of every leg."""
        with self._books.reading() as connection:
            return self._holdings(connection)

    def find(self, order_id: str) -> OrderUpdate | None:
        """Return how an order stands, None if it was never in the books."""
        with self._books.reading() as connection:
            return _find(connection, order_id)

    def working(self, order_id: str) -> PaperOrder | None:
        """Return an order that may still fill; None if it has ended, or was never in the books."""
        with self._books.reading() as connection:
            return _working(connection, order_id)

    def all_working(self) -> tuple[PaperOrder, ...]:
        """Return the account's orders that may still fill."""
        with self._books.reading() as connection:
            return self._all_working(connection)

    def known(self, order: PaperOrder) -> OrderUpdate | None:
        """Return how the order stands that came in as this one, None if its id is new.

        Raises `BrokerError` if another order has the id: of another spread or purpose, quantity or price.
        """
        with self._books.reading() as connection:
            return _known(connection, order)

    def take(
        self,
        order: PaperOrder,
        judge: Callable[[PaperAccount, Sequence[OpenOrder]], PaperOrder],
        quote: SpreadQuote | None,
    ) -> OrderUpdate:
        """Enter a new order as `judge` decides on the account; of one that is `known`, say how it stands."""
        with self._books.transaction() as connection:
            if (known := _known(connection, order)) is not None:
                return known
            account, working, _ = self._holdings(connection)
            order = judge(account, working)  # as it came in, and rejected or looked at
            insert(
                connection,
                "paper_orders",
                {
                    "order_id": order.order_id,
                    "account_id": self.account_id,
                    "contracts": order.contracts,
                    "ticket": order.ticket.model_dump_json(),
                    "limit_credit": order.limit_credit,
                    "expires_at": utc_text(order.expires_at),
                    **_changing(order),
                },
            )
            self._enter_fills(connection, order, 0, quote)
        return order.update

    def change(
        self, order_id: str, change: Callable[[PaperOrder], PaperOrder], quote: SpreadQuote | None
    ) -> OrderUpdate:
        """Change a working order, its fills with cash and legs; of one that has ended, say how.

        Raises `BrokerError` for an order that is not in the books.
        """
        with self._books.transaction() as connection:
            order = _working(connection, order_id)
            if order is None:
                if (ended := _find(connection, order_id)) is None:
                    raise BrokerError(f"account {self.account_id} has no order {order_id}")
                return ended
            after = change(order)
            columns = _changing(after)
            connection.execute(
                f"UPDATE paper_orders SET {', '.join(f'{name} = ?' for name in columns)} WHERE order_id = ?",
                (*columns.values(), order_id),
            )
            self._enter_fills(connection, after, len(order.fills), quote)
        return after.update

    def latest(self) -> dt.datetime | None:
        """Return the last instant that the record knows of the account: seen, paid or traded; None if there is none."""
        with self._books.reading() as connection:
            row = connection.execute(
                "SELECT MAX(at) AS at FROM (SELECT at FROM equity WHERE account_id = ?1"
                " UNION ALL SELECT at FROM deposits WHERE account_id = ?1"
                " UNION ALL SELECT at FROM paper_orders WHERE account_id = ?1)",
                (self.account_id,),
            ).fetchone()
        return None if row["at"] is None else dt.datetime.fromisoformat(row["at"])

    def deposit(self, cents: int, at: dt.datetime) -> None:
        """Move cash, and book why for whoever judges the account by its equity."""
        with self._books.transaction() as connection:
            connection.execute(
                "UPDATE paper_accounts SET cash_cents = cash_cents + ? WHERE account_id = ?", (cents, self.account_id)
            )
            row = {"account_id": self.account_id, "at": utc_text(at), "dollars": cents / 100}
            insert(connection, "deposits", row)

    def settle(self, legs: Iterable[LegSettlement]) -> None:
        """Settle legs in cash, once each; of one that nets to nothing between spreads, how it was settled is kept."""
        with self._books.transaction() as connection:
            account = self._holdings(connection).account
            for leg in legs:
                done = connection.execute(
                    "SELECT COUNT(*) FROM paper_settlements WHERE account_id = ? AND symbol = ?",
                    (self.account_id, leg.symbol),
                ).fetchone()[0]
                if done:
                    continue
                contracts = account.legs.get(leg.symbol, 0)
                account = after_settlement(account, leg)
                row = {
                    "account_id": self.account_id,
                    "contracts": contracts,
                    **leg.model_dump(),
                    "at": utc_text(leg.at),
                }
                insert(connection, "paper_settlements", row)
                connection.execute(
                    "UPDATE paper_positions SET contracts = 0 WHERE account_id = ?1 AND symbol = ?2",
                    (self.account_id, leg.symbol),
                )
                connection.execute(
                    "UPDATE paper_spreads SET contracts = 0"
                    " WHERE account_id = ?1 AND ?2 IN (short_symbol, long_symbol)",
                    (self.account_id, leg.symbol),
                )
            self._set_cash(connection, account)

    def settlements(self, symbols: Iterable[str], at: dt.datetime) -> Mapping[str, LegSettlement]:
        """Return how legs were settled at or before the instant `at`."""
        wanted = set(symbols)
        with self._books.reading() as connection:
            rows = connection.execute(
                "SELECT symbol, at, underlying_price, dollars_per_share, in_the_money FROM paper_settlements"
                " WHERE account_id = ? AND at <= ?",
                (self.account_id, utc_text(at)),
            ).fetchall()
        return {row["symbol"]: LegSettlement.model_validate(dict(row)) for row in rows if row["symbol"] in wanted}

    def note_marks(self, quotes: Mapping[str, Quote]) -> None:
        """Keep the newest quote of every leg, for when there is none."""
        with self._books.transaction() as connection:
            connection.executemany(
                "UPDATE paper_positions SET last_mid = ?, last_quoted_at = ?"
                " WHERE account_id = ? AND symbol = ? AND last_quoted_at < ?",
                [
                    (quote.mid, utc_text(quote.at), self.account_id, symbol, utc_text(quote.at))
                    for symbol, quote in quotes.items()
                ],
            )

    def _holdings(self, connection: sqlite3.Connection) -> Holdings:
        cash = connection.execute(
            "SELECT cash_cents FROM paper_accounts WHERE account_id = ?", (self.account_id,)
        ).fetchone()[0]
        legs = connection.execute(
            "SELECT symbol, contracts, last_mid, last_quoted_at FROM paper_positions"
            " WHERE account_id = ? AND contracts <> 0 ORDER BY symbol",
            (self.account_id,),
        ).fetchall()
        spreads = connection.execute(
            "SELECT * FROM paper_spreads WHERE account_id = ? AND contracts <> 0", (self.account_id,)
        ).fetchall()
        return Holdings(
            account=PaperAccount(
                cash_cents=cash,
                legs={row["symbol"]: row["contracts"] for row in legs},
                spreads={(row["short_symbol"], row["long_symbol"]): row["contracts"] for row in spreads},
            ),
            working=tuple(order.left for order in self._all_working(connection)),
            marks={
                row["symbol"]: HeldMark(row["last_mid"], dt.datetime.fromisoformat(row["last_quoted_at"]))
                for row in legs
            },
        )

    def _all_working(self, connection: sqlite3.Connection) -> tuple[PaperOrder, ...]:
        rows = connection.execute(
            f"SELECT * FROM paper_orders WHERE account_id = ? AND {_WORKING} ORDER BY rowid", (self.account_id,)
        ).fetchall()
        return tuple(_order_of(connection, row) for row in rows)

    def _enter_fills(
        self, connection: sqlite3.Connection, order: PaperOrder, before: int, quote: SpreadQuote | None
    ) -> None:
        """Enter an order's fills after the first `before`, with what they do to cash and legs."""
        new = order.fills[before:]
        if not new or quote is None:
            return
        account = self._holdings(connection).account
        spread, opens = order.ticket.spread, isinstance(order.ticket, OrderTicket)
        for number, fill in enumerate(new, before + 1):
            row = {"order_id": order.order_id, "number": number, **fill.model_dump(), "at": utc_text(fill.at)}
            insert(connection, "paper_fills", row)
            account = after_fill(
                account, spread, opens=opens, contracts=fill.contracts, credit=fill.credit, fees=round(fill.fees * 100)
            )
        self._set_cash(connection, account)
        legs = (spread.short_symbol, spread.long_symbol)
        connection.execute(
            "INSERT INTO paper_spreads (account_id, short_symbol, long_symbol, contracts) VALUES (?, ?, ?, ?)"
            " ON CONFLICT DO UPDATE SET contracts = excluded.contracts",
            (self.account_id, *legs, account.spreads.get(legs, 0)),
        )
        for symbol, leg in ((spread.short_symbol, quote.short), (spread.long_symbol, quote.long)):
            connection.execute(
                "INSERT INTO paper_positions (account_id, symbol, contracts, last_mid, last_quoted_at)"
                " VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET contracts = excluded.contracts,"
                " last_mid = excluded.last_mid, last_quoted_at = excluded.last_quoted_at",
                (self.account_id, symbol, account.legs.get(symbol, 0), leg.mid, utc_text(leg.at)),
            )

    def _set_cash(self, connection: sqlite3.Connection, account: PaperAccount) -> None:
        connection.execute(
            "UPDATE paper_accounts SET cash_cents = ? WHERE account_id = ?", (account.cash_cents, self.account_id)
        )


def _changing(order: PaperOrder) -> dict[str, object]:
    """Return the columns of an order that looking at it may change."""
    return {
        "state": order.state.value,
        "reason": order.reason and order.reason.value,
        "at": utc_text(order.at),
    }


def _known(connection: sqlite3.Connection, order: PaperOrder) -> OrderUpdate | None:
    row = connection.execute(
        "SELECT ticket, contracts, limit_credit FROM paper_orders WHERE order_id = ?", (order.order_id,)
    ).fetchone()
    if row is not None and row["ticket"] is not None:  # an older version kept none
        ticket = _TICKET.validate_json(row["ticket"])
        first = ticket.spread, ticket.purpose, row["contracts"], row["limit_credit"]
        if first != (order.ticket.spread, order.ticket.purpose, order.contracts, order.limit_credit):
            raise BrokerError(
                f"the embedded broker has another order under the id {order.order_id}: {ticket.purpose} of"
                f" {row['contracts']} {ticket.spread.label} at {row['limit_credit']:.2f}"
            )
    return _find(connection, order.order_id)


def _find(connection: sqlite3.Connection, order_id: str) -> OrderUpdate | None:
    row = connection.execute("SELECT * FROM paper_orders WHERE order_id = ?", (order_id,)).fetchone()
    if row is None:
        return None
    return OrderUpdate(
        state=OrderState(row["state"]),
        broker_order_id=broker_order_id(order_id),
        traded=Traded.of(_fills(connection, order_id)),
        reason=Reason(row["reason"]) if row["reason"] else None,
    )


def _working(connection: sqlite3.Connection, order_id: str) -> PaperOrder | None:
    row = connection.execute(f"SELECT * FROM paper_orders WHERE order_id = ? AND {_WORKING}", (order_id,)).fetchone()
    return None if row is None else _order_of(connection, row)


def _order_of(connection: sqlite3.Connection, row: sqlite3.Row) -> PaperOrder:
    return PaperOrder(
        order_id=row["order_id"],
        ticket=_TICKET.validate_json(row["ticket"]),
        contracts=row["contracts"],
        limit_credit=row["limit_credit"],
        expires_at=dt.datetime.fromisoformat(row["expires_at"]),
        state=OrderState(row["state"]),
        fills=_fills(connection, row["order_id"]),
        at=dt.datetime.fromisoformat(row["at"]),
    )


def _fills(connection: sqlite3.Connection, order_id: str) -> tuple[Traded, ...]:
    rows = connection.execute(
        "SELECT contracts, credit, fees, at FROM paper_fills WHERE order_id = ? ORDER BY number", (order_id,)
    )
    return tuple(Traded.model_validate({**dict(row), "at": dt.datetime.fromisoformat(row["at"])}) for row in rows)
