"""Record: a file of the schema before attempts keeps its orders and fills, and what was pending in it is put right."""

import asyncio
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from trading_builders import DECIDED_AT, LATER, QuotedMarket, a_spread, a_ticket, record_candidates, trading_on

from mahler_agents.clock import utc_text
from mahler_agents.execution import Ledger, OrderTicket, PaperBroker, reconcile
from mahler_agents.execution.rows import ticket_row
from mahler_agents.record import connect, database, open_database
from mahler_agents.record.migrations import MIGRATIONS
from mahler_agents.types import Reason

BEFORE = [name for name, _ in MIGRATIONS].index("m014_order_attempts")
WORKED, LOST, UNSENT = (a_ticket(a_spread(short=short), slot=f"{short}") for short in (540.0, 530.0, 520.0))
PRICES = (0.95, 0.93, 0.92)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file of three orders: one of 4 contracts at its third price with one filled, one sent and lost, an intent."""
    path = tmp_path / "mahler.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database, "MIGRATIONS", MIGRATIONS[:BEFORE])
        open_database(path, create=True)
    record_candidates(path, "run.1")
    at = utc_text(DECIDED_AT)
    with closing(connect(path)) as connection:

        def insert(table: str, **row: Any) -> None:
            places = ", ".join("?" * len(row))
            connection.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({places})", [*row.values()])

        def order(ticket: OrderTicket, state: str, broker_order_id: str | None, *prices: float) -> None:
            insert("orders", **ticket_row(ticket), state=state, broker_order_id=broker_order_id)
            for number, price in enumerate(prices, 1):
                insert("order_prices", client_order_id=ticket.client_order_id, number=number, at=at, limit_credit=price)

        order(WORKED, "partial", "b-1", *PRICES)
        order(LOST, "sent", None, 0.95)
        order(UNSENT, "intent", None)
        worked = {"client_order_id": WORKED.client_order_id}
        fill = {**worked, "number": 1, "at": at, "contracts": 1, "credit": 0.93, "fees": 2.0}
        insert("paper_accounts", account_id=WORKED.account_id, cash_cents=10_009_100)
        insert(
            "paper_orders",
            **worked,
            account_id=WORKED.account_id,
            state="partial",
            contracts=4,
            ticket=WORKED.model_dump_json(),
            limit_credit=0.92,
            expires_at=utc_text(LATER),
            at=at,
        )
        for table in ("fills", "paper_fills"):
            insert(table, **fill)
        position = {
            name: ticket_row(WORKED)[name] for name in ("account_id", "underlying", "spread_type", "expiration")
        }
        legs = {
            name: ticket_row(WORKED)[name] for name in ("short_strike", "long_strike", "short_symbol", "long_symbol")
        }
        insert(
            "positions",
            entry_order_id=WORKED.client_order_id,
            state="open",
            **position,
            **legs,
            contracts=1,
            entry_credit=0.93,
            fees=2.0,
            opened_at=at,
            exit_params=WORKED.exit_params.model_dump_json(),
        )
    return open_database(path)


def rows(path: Path, sql: str) -> list[tuple[Any, ...]]:
    with closing(connect(path)) as connection:
        return [tuple(row) for row in connection.execute(sql)]


def test_the_last_price_is_the_attempt_that_has_all_that_was_filled(path: Path) -> None:
    attempts = (
        f"SELECT number, limit_credit, state FROM order_attempts WHERE client_order_id = '{WORKED.client_order_id}'"
    )
    assert rows(path, attempts) == [(1, 0.95, "canceled"), (2, 0.93, "canceled"), (3, 0.92, "partial")]
    assert rows(path, "SELECT client_order_id, attempt, contracts, credit FROM fills") == [
        (WORKED.client_order_id, 3, 1, 0.93)
    ]
    assert rows(path, "SELECT order_id, contracts FROM paper_orders") == [(f"{WORKED.client_order_id}.3", 4)]
    assert rows(path, "SELECT order_id, contracts FROM paper_fills") == [(f"{WORKED.client_order_id}.3", 1)]
    assert rows(path, "PRAGMA foreign_key_check") == []


def test_what_was_pending_is_put_right(path: Path) -> None:
    market = QuotedMarket()
    market.quote(WORKED.spread, short=(0.50, 0.60), long=(0.06, 0.14))  # nothing more fills
    with (
        PaperBroker(path, market, concession=0.66, commission=1.0) as broker,
        Ledger(path, WORKED.account_id) as ledger,
    ):
        ended = asyncio.run(reconcile(trading_on(market, broker, ledger), at=DECIDED_AT))
        assert {one.client_order_id: one.outcome for one in ended} == {
            WORKED.client_order_id: Reason.FILLED,
            LOST.client_order_id: Reason.ABANDONED,
            UNSENT.client_order_id: Reason.ABANDONED,
        }
        assert ledger.pending() == ()
        assert [one.contracts for one in ledger.open_positions(LATER)] == [1]
    assert rows(path, "SELECT state FROM paper_orders") == [("canceled",)]
