"""Record: a file of a version that closed positions whole keeps every figure when it is migrated."""

import asyncio
from contextlib import closing
from pathlib import Path

import pytest
from trading_builders import DECIDED_AT, LATER, QuotedMarket, a_closing_ticket, a_spread, a_ticket, record_candidates

from mahler_agents.execution import Ledger, OrderState, PaperBroker
from mahler_agents.execution.rows import spread_row
from mahler_agents.exits import ExitParams
from mahler_agents.record import connect, database, open_database
from mahler_agents.record.migrations import MIGRATIONS

OPEN, CLOSED = a_spread("SPY"), a_spread("QQQ")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file of the third schema with a position that is open and one that was closed, migrated."""
    path = tmp_path / "mahler.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database, "MIGRATIONS", MIGRATIONS[:3])
        open_database(path, create=True)
    record_candidates(path, "run.1", "run.2")
    with closing(connect(path)) as connection:

        def insert(table: str, **row: object) -> None:
            connection.execute(
                f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", [*row.values()]
            )

        def filled(order_id: str, spread: object, contracts: int, credit: float, **row: object) -> None:
            order = {"client_order_id": order_id, "account_id": "paper-quoted-test", "slot": "s", "state": "filled"}
            at = {"decided_at": "2026-03-16T14:03:00.000Z"}
            insert("orders", **order, **at, **spread, contracts=contracts, limit_credit=credit, reason="filled", **row)
            told = {"contracts": contracts, "credit": credit, "fees": 2.0 * contracts, "at": at["decided_at"]}
            insert("fills", client_order_id=order_id, number=1, **told)
            insert("paper_orders", client_order_id=order_id, account_id="paper-quoted-test", state="filled", **told)

        insert("paper_accounts", account_id="paper-quoted-test", cash_cents=10_026_500)
        for order_id, spread, state, contracts in (("open", OPEN, "open", 3), ("closed", CLOSED, "closed", 4)):
            candidate = "run.1" if state == "open" else "run.2"
            filled(order_id, spread_row(spread), contracts, 0.90, purpose="entry", candidate_id=candidate)
            held = {"entry_credit": 0.90, "fees": 2.0 * contracts, "opened_at": "2026-03-16T14:03:00.000Z"}
            position = {"entry_order_id": order_id, "account_id": "paper-quoted-test", "state": state}
            insert("positions", **position, **spread_row(spread), contracts=contracts, **held)
        filled("exit", spread_row(CLOSED), 4, -0.30, purpose="exit", closes="closed", rule="profit_target")
        insert(
            "outcomes",
            entry_order_id="closed",
            exit_order_id="exit",
            rule="profit_target",
            closed_at="2026-03-17T15:00:00.000Z",
            exit_debit=0.30,
            fees=16.0,
            pnl_dollars=224.0,
        )
        for symbol, contracts in ((OPEN.short_symbol, -3), (OPEN.long_symbol, 3)):
            mark = {"last_mid": 0.5, "last_quoted_at": "2026-03-16T14:03:00.000Z"}
            insert("paper_positions", account_id="paper-quoted-test", symbol=symbol, contracts=contracts, **mark)
    return open_database(path)


def test_positions_outcomes_and_policies_are_what_they_were(path: Path) -> None:
    with Ledger(path, "paper-quoted-test") as ledger:
        [position] = ledger.open_positions(LATER)
        assert (position.contracts, position.opened_contracts, position.exit_params) == (3, 3, ExitParams())
        assert ledger.position("closed").contracts == 0
        assert [one.contracts for one in ledger.exposures()] == [3]
    with closing(connect(path)) as connection:
        [outcome] = connection.execute("SELECT * FROM outcomes").fetchall()
        assert tuple(outcome) == (
            "closed", 1, "exit", "profit_target", 4, "2026-03-17T15:00:00.000Z", 0.30, 16.0, 224.0,
        )  # fmt: skip
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


def test_the_embedded_broker_knows_its_orders_and_can_close_what_it_held(path: Path) -> None:
    market = QuotedMarket()
    market.quote(OPEN, short=(0.30, 0.36), long=(0.02, 0.05))
    with (
        PaperBroker(path, market, concession=0.66, commission=1.0) as broker,
        Ledger(path, "paper-quoted-test") as ledger,
    ):
        known = asyncio.run(broker.find("open.1", at=LATER))
        assert known is not None
        assert (known.state, known.contracts) == (OrderState.FILLED, 3)
        again = a_ticket(OPEN).model_copy(update={"client_order_id": "open"})
        assert asyncio.run(broker.submit(again, number=1, contracts=3, limit_credit=0.9, at=DECIDED_AT)) == known
        [position] = ledger.open_positions(LATER)
        ticket = a_closing_ticket(position, limit_debit=0.40)
        update = asyncio.run(broker.submit(ticket, number=1, contracts=3, limit_credit=-0.40, at=LATER))
        assert update.contracts == 3
        assert asyncio.run(broker.account(LATER)).cash == 100_265 - 3 * 34 - 6
