"""The order ledger: states, risk that no two sizings can both take, fills, positions and outcomes."""

import datetime as dt
import multiprocessing
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from builders import make_account
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from trading_builders import (
    DECIDED_AT,
    LATER,
    a_closing_ticket,
    a_spread,
    a_spread_quote,
    a_ticket,
    record_candidates,
)

from mahler_agents.errors import RecordError
from mahler_agents.execution import (
    Attempt,
    ClosingTicket,
    Expiry,
    Ledger,
    OrderState,
    OrderStatus,
    OrderTicket,
    OrderUpdate,
    Position,
    Settlement,
    Ticket,
    Traded,
    attempt_id,
    client_order_id,
)
from mahler_agents.exits import ExitParams
from mahler_agents.market.snapshot import Exposure
from mahler_agents.record import connect, open_database
from mahler_agents.risk import RiskLimits, SizeMultiplier, Sizing, size
from mahler_agents.types import Reason, Spread, SpreadType

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
ACCOUNT = "paper-quoted-test"
QUOTE = a_spread_quote((1.00, 1.10), (0.10, 0.14))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = open_database(tmp_path / "mahler.db", create=True)
    record_candidates(path, *(f"run.{rank}" for rank in range(1, 10)))
    return path


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    with Ledger(path, ACCOUNT) as ledger:
        yield ledger


def reserved(ledger: Ledger, ticket: OrderTicket) -> OrderTicket:
    reserved_ticket = ledger.reserve(lambda *_: (None, ticket), slot=ticket.slot).ticket
    assert reserved_ticket == ticket
    return ticket


def sent(ledger: Ledger, ticket: OrderTicket | None = None) -> OrderTicket:
    ticket = reserved(ledger, ticket or a_ticket())
    attempt(ledger, ticket)
    return ticket


def attempt(ledger: Ledger, ticket: Ticket, price: float = 0.95) -> Attempt:
    return ledger.attempt(ticket, limit_credit=price, at=ticket.decided_at, quote=QUOTE)


def book(ledger: Ledger, ticket: Ticket, update: OrderUpdate, *, over: bool = True) -> OrderStatus:
    """Book what a broker says of an order's first attempt."""
    first = Attempt(ticket=ticket, number=1, contracts=ticket.contracts, limit_credit=0.95, at=ticket.decided_at)
    return ledger.book(first, update, over=over)


def told(ticket: Ticket, state: OrderState, *parts: tuple[int, float]) -> OrderUpdate:
    """Return what a broker says of an attempt of which so many have filled at these credits, for 2 dollars each."""
    traded = [
        Traded(
            contracts=contracts,
            credit=credit,
            fees=2.0 * contracts,
            at=ticket.decided_at + place * dt.timedelta(seconds=30),
        )
        for place, (contracts, credit) in enumerate(parts)
    ]
    return OrderUpdate(state=state, broker_order_id="b-1", traded=Traded.of(traded))


def filled(ticket: Ticket, *, credit: float = 0.88) -> OrderUpdate:
    return told(ticket, OrderState.FILLED, (ticket.contracts, credit))


def opened(ledger: Ledger, ticket: OrderTicket | None = None, *, credit: float = 0.88) -> Position:
    ticket = sent(ledger, ticket)
    book(ledger, ticket, filled(ticket, credit=credit))
    return next(one for one in ledger.open_positions(LATER) if one.entry_order_id == ticket.client_order_id)


def one_row(path: Path, sql: str) -> dict[str, Any]:
    with closing(connect(path)) as connection:
        return dict(connection.execute(sql).fetchone())


def count(path: Path, table: str) -> int:
    return one_row(path, f"SELECT COUNT(*) AS count FROM {table}")["count"]


def order_state(path: Path) -> tuple[str, str | None]:
    row = one_row(path, "SELECT state, reason FROM orders")
    return row["state"], row["reason"]


# --- Entries ----------------------------------------------------------------------------------------------------------


def test_an_intent_is_on_disk_with_all_that_it_says_before_anything_is_sent(path: Path, ledger: Ledger) -> None:
    ticket = reserved(ledger, a_ticket())
    row = one_row(path, "SELECT * FROM orders")
    assert row == row | {
        "client_order_id": ticket.client_order_id,
        "account_id": ACCOUNT,
        "slot": "scan-1",
        "candidate_id": "run.1",
        "purpose": "entry",
        "state": "intent",
        "reason": None,
        "underlying": "SPY",
        "spread_type": "bull_put",
        "expiration": "2026-04-17",
        "short_strike": 540.0,
        "long_strike": 535.0,
        "short_symbol": "SPY260417P00540000",
        "long_symbol": "SPY260417P00535000",
        "contracts": 4,
        "limit_credit": 0.80,
        "decided_at": "2026-03-16T14:03:00.000Z",
        "short_bid": None,
    }


def test_an_order_goes_from_intent_to_sent_to_filled_and_keeps_the_quotes_it_was_decided_on(
    path: Path, ledger: Ledger
) -> None:
    ticket = reserved(ledger, a_ticket())
    assert order_state(path) == ("intent", None)
    attempt(ledger, ticket)
    assert order_state(path) == ("sent", None)
    book(ledger, ticket, filled(ticket))
    assert order_state(path) == ("filled", "filled")
    row = one_row(path, "SELECT * FROM orders")
    assert [row[name] for name in ("short_bid", "short_ask", "long_bid", "long_ask")] == [1.00, 1.10, 0.10, 0.14]
    assert one_row(path, "SELECT order_id, broker_order_id FROM order_attempts") == {
        "order_id": f"{ticket.client_order_id}.1",
        "broker_order_id": "b-1",
    }


def test_an_intent_that_is_not_sent_is_canceled_with_its_reason(path: Path, ledger: Ledger) -> None:
    ticket = reserved(ledger, a_ticket())
    ledger.cancel(ticket.client_order_id, Reason.QUOTE_MOVED, QUOTE)
    assert order_state(path) == ("canceled", "quote_moved")
    assert one_row(path, "SELECT short_bid FROM orders") == {"short_bid": 1.00}
    assert ledger.exposures() == ()


@pytest.mark.parametrize(
    ("update", "reason"),
    [
        (OrderUpdate(state=OrderState.CANCELED, broker_order_id="b", reason=Reason.UNFILLED), "unfilled"),
        (OrderUpdate(state=OrderState.CANCELED, broker_order_id="b"), "unfilled"),
        (OrderUpdate(state=OrderState.REJECTED, broker_order_id="b"), "rejected"),
        (OrderUpdate(state=OrderState.REJECTED, broker_order_id="b", reason=Reason.BUYING_POWER), "buying_power"),
    ],
)
def test_an_order_that_ends_without_a_fill_opens_nothing_and_frees_its_risk(
    path: Path, ledger: Ledger, update: OrderUpdate, reason: str
) -> None:
    book(ledger, sent(ledger), update)
    assert order_state(path) == (update.state.value, reason)
    assert (ledger.exposures(), ledger.open_positions(LATER), count(path, "fills")) == ((), (), 0)


def test_a_fill_opens_the_position_once_with_what_was_filled(path: Path, ledger: Ledger) -> None:
    ticket = sent(ledger)
    book(ledger, ticket, filled(ticket, credit=0.88))
    assert ledger.open_positions(LATER) == (
        Position(
            entry_order_id=ticket.client_order_id,
            spread=ticket.spread,
            contracts=4,
            opened_contracts=4,
            entry_credit=0.88,
            fees=8.0,
            opened_at=DECIDED_AT,
            exit_params=ExitParams(),
        ),
    )
    assert one_row(path, "SELECT contracts, credit, fees, at FROM fills") == {
        "contracts": 4,
        "credit": 0.88,
        "fees": 8.0,
        "at": "2026-03-16T14:03:00.000Z",
    }


def test_booking_what_is_booked_again_changes_nothing_and_another_end_is_refused(path: Path, ledger: Ledger) -> None:
    ticket = sent(ledger)
    for _ in range(3):
        book(ledger, ticket, filled(ticket))
    for other in (told(ticket, OrderState.CANCELED), filled(ticket, credit=0.89), told(ticket, OrderState.ACCEPTED)):
        with pytest.raises(RecordError, match=ticket.client_order_id):
            book(ledger, ticket, other)
    assert (count(path, "fills"), count(path, "positions"), order_state(path)) == (1, 1, ("filled", "filled"))


@pytest.mark.parametrize("state", [OrderState.CANCELED, OrderState.EXPIRED])
def test_contracts_that_traded_before_the_rest_ended_are_a_position(
    path: Path, ledger: Ledger, state: OrderState
) -> None:
    ticket = sent(ledger)
    book(ledger, ticket, told(ticket, state, (3, 0.88)))
    assert order_state(path) == (state.value, "filled")
    assert [position.contracts for position in ledger.open_positions(LATER)] == [3]
    assert ledger.has_filled("run.1")
    assert ledger.reserve(lambda _, entries: (entries, None), slot=ticket.slot)[0] == 1


def test_an_entry_that_fills_in_parts_grows_its_position_and_the_rest_stays_at_risk(path: Path, ledger: Ledger) -> None:
    ticket = sent(ledger, a_ticket(contracts=10, limit_credit=0.80))
    book(ledger, ticket, told(ticket, OrderState.ACCEPTED))
    assert order_state(path) == ("accepted", None)
    assert [(one.contracts, one.pending) for one in ledger.exposures()] == [(10, True)]
    book(ledger, ticket, told(ticket, OrderState.PARTIAL, (1, 0.90)))
    assert order_state(path) == ("partial", None)
    assert [(one.contracts, one.pending) for one in ledger.exposures()] == [(1, False), (9, True)]
    book(ledger, ticket, told(ticket, OrderState.PARTIAL, (1, 0.90), (2, 0.87)))
    [position] = ledger.open_positions(LATER)
    assert (position.contracts, position.entry_credit, position.fees) == (3, pytest.approx(0.88), 6.0)
    assert position.opened_at == DECIDED_AT
    book(ledger, ticket, told(ticket, OrderState.CANCELED, (1, 0.90), (2, 0.87)))
    assert [(one.contracts, one.pending) for one in ledger.exposures()] == [(3, False)]
    assert order_state(path) == ("canceled", "filled")


def test_a_fill_wins_over_a_cancel_that_was_booked(path: Path, ledger: Ledger) -> None:
    ticket = sent(ledger)
    book(ledger, ticket, told(ticket, OrderState.CANCELED, (1, 0.88)))
    book(ledger, ticket, told(ticket, OrderState.FILLED, (1, 0.88), (3, 0.88)))
    assert order_state(path) == ("filled", "filled")
    assert [position.contracts for position in ledger.open_positions(LATER)] == [4]


def test_a_broker_that_forgets_a_fill_is_not_believed(path: Path, ledger: Ledger) -> None:
    ticket = sent(ledger)
    book(ledger, ticket, told(ticket, OrderState.PARTIAL, (1, 0.88)))
    with pytest.raises(
        RecordError,
        match=rf"order {ticket.client_order_id}\.1 is told to have filled 0 contracts, which is not what was booked",
    ):
        book(ledger, ticket, told(ticket, OrderState.CANCELED))
    assert order_state(path) == ("partial", None)


def test_every_price_of_an_order_is_an_attempt_for_what_is_left_and_the_last_cancel_ends_it(
    path: Path, ledger: Ledger
) -> None:
    ticket = reserved(ledger, a_ticket())
    for place, (price, parts) in enumerate(((0.95, ()), (0.93, ((1, 0.93),)), (0.91, ()))):
        at = DECIDED_AT + place * dt.timedelta(seconds=30)
        made = ledger.attempt(ticket, limit_credit=price, at=at, quote=QUOTE)
        ledger.book(made, told(ticket, OrderState.CANCELED, *parts), over=place == 2)
        pending = "accepted" if place == 0 else "partial"
        assert order_state(path) == (("canceled", "filled") if place == 2 else (pending, None))
    with closing(connect(path)) as connection:
        rows = connection.execute("SELECT number, at, contracts, limit_credit, state FROM order_attempts").fetchall()
    assert [tuple(row) for row in rows] == [
        (1, "2026-03-16T14:03:00.000Z", 4, 0.95, "canceled"),
        (2, "2026-03-16T14:03:30.000Z", 4, 0.93, "canceled"),
        (3, "2026-03-16T14:04:00.000Z", 3, 0.91, "canceled"),
    ]
    assert one_row(path, "SELECT number, attempt, contracts FROM fills") == {"number": 1, "attempt": 2, "contracts": 1}


def test_no_attempt_is_made_while_another_may_fill_even_by_hand(path: Path, ledger: Ledger) -> None:
    ticket = sent(ledger)
    for update in (None, told(ticket, OrderState.ACCEPTED), told(ticket, OrderState.PARTIAL, (1, 0.88))):
        if update is not None:
            book(ledger, ticket, update)
        with pytest.raises(RecordError, match="it has not ended"):
            attempt(ledger, ticket)
    with closing(connect(path)) as connection, pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
        connection.execute(
            "INSERT INTO order_attempts (client_order_id, number, order_id, at, contracts, limit_credit, state)"
            " SELECT client_order_id, 2, 'another', at, 1, 0.5, 'sent' FROM order_attempts"
        )


def test_attempts_can_never_fill_more_than_the_order_is_of(path: Path, ledger: Ledger) -> None:
    ticket = sent(ledger)
    book(ledger, ticket, told(ticket, OrderState.CANCELED, (3, 0.88)), over=False)
    second = attempt(ledger, ticket)
    assert (second.number, second.contracts) == (2, 1)
    with pytest.raises(RecordError, match="is of 1 contracts, but told to be filled with 2"):
        ledger.book(second, told(ticket, OrderState.FILLED, (2, 0.88)), over=True)
    with pytest.raises(RecordError, match="is of 4 contracts, but 5 are told to have filled"):
        ledger.book(second, told(ticket, OrderState.CANCELED, (2, 0.88)), over=True)
    assert one_row(path, "SELECT SUM(contracts) AS filled FROM fills") == {"filled": 3}


def test_the_price_of_what_is_new_is_what_makes_the_whole_of_it(path: Path, ledger: Ledger) -> None:
    ticket = sent(ledger)
    book(ledger, ticket, told(ticket, OrderState.PARTIAL, (1, 0.90)))
    book(ledger, ticket, told(ticket, OrderState.FILLED, (1, 0.90), (1, 0.88), (2, 0.87)))
    with closing(connect(path)) as connection:
        fills = [tuple(row) for row in connection.execute("SELECT contracts, credit, fees FROM fills ORDER BY number")]
    assert fills == [(1, 0.90, 2.0), (3, pytest.approx((0.88 + 2 * 0.87) / 3), 6.0)]


def test_an_order_without_a_certain_answer_is_unknown_pending_and_at_risk(path: Path, ledger: Ledger) -> None:
    ticket = reserved(ledger, a_ticket())
    made = attempt(ledger, ticket)
    ledger.mark_unknown(made)
    assert order_state(path) == ("unknown", None)
    assert [(one.contracts, one.pending) for one in ledger.exposures()] == [(4, True)]
    [pending] = ledger.pending()
    assert (pending.state, pending.attempt) == (OrderState.UNKNOWN, made)
    book(ledger, ticket, told(ticket, OrderState.ACCEPTED))
    ledger.mark_unknown(made)  # too late: the broker has told of it
    assert order_state(path) == ("accepted", None)


def test_what_is_abandoned_holds_what_it_had_filled(path: Path, ledger: Ledger) -> None:
    ticket = sent(ledger)
    book(ledger, ticket, told(ticket, OrderState.CANCELED, (1, 0.88)), over=False)
    ledger.abandon(ticket.client_order_id)
    assert order_state(path) == ("canceled", "filled")
    other = sent(ledger, a_ticket(slot="scan-2"))
    ledger.abandon(other.client_order_id)
    assert ledger.status(other.client_order_id).reason is Reason.ABANDONED
    assert [(one.contracts, one.pending) for one in ledger.exposures()] == [(1, False)]


def test_a_refusal_is_kept_in_the_brokers_own_words(path: Path, ledger: Ledger) -> None:
    words = "insufficient options buying power"
    update = OrderUpdate(state=OrderState.REJECTED, broker_order_id="b", detail=words)
    status = book(ledger, sent(ledger), update)
    assert (status.state, status.reason, status.detail) == (OrderState.REJECTED, Reason.REJECTED, words)
    assert one_row(path, "SELECT detail FROM orders") == {"detail": words}


def test_a_filled_order_without_a_fill_cannot_be_said() -> None:
    with pytest.raises(ValidationError, match="is filled, but has no fill"):
        OrderUpdate(state=OrderState.FILLED, broker_order_id="b")
    with pytest.raises(ValidationError, match="which no broker can say"):
        OrderUpdate(state=OrderState.UNKNOWN, broker_order_id="b")


@pytest.mark.parametrize("state", ["unknown", "intent", "sent", "filled", "canceled"])
def test_every_step_out_of_order_is_refused(path: Path, ledger: Ledger, state: str) -> None:
    ticket = a_ticket()
    if state != "unknown":
        reserved(ledger, ticket)
    if state in {"sent", "filled"}:
        attempt(ledger, ticket)
    if state == "filled":
        book(ledger, ticket, filled(ticket))
    if state == "canceled":
        ledger.cancel(ticket.client_order_id, Reason.NO_QUOTE, None)
    steps = {
        "attempt": lambda: attempt(ledger, ticket),
        "cancel": lambda: ledger.cancel(ticket.client_order_id, Reason.NO_QUOTE, None),
        "book": lambda: book(
            ledger, ticket, told(ticket, OrderState.ACCEPTED) if state != "filled" else filled(ticket)
        ),
    }
    allowed = {"intent": {"attempt", "cancel"}, "sent": {"book"}, "filled": {"book"}, "canceled": set()}
    for name in steps.keys() - allowed.get(state, set()):
        with pytest.raises(RecordError, match=ticket.client_order_id):
            steps[name]()
    assert count(path, "positions") == (state == "filled")


def test_the_same_order_cannot_be_reserved_twice(path: Path, ledger: Ledger) -> None:
    reserved(ledger, a_ticket())
    with pytest.raises(RecordError, match=r"orders\.client_order_id"):
        reserved(ledger, a_ticket(contracts=1))
    assert one_row(path, "SELECT COUNT(*) AS orders, SUM(contracts) AS contracts FROM orders") == {
        "orders": 1,
        "contracts": 4,
    }


def test_an_order_for_a_candidate_that_is_not_recorded_is_refused(path: Path, ledger: Ledger) -> None:
    with pytest.raises(RecordError, match="FOREIGN KEY"):
        reserved(ledger, a_ticket(candidate_id="run.99"))
    assert count(path, "orders") == 0


# --- Exposures --------------------------------------------------------------------------------------------------------


def test_a_pending_order_counts_at_its_worst_limit_and_a_position_at_its_filled_credit(ledger: Ledger) -> None:
    ticket = reserved(ledger, a_ticket(limit_credit=0.80))
    pending = Exposure(
        underlying="SPY",
        spread_type=SpreadType.BULL_PUT,
        expiration=ticket.spread.expiration,
        contracts=4,
        max_loss_dollars=ticket.spread.max_loss_dollars(0.80),
        pending=True,
        short_symbol=ticket.spread.short_symbol,
        long_symbol=ticket.spread.long_symbol,
    )
    assert pending.risk_dollars == pytest.approx(1_680)
    assert ledger.exposures() == (pending,)
    attempt(ledger, ticket)
    assert ledger.exposures() == (pending,)
    book(ledger, ticket, filled(ticket, credit=0.88))
    held = {"max_loss_dollars": ticket.spread.max_loss_dollars(0.88), "pending": False}
    assert ledger.exposures() == (pending.model_copy(update=held),)


def test_another_account_in_the_same_file_is_another_book(path: Path, ledger: Ledger) -> None:
    opened(ledger)
    reserved(ledger, a_ticket(a_spread("QQQ"), candidate_id="run.2"))
    with Ledger(path, "another") as other:
        assert (other.exposures(), other.open_positions(LATER)) == ((), ())
        assert other.last_traded_as_of() is None
        assert other.reserve(lambda exposures, entries: ((exposures, entries), None), slot="scan-1")[0] == ((), 0)
    assert len(ledger.exposures()) == 2


def test_entries_of_a_slot_are_those_pending_or_filled(ledger: Ledger) -> None:
    def entries(slot: str) -> int:
        return ledger.reserve(lambda _, entries: (entries, None), slot=slot)[0]

    assert entries("scan-1") == 0
    first = reserved(ledger, a_ticket())
    assert entries("scan-1") == 1
    opened(ledger, a_ticket(a_spread("QQQ")))
    assert entries("scan-1") == 2
    ledger.cancel(first.client_order_id, Reason.NO_QUOTE, None)
    assert (entries("scan-1"), entries("scan-2")) == (1, 0)


def test_the_last_snapshot_that_the_account_traded_on_is_known(path: Path, ledger: Ledger) -> None:
    assert ledger.last_traded_as_of() is None
    record_candidates(path, "late.1", run_id="late", as_of="2026-03-17")
    record_candidates(path, "untraded.1", run_id="untraded", as_of="2026-03-18")
    reserved(ledger, a_ticket(candidate_id="late.1", slot="late"))
    reserved(ledger, a_ticket(candidate_id="run.1"))
    latest = ledger.last_traded_as_of()
    assert latest is not None
    assert latest.isoformat() == "2026-03-17T14:00:00+00:00"


# --- Reserving --------------------------------------------------------------------------------------------------------


def sized_ticket(spread: Spread, rank: int, exposures: tuple[Exposure, ...]) -> tuple[Sizing, OrderTicket | None]:
    sizing = size(
        spread=spread,
        limit_credit=0.80,
        account=make_account(),
        exposures=exposures,
        limits=RiskLimits(max_risk_per_trade_pct=0.05),  # 11 contracts: four of them are 18,480 dollars
        trades_left=99,
        multiplier=SizeMultiplier(),
    )
    ticket = a_ticket(spread, contracts=sizing.contracts, candidate_id=f"run.{rank}") if sizing.contracts else None
    return sizing, ticket


SPREADS = [
    a_spread(underlying, spread_type=spread_type)
    for underlying in ("SPY", "QQQ", "TLT", "GLD")
    for spread_type in SpreadType
]


def test_a_reservation_is_decided_on_the_risk_of_that_moment(ledger: Ledger) -> None:
    contracts = []
    for rank, spread in enumerate(SPREADS, 1):
        sizing = ledger.reserve(
            lambda exposures, _, s=spread, r=rank: sized_ticket(s, r, exposures), slot="scan-1"
        ).reasons
        contracts.append((sizing.contracts, sizing.binding))
    full = (0, Reason.MAX_PORTFOLIO_HEAT)
    assert contracts[:4] == [(11, Reason.MAX_RISK_PER_TRADE)] * 4
    assert contracts[4:] == [(3, Reason.MAX_PORTFOLIO_HEAT), full, full, full]


def test_a_decision_that_raises_reserves_nothing_and_lets_the_next_one_in(path: Path, ledger: Ledger) -> None:
    def decide(*_: object) -> tuple[None, OrderTicket]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        ledger.reserve(decide, slot="scan-1")
    assert count(path, "orders") == 0
    with Ledger(path, ACCOUNT) as other:
        reserved(other, a_ticket())
    reserved(ledger, a_ticket(a_spread("QQQ")))


def test_ledgers_in_threads_cannot_exceed_the_heat_together(path: Path) -> None:
    barrier = threading.Barrier(len(SPREADS))

    def reserve(rank: int) -> None:
        with Ledger(path, ACCOUNT) as mine:
            barrier.wait()
            mine.reserve(lambda exposures, _: sized_ticket(SPREADS[rank - 1], rank, exposures), slot="scan-1")

    with ThreadPoolExecutor(len(SPREADS)) as pool:
        list(pool.map(reserve, range(1, len(SPREADS) + 1)))
    assert_full_but_not_over(path)


def test_ledgers_in_processes_cannot_exceed_the_heat_together(path: Path) -> None:
    fork = multiprocessing.get_context("fork")
    barrier = fork.Barrier(len(SPREADS))

    def reserve(rank: int) -> None:
        with Ledger(path, ACCOUNT) as mine:
            barrier.wait()
            mine.reserve(lambda exposures, _: sized_ticket(SPREADS[rank - 1], rank, exposures), slot="scan-1")

    processes = [fork.Process(target=reserve, args=(rank,)) for rank in range(1, len(SPREADS) + 1)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * len(SPREADS)
    assert_full_but_not_over(path)


def assert_full_but_not_over(path: Path) -> None:
    """Assert that 20,000 dollars of heat hold 47 contracts of 420 dollars and that they are all taken."""
    with Ledger(path, ACCOUNT) as ledger:
        exposures = ledger.exposures()
    assert sum(one.contracts for one in exposures) == 47
    assert sum(one.risk_dollars for one in exposures) <= 20_000


# --- Exits ------------------------------------------------------------------------------------------------------------


def intended(ledger: Ledger, position: Position, **choices: Any) -> ClosingTicket:
    return ledger.intend_close(position, lambda _attempt: a_closing_ticket(position, limit_debit=0.40, **choices))


def closing_sent(ledger: Ledger, position: Position, **choices: Any) -> ClosingTicket:
    ticket = intended(ledger, position, **choices)
    attempt(ledger, ticket)
    return ticket


def outcomes(path: Path) -> list[tuple[Any, ...]]:
    """Return number, rule, contracts, debit, fees and P&L of every outcome."""
    columns = "number, rule, contracts, exit_debit, fees, pnl_dollars"
    with closing(connect(path)) as connection:
        return [tuple(row) for row in connection.execute(f"SELECT {columns} FROM outcomes ORDER BY rowid")]


def test_a_filled_exit_closes_the_position_and_makes_its_outcome_from_fills_and_fees(
    path: Path, ledger: Ledger
) -> None:
    position = opened(ledger, credit=0.88)
    ticket = intended(ledger, position)
    assert len(ledger.exposures()) == 1  # it is at risk until it is closed
    attempt(ledger, ticket)
    for _ in range(2):
        book(ledger, ticket, filled(ticket, credit=-0.31))
    assert (ledger.open_positions(LATER), ledger.exposures()) == ((), ())
    assert ledger.position(position.entry_order_id).contracts == 0
    assert one_row(path, "SELECT * FROM outcomes") == {
        "entry_order_id": position.entry_order_id,
        "number": 1,
        "exit_order_id": ticket.client_order_id,
        "rule": "profit_target",
        "contracts": 4,
        "closed_at": "2026-03-16T15:03:00.000Z",
        "exit_debit": 0.31,
        "fees": 16.0,
        "pnl_dollars": 212.0,  # (0.88 - 0.31) x 100 x 4 - 16, and not the limit of 0.40
    }
    assert count(path, "outcomes") == 1


def test_a_position_is_closed_by_one_order_at_a_time_and_only_once(path: Path, ledger: Ledger) -> None:
    position = opened(ledger)
    first = closing_sent(ledger, position)
    with pytest.raises(RecordError, match="cannot be closed now: an order to close it is pending"):
        intended(ledger, position, slot="monitor-2")
    book(ledger, first, told(first, OrderState.CANCELED))
    assert len(ledger.open_positions(LATER)) == 1
    second = closing_sent(ledger, position, slot="monitor-2")
    book(ledger, second, filled(second, credit=-0.50))
    with pytest.raises(RecordError, match="has 0 contracts open now, not 4"):
        intended(ledger, position, slot="monitor-3")
    assert count(path, "outcomes") == 1


def test_what_was_decided_on_contracts_that_another_process_has_closed_is_not_ordered(ledger: Ledger) -> None:
    as_read = opened(ledger)
    first = closing_sent(ledger, as_read, contracts=2)
    book(ledger, first, filled(first, credit=-0.31))
    with pytest.raises(RecordError, match="has 2 contracts open now, not 4: another process has closed some"):
        intended(ledger, as_read, slot="monitor-2", contracts=2)
    assert [one.contracts for one in ledger.open_positions(LATER)] == [2]


def test_attempts_count_the_closing_orders_of_the_position(ledger: Ledger) -> None:
    position, attempts = opened(ledger), list[int]()
    for slot in ("monitor-1", "monitor-2", "monitor-3"):

        def write(attempt: int, slot: str = slot) -> ClosingTicket:
            attempts.append(attempt)
            return a_closing_ticket(position, limit_debit=0.40, slot=slot)

        ticket = ledger.intend_close(position, write)
        ledger.cancel(ticket.client_order_id, Reason.NO_QUOTE, None)
    assert attempts == [1, 2, 3]


def test_more_contracts_than_are_open_cannot_be_closed(path: Path, ledger: Ledger) -> None:
    position = opened(ledger)
    with pytest.raises(RecordError, match="has 4 contracts open, so 5 cannot be closed"):
        intended(ledger, position, contracts=5)
    assert count(path, "orders") == 1


def test_ten_contracts_closed_by_fives_are_two_outcomes_whose_fees_add_up(path: Path, ledger: Ledger) -> None:
    ticket = sent(ledger, a_ticket(contracts=10))
    parts = [
        Traded(contracts=contracts, credit=credit, fees=fees, at=DECIDED_AT)
        for contracts, credit, fees in ((3, 0.88, 6.01), (7, 0.90, 14.02))
    ]
    for state, traded in ((OrderState.PARTIAL, parts[:1]), (OrderState.FILLED, parts)):
        book(ledger, ticket, OrderUpdate(state=state, broker_order_id="b", traded=Traded.of(traded)))
    open_contracts = []
    for slot, debit in (("monitor-1", 0.30), ("monitor-2", 0.10)):
        [position] = ledger.open_positions(LATER)
        closing_ticket = closing_sent(ledger, position, slot=slot, contracts=5)
        book(ledger, closing_ticket, filled(closing_ticket, credit=-debit))
        open_contracts.append(ledger.position(ticket.client_order_id).contracts)
    assert open_contracts == [5, 0]
    (_, _, _, _, fees_1, pnl_1), (_, _, _, _, fees_2, pnl_2) = outcomes(path)
    assert (fees_1, fees_2) == (20.01, 20.02)  # 6.01 + 4.00 + 10, and the 10.02 left of 14.02 + 10
    assert (pnl_1, pnl_2) == (273.99, 379.98)  # 264 + 180 - 150 - 20.01, and 450 - 50 - 20.02
    assert pnl_1 + pnl_2 == pytest.approx(3 * 88 + 7 * 90 - 5 * 30 - 5 * 10 - 20.03 - 20)


def test_a_part_that_was_closed_before_the_order_was_canceled_is_booked_and_the_rest_stays_open(
    path: Path, ledger: Ledger
) -> None:
    position = opened(ledger)
    ticket = closing_sent(ledger, position)
    book(ledger, ticket, told(ticket, OrderState.PARTIAL, (1, -0.31)))
    assert outcomes(path) == []  # it is not over
    assert [one.contracts for one in ledger.exposures()] == [3]
    book(ledger, ticket, told(ticket, OrderState.CANCELED, (1, -0.31)))
    assert outcomes(path) == [(1, "profit_target", 1, 0.31, 4.0, 53.0)]
    [left] = ledger.open_positions(LATER)
    assert (left.contracts, left.opened_contracts, left.fees) == (3, 4, 8.0)


def test_a_fill_told_after_the_exit_was_booked_as_canceled_has_an_outcome_of_its_own(
    path: Path, ledger: Ledger
) -> None:
    ticket = closing_sent(ledger, opened(ledger))
    book(ledger, ticket, told(ticket, OrderState.CANCELED, (1, -0.31)))
    for _ in range(2):
        book(ledger, ticket, told(ticket, OrderState.FILLED, (1, -0.31), (3, -0.30)))
    assert outcomes(path) == [(1, "profit_target", 1, 0.31, 4.0, 53.0), (2, "profit_target", 3, 0.30, 12.0, 162.0)]
    assert ledger.open_positions(LATER) == ()


def test_more_fills_of_an_exit_than_the_position_has_open_are_refused(path: Path, ledger: Ledger) -> None:
    ticket = closing_sent(ledger, opened(ledger))
    with pytest.raises(RecordError, match="is of 4 contracts, but told to be filled with 5"):
        book(ledger, ticket, told(ticket, OrderState.FILLED, (5, -0.31)))
    assert (count(path, "fills"), outcomes(path)) == (1, [])


# --- Settlements ------------------------------------------------------------------------------------------------------

SETTLED = Settlement(at=LATER, underlying_price=537.5, debit=2.50, expiry=Expiry.BETWEEN_STRIKES)


def test_expiry_closes_what_is_open_once_without_a_fee(path: Path, ledger: Ledger) -> None:
    position = opened(ledger)
    ticket = closing_sent(ledger, position, contracts=1)
    with pytest.raises(RecordError, match="an order to close it is pending"):
        ledger.book_settlement(position, SETTLED)
    book(ledger, ticket, filled(ticket, credit=-0.31))
    for _ in range(2):
        ledger.book_settlement(position, SETTLED)
    assert outcomes(path) == [
        (1, "profit_target", 1, 0.31, 4.0, 53.0),
        (2, "expired_between_strikes", 3, 2.50, 6.0, -492.0),  # (0.88 - 2.50) x 300 - 6
    ]
    assert one_row(path, "SELECT exit_order_id FROM outcomes WHERE number = 2") == {"exit_order_id": None}
    assert (ledger.open_positions(LATER), ledger.exposures()) == ((), ())


# --- Order ids --------------------------------------------------------------------------------------------------------


@given(
    account_id=st.text(max_size=60),
    slot=st.text(max_size=60),
    short=st.integers(20_000, 99_999_000).map(lambda thousandths: thousandths / 1000),
    attempt=st.integers(1, 99),
)
def test_an_order_id_is_the_same_for_the_same_order_fits_the_broker_and_differs_for_any_other(
    account_id: str, slot: str, short: float, attempt: int
) -> None:
    order = {"account_id": account_id, "slot": slot, "spread": a_spread(short=short), "purpose": "entry"}
    first = client_order_id(**order, attempt=attempt)
    assert first == client_order_id(**order, attempt=attempt)
    assert len(first) <= 45
    assert len(attempt_id(first, 99)) <= 48
    assert first.startswith("SPY-20260417-P-")
    others = [
        client_order_id(**order, attempt=attempt + 1),
        client_order_id(**order | {"slot": slot + "x"}, attempt=attempt),
        client_order_id(**order | {"account_id": account_id + "x"}, attempt=attempt),
        client_order_id(**order | {"purpose": "exit"}, attempt=attempt),
        client_order_id(**order | {"spread": a_spread(short=short + 0.001)}, attempt=attempt),
    ]
    assert len({first, *others}) == 6
