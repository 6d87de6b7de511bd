"""Stage 8, execute: the ledger against the broker's account, at every scan's start and every monitor pass.

What differs is recorded, and forbids entries (`entry_bar`) until it is gone; a leg of ours that is missing makes the
trading state REDUCING too. Positions may lag a fill at a broker, so what is new is believed only when it is read again.
Nothing here trades.
"""

import asyncio
import datetime as dt
import sqlite3
from collections.abc import Iterable, Mapping, Sequence

from mahler_agents.clock import utc_text
from mahler_agents.errors import BrokerError, MarketError
from mahler_agents.execution.broker import Broker
from mahler_agents.execution.differences import (
    Difference,
    Explained,
    Holdings,
    Kind,
    Open,
    compare,
)
from mahler_agents.execution.entry_bar import blocked_underlyings
from mahler_agents.execution.orders import PENDING_STATES, BrokerOrder
from mahler_agents.execution.rows import spread_of
from mahler_agents.execution.trading_state import Change, TradingState
from mahler_agents.execution.working import Present, Wait, as_planned
from mahler_agents.record.durable import DurableBook, insert
from mahler_agents.record.trading_state import read_standing
from mahler_agents.types import Frozen, Reason

_PENDING = ", ".join(f"'{state.value}'" for state in PENDING_STATES)


class BrokerCheck(Frozen):
    """What the broker's account and the ledger have not in common."""

    error: str | None = None
    """Why the broker could not be read: nothing new is opened then. None if it could."""
    differences: tuple[Difference, ...] = ()
    explained: tuple[Explained, ...] = ()
    """What only seems to differ, and why."""
    news: tuple[str, ...] = ()
    """What this check found first, and what is no more: for the record's events, one line each."""
    broken: bool = False
    """True if a leg is missing that was not before."""
    missing: Mapping[str, int] = {}
    """Symbols of which the broker held less than the ledger when it was last read, and how many contracts it held."""

    @property
    def failed(self) -> tuple[str, ...]:
        """What the desk could not do, one line each: reading the broker."""
        return () if self.error is None else (f"the broker could not be read, so nothing is opened: {self.error}",)

    @property
    def agrees(self) -> bool:
        """Whether the broker could be read and holds what the ledger says."""
        return self.error is None and not self.differences


async def check_broker(
    broker: Broker, book: "BrokerBook", *, at: dt.datetime, wait: Wait, lag: dt.timedelta, present: Present = as_planned
) -> BrokerCheck:
    """Compare what the broker holds and works with the ledger, and record what differs.

    A position that differs and did not before is read once more after the `lag`: only what that reading says is
    believed. Raises `RecordError` only: a broker that cannot be read is a finding.
    """
    check = await _read(broker, book, at)
    if await asyncio.to_thread(book.surprising, check):
        at = present(at) + lag
        await wait(at)
        check = await _read(broker, book, at)
    return await asyncio.to_thread(book.note, check, at)


async def _read(broker: Broker, book: "BrokerBook", at: dt.datetime) -> BrokerCheck:
    """Compare once; the ledger is read before and after: what is booked meanwhile is in one of the two."""
    before = await asyncio.to_thread(book.holdings)
    try:
        held = await broker.positions(at)
        working = await broker.working(at)
    except (BrokerError, MarketError) as error:
        return BrokerCheck(error=str(error))
    after = await asyncio.to_thread(book.holdings)
    differences, explained = compare((before, after), held, at=at)
    pending = before.pending_orders | after.pending_orders
    orders = tuple(_foreign(order) for order in working if not _is_ours(order, pending))
    return BrokerCheck(differences=(*differences, *orders), explained=explained)


class BrokerBook(DurableBook):
    """What is known of one account at the broker; raises `RecordError`."""

    def holdings(self) -> Holdings:
        """Return what the ledger holds, and what its pending orders may still trade."""
        with self._books.reading() as connection:
            positions = connection.execute(
                "SELECT *, contracts - closed_contracts AS left FROM positions WHERE account_id = ? AND state = 'open'",
                (self.account_id,),
            ).fetchall()
            orders = connection.execute(
                "SELECT *, contracts - (SELECT COALESCE(SUM(fills.contracts), 0) FROM fills"
                " WHERE fills.client_order_id = orders.client_order_id) AS left FROM orders"
                f" WHERE account_id = ? AND state IN ({_PENDING})",
                (self.account_id,),
            ).fetchall()
        return Holdings(
            positions=tuple(map(_open, positions)),
            entering=tuple(_open(row) for row in orders if row["purpose"] == "entry"),
            closing=tuple(_open(row) for row in orders if row["purpose"] == "exit"),
            pending_orders=frozenset(row["client_order_id"] for row in orders),
        )

    def surprising(self, check: BrokerCheck) -> bool:
        """Return whether a check found a position that differs from what is known of it."""
        with self._books.reading() as connection:
            standing = self._standing(connection)
        return any(one.reason and _differs(standing.get((one.kind.value, one.item)), one) for one in check.differences)

    def note(self, check: BrokerCheck, at: dt.datetime) -> BrokerCheck:
        """Record a check, and return it with what is new in it.

        Of a broker that could not be read, what differed before stands. A leg that is newly missing makes the trading
        state REDUCING in the same transaction; one that stays missing after the user un-halted does not again.
        """
        now = utc_text(at)
        with self._books.transaction() as connection:
            connection.execute(
                "INSERT INTO broker_checks (account_id, at, error) VALUES (?, ?, ?)"
                " ON CONFLICT DO UPDATE SET at = excluded.at, error = excluded.error",
                (self.account_id, now, check.error),
            )
            standing = self._standing(connection)
            if check.error is not None:
                rows = [row for row in standing.values() if row["kind"] == Kind.MISSING.value]
                return check.model_copy(update={"missing": {row["item"]: row["at_broker"] for row in rows}})
            new = [one for one in check.differences if _differs(standing.get((one.kind.value, one.item)), one)]
            gone = [
                row for key, row in standing.items() if key not in {(o.kind.value, o.item) for o in check.differences}
            ]
            self._keep(connection, check.differences, gone, now)
            broken = [
                one for one in new if one.kind is Kind.MISSING and _worse(standing.get((one.kind.value, one.item)), one)
            ]
            if broken:
                self._reduce(connection, broken, now)
        news = (*(one.text for one in new), *(f"{row['item']}: {row['kind']} no more" for row in gone))
        missing = {one.item: one.at_broker or 0 for one in check.differences if one.kind is Kind.MISSING}
        return check.model_copy(update={"news": news, "broken": bool(broken), "missing": missing})

    def blocked(self) -> Mapping[str, Reason]:
        """Return the underlyings in which nothing is opened, and why."""
        with self._books.reading() as connection:
            return blocked_underlyings(connection, self.account_id)

    def _standing(self, connection: sqlite3.Connection) -> Mapping[tuple[str, str], sqlite3.Row]:
        rows = connection.execute(
            "SELECT * FROM broker_differences WHERE account_id = ? AND gone_at IS NULL", (self.account_id,)
        ).fetchall()
        return {(row["kind"], row["item"]): row for row in rows}

    def _keep(
        self, connection: sqlite3.Connection, found: Iterable[Difference], gone: Iterable[sqlite3.Row], now: str
    ) -> None:
        for row in gone:
            connection.execute("UPDATE broker_differences SET gone_at = ? WHERE id = ?", (now, row["id"]))
        for one in found:
            connection.execute(
                "INSERT INTO broker_differences (account_id, kind, item, underlying, in_ledger, at_broker, explanation,"
                " first_seen_at, last_seen_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8)"
                " ON CONFLICT (account_id, kind, item) WHERE gone_at IS NULL DO UPDATE SET in_ledger = ?5,"
                " at_broker = ?6, explanation = ?7, last_seen_at = ?8",
                (
                    self.account_id,
                    one.kind.value,
                    one.item,
                    one.underlying,
                    one.in_ledger,
                    one.at_broker,
                    one.text,
                    now,
                ),
            )

    def _reduce(self, connection: sqlite3.Connection, broken: Sequence[Difference], now: str) -> None:
        if not read_standing(connection, self._books.path).active:
            return  # that strict already
        legs = ", ".join(one.item for one in broken)
        reason = f"broken leg: {legs} of an open position is missing at the broker; see `mahler reconcile`"
        change = Change(state=TradingState.REDUCING, reason=reason, by="reconcile", at=now)
        insert(connection, "trading_states", change.model_dump(mode="json"))


def _open(row: sqlite3.Row) -> Open:
    spread = spread_of(row)
    return Open(spread.short_symbol, spread.long_symbol, row["left"], spread.label)


def _differs(before: sqlite3.Row | None, now: Difference) -> bool:
    if before is None:
        return True
    return _beyond(before["in_ledger"], before["at_broker"]) != _beyond(now.in_ledger, now.at_broker)


def _worse(before: sqlite3.Row | None, now: Difference) -> bool:
    """Return whether more is missing than the user has been told: putting a part right is no alarm."""
    return before is None or abs(_beyond(now.in_ledger, now.at_broker)) > abs(
        _beyond(before["in_ledger"], before["at_broker"])
    )


def _beyond(in_ledger: int | None, at_broker: int | None) -> int:
    """Return by how much the two differ: contracts that leave both at once change nothing of it."""
    return (at_broker or 0) - (in_ledger or 0)


def _is_ours(order: BrokerOrder, pending: frozenset[str]) -> bool:
    """Return whether an order at the broker is an attempt of one that is pending in the ledger."""
    return order.order_id in pending or order.order_id.rpartition(".")[0] in pending


def _foreign(order: BrokerOrder) -> Difference:
    ours = f" as {order.order_id}" if order.order_id else ""
    text = (
        f"order {order.broker_order_id}{ours} works at the broker on {', '.join(order.symbols)} and is not a pending"
        " order of the ledger: the desk leaves it alone; what it fills will be external"
    )
    return Difference(kind=Kind.ORDER, item=order.broker_order_id or order.order_id, text=text)
