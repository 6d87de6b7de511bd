"""A fake Alpaca and a record, and one process after another at work on both: whose books are held to each other."""

import datetime as dt
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from alpaca_lives import Desk, spreads
from deaths import forked
from trading_builders import record_candidates

from mahler_agents.clock import NEW_YORK
from mahler_agents.execution.orders import PENDING_STATES
from mahler_agents.market import calendar
from mahler_agents.record import connect, open_database
from mahler_agents.testing.fake_alpaca import FakeAlpaca
from mahler_agents.testing.fake_alpaca.orders import Order
from mahler_agents.testing.fake_alpaca.venue import ARRIVES_AFTER

TIMEOUT_SECONDS = 0.25
"""Of a request whose server hangs."""
UNHURRIED_SECONDS = 20.0
CASH_CENTS = 10_000_000
PENDING = ", ".join(f"'{state.value}'" for state in PENDING_STATES)

Job = Callable[[Desk], None]


class Watched(list[Order]):
    """The server's orders, which notes whoever sends one while another of the same intent is live."""

    def __init__(self, orders: Sequence[Order]) -> None:
        super().__init__(orders)
        self.doubled: list[tuple[str, str]] = []

    def append(self, order: Order) -> None:
        """Take an order."""
        self.doubled += [
            (other.client_order_id, order.client_order_id)
            for other in self
            if other.is_open and intent_of(other.client_order_id) == intent_of(order.client_order_id)
        ]
        super().append(order)


def intent_of(client_order_id: str) -> str:
    """Return the id of the intent of which an order is an attempt."""
    return client_order_id.rpartition(".")[0]


def watched(fake: FakeAlpaca) -> Watched:
    """Watch a server's orders from now on."""
    fake.world.books.orders = orders = Watched(fake.world.books.orders)
    return orders


class Trial:
    """A server, a record, and one process after another at work on both."""

    def __init__(self, fake: FakeAlpaca, folder: Path) -> None:
        self.fake = fake
        self.database = folder / "desk.db"
        shutil.copyfile(template(folder.parent), self.database)
        spreads()  # found once, and not anew in each fork
        self.orders = watched(fake)

    def live(self, job: Job, *, die_at: int | None = None, timeout: float = TIMEOUT_SECONDS) -> int | None:
        """Run a job in a process of its own; return its steps, None if it died at one of them."""
        environ, database = self.fake.environ, self.database

        def at_work() -> None:
            with ExitStack() as stack:
                job(Desk.open(stack, environ, database, timeout))

        return forked(at_work, die_at)

    def later(self, gap: dt.timedelta) -> None:
        """Let time pass at the server."""
        self.fake.advance_to(self.fake.now + gap)

    def put_right(self) -> None:
        """Once nothing fails, nor is on its way: assert that one process finds out about everything that is pending."""
        self.fake.forget_faults()
        self.later(ARRIVES_AFTER)

        def looked(desk: Desk) -> None:
            assert [one for one in desk.told if one.error is not None] == []

        self.live(looked, timeout=UNHURRIED_SECONDS)
        self.check()

    def make_flat(self) -> None:
        """Close whatever is open, for as many passes as that takes, and check the books then."""
        for _ in range(8):
            self.fake.advance_to(next_morning(self.fake.now))
            self.live(lambda desk: desk.close(urgent=True), timeout=UNHURRIED_SECONDS)
            if not self.fake.books()["positions"]:
                break
        assert self.fake.books()["positions"] == {}
        self.check()

    def check(self) -> None:
        """Assert that no intent was two orders, that no fill was lost, and that ledger and server agree to the cent."""
        books = self.fake.books()
        assert self.orders.doubled == []
        assert self.rows(f"SELECT * FROM orders WHERE state IN ({PENDING})") == []
        assert self.rows(f"SELECT * FROM order_attempts WHERE state IN ({PENDING})") == []
        assert [order for order in self.orders if order.is_open] == []
        assert self._fills() == {
            order["client_order_id"]: (
                order["filled"],
                sum(-100 * fill["units"] * fill["net_cents"] for fill in order["fills"]),
            )
            for order in books["orders"]
            if order["filled"]
        }
        self._check_intents(books["orders"])
        assert self._held() == books["positions"]
        assert CASH_CENTS + self._earned_cents() == books["cash_cents"]

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Return rows of the record."""
        connection = connect(self.database)
        try:
            return [tuple(row) for row in connection.execute(query)]
        finally:
            connection.close()

    def _fills(self) -> dict[str, tuple[int, int]]:
        rows = self.rows(
            "SELECT client_order_id || '.' || attempt, SUM(contracts),"
            " SUM(CAST(round(credit * 10000 * contracts) AS INTEGER)) FROM fills GROUP BY 1"
        )
        return {order_id: (contracts, hundredths) for order_id, contracts, hundredths in rows}

    def _check_intents(self, orders: Sequence[Mapping[str, Any]]) -> None:
        """Assert that what the server has are attempts of the ledger's intents, and no more than those asked for."""
        asked = dict(self.rows("SELECT client_order_id, contracts FROM orders"))
        attempts = {order_id: (count, price) for order_id, count, price in self.rows(
            "SELECT order_id, contracts, CAST(round(-100 * limit_credit) AS INTEGER) FROM order_attempts"
        )}  # fmt: skip
        filled: Counter[str] = Counter()
        for order in orders:
            assert (order["units"], order["limit_cents"]) == attempts[order["client_order_id"]]
            filled[intent_of(order["client_order_id"])] += order["filled"]
        assert len({order["client_order_id"] for order in orders}) == len(orders)
        assert [intent for intent, count in filled.items() if count > asked[intent]] == []

    def _held(self) -> dict[str, int]:
        held: Counter[str] = Counter()
        for short, long, left in self.rows(
            "SELECT short_symbol, long_symbol, contracts - closed_contracts FROM positions WHERE state = 'open'"
        ):
            held.update({short: -left, long: left})
        return dict(sorted(held.items()))

    def _earned_cents(self) -> int:
        """Return what the outcomes say was earned, and what the entries of the contracts that are open brought in."""
        [(earned,)] = self.rows("SELECT CAST(round(100 * COALESCE(SUM(pnl_dollars), 0)) AS INTEGER) FROM outcomes")
        told = dict(self.rows("SELECT entry_order_id, SUM(contracts) FROM outcomes GROUP BY 1"))
        closed = dict(self.rows("SELECT entry_order_id, closed_contracts FROM positions WHERE closed_contracts > 0"))
        assert told == closed
        received = 0
        for entry, after in self.rows("SELECT entry_order_id, closed_contracts FROM positions"):
            fills = self.rows(f"SELECT contracts, credit FROM fills WHERE client_order_id = '{entry}' ORDER BY number")
            each = [round(credit * 10_000) for contracts, credit in fills for _ in range(contracts)]
            received += sum(each[after:])
        return earned + received


def template(folder: Path) -> Path:
    """Return an empty record with the candidates that orders refer to, made once for a folder."""
    path = folder / "template.db"
    if not path.exists():
        made = open_database(folder / "making.db", create=True)
        record_candidates(made, "run.1", "run.2")
        connection = connect(made)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
        made.rename(path)
    return path


def next_morning(now: dt.datetime) -> dt.datetime:
    """Return an instant at which the market trades: a minute later, or the next session's first hour."""
    soon = now + dt.timedelta(minutes=1)
    today = soon.astimezone(NEW_YORK).date()
    hour = dt.timedelta(hours=1)
    if calendar.is_session(today):
        hours = calendar.session(today)
        if hours.open <= soon and soon + hour / 2 <= hours.close:
            return soon
        if soon < hours.open:
            return hours.open + hour
    return calendar.session(calendar.next_session(today)).open + hour
