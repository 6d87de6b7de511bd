"""The broker's account held against the ledger: what is recorded, what bars entries, and until when."""

import asyncio
import datetime as dt
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from trading_builders import DECIDED_AT, LATER, a_closing_ticket, a_spread, a_ticket, record_candidates

from mahler_agents.errors import BrokerError, MarketError, RecordError
from mahler_agents.execution import (
    BrokerBook,
    BrokerCheck,
    Ledger,
    OrderState,
    OrderTicket,
    OrderUpdate,
    Traded,
    TradingState,
    TradingStates,
    check_broker,
)
from mahler_agents.execution.orders import BrokerOrder
from mahler_agents.execution.trading_state import Change
from mahler_agents.execution.working import Present, as_planned
from mahler_agents.record import open_database
from mahler_agents.record.trading_state import halt_file
from mahler_agents.types import Reason, Spread

ACCOUNT = "paper-quoted-test"
SPY, QQQ = a_spread(), a_spread("QQQ")
ACTIVE, REDUCING, HALTED = TradingState
LAG = dt.timedelta(seconds=10)


@dataclass
class Books:
    """A broker of which only the account can be read, as the test writes it; nothing can be sent to it."""

    name = "books"
    host = "embedded"
    account_id = ACCOUNT
    held: dict[str, int] = field(default_factory=dict[str, int])
    open_orders: tuple[BrokerOrder, ...] = ()
    down: Exception | None = None
    lags_until: dt.datetime = DECIDED_AT
    """Until then `lagging` is what is told as held."""
    lagging: dict[str, int] = field(default_factory=dict[str, int])
    read_at: list[dt.datetime] = field(default_factory=list[dt.datetime])

    async def positions(self, at: dt.datetime) -> Mapping[str, int]:
        assert at.tzinfo is not None
        self.read_at.append(at)
        if at < self.lags_until:
            return dict(self.lagging)
        if self.down is not None:
            raise self.down
        return dict(self.held)

    async def working(self, at: dt.datetime) -> tuple[BrokerOrder, ...]:
        assert at.tzinfo is not None
        return self.open_orders

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"a check asked the broker for {name}")

    def hold(self, spread: Spread, contracts: int) -> None:
        """Hold so many contracts of a spread."""
        self.held |= {spread.short_symbol: -contracts, spread.long_symbol: contracts}


class Account:
    """A ledger, what is known of its broker, and a broker."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.broker = Books()
        self.ledger = Ledger(path, ACCOUNT)
        self.book = BrokerBook(path, ACCOUNT)
        self.states = TradingStates(path)
        self.waited: list[dt.datetime] = []

    def close(self) -> None:
        for one in (self.ledger, self.book, self.states):
            one.__exit__(None, None, None)

    def check(self, at: dt.datetime = LATER, present: Present = as_planned) -> BrokerCheck:
        return asyncio.run(check_broker(self.broker, self.book, at=at, wait=self.wait, lag=LAG, present=present))  # type: ignore[arg-type] - the part that is asked

    def un_halt(self) -> None:
        """Let the desk open positions again, as the user does who has seen what differs."""
        self.states.release(self.states.standing(), Change(state=ACTIVE, reason="seen", by="user ana", at="2026"))

    async def wait(self, instant: dt.datetime) -> None:
        self.waited.append(instant)

    def reserve(self, spread: Spread, *, slot: str = "scan-1", candidate: int = 1) -> OrderTicket | Reason:
        """Try to reserve an entry: return its ticket, or why not."""
        ticket = a_ticket(spread, slot=slot, candidate_id=f"run.{candidate}")
        reservation = self.ledger.reserve(lambda *_: ("sized", ticket), slot=slot)
        assert reservation.reasons == "sized"
        assert (reservation.ticket is None) is (reservation.barred is not None)
        return reservation.barred or ticket

    def open(self, spread: Spread, contracts: int = 4) -> None:
        """Put an open position into the ledger, with its filled entry."""
        ticket = self.reserve(spread, slot="held")
        assert isinstance(ticket, OrderTicket)
        ticket_id = ticket.client_order_id
        with closing(sqlite3.connect(self.path)) as connection, connection:
            connection.execute("UPDATE orders SET state = 'filled', reason = 'filled', contracts = ?", (contracts,))
            connection.execute(
                "INSERT INTO positions (entry_order_id, account_id, state, underlying, spread_type, expiration,"
                " short_strike, long_strike, short_symbol, long_symbol, contracts, entry_credit, fees, opened_at,"
                " exit_params, closed_contracts) SELECT client_order_id, account_id, 'open', underlying, spread_type,"
                " expiration, short_strike, long_strike, short_symbol, long_symbol, contracts, 0.8, 4, decided_at,"
                " exit_params, 0 FROM orders WHERE client_order_id = ?",
                (ticket_id,),
            )

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.path)) as connection:
            return connection.execute(sql).fetchall()

    def standing(self) -> list[tuple[Any, ...]]:
        return self.rows("SELECT kind, item, underlying FROM broker_differences WHERE gone_at IS NULL ORDER BY item")


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Account]:
    path = open_database(tmp_path / "mahler.db", create=True)
    record_candidates(path, *(f"run.{rank}" for rank in range(1, 10)))
    with closing(Account(path)) as account:
        yield account


# --- What is external -------------------------------------------------------------------------------------------------


def test_an_account_that_agrees_bars_nothing(account: Account) -> None:
    account.open(SPY)
    account.broker.hold(SPY, 4)
    assert account.check().agrees
    assert isinstance(account.reserve(QQQ), OrderTicket)


@pytest.mark.parametrize("symbol", ["SPY", a_spread(short=500.0).short_symbol], ids=["shares", "option"])
def test_what_is_not_ours_blocks_its_underlying_alone_until_it_is_gone(account: Account, symbol: str) -> None:
    account.broker.held[symbol] = -3
    assert [one.item for one in account.check().differences] == [symbol]
    assert account.standing() == [("external", symbol, "SPY")]
    assert account.reserve(SPY) is Reason.EXTERNAL_POSITION
    assert isinstance(account.reserve(QQQ), OrderTicket)
    assert account.states.standing().active
    del account.broker.held[symbol]
    assert account.check().agrees
    assert account.standing() == []
    assert isinstance(account.reserve(SPY, candidate=2), OrderTicket)


def test_its_history_is_kept_and_told_once(account: Account) -> None:
    account.broker.held["SPY"] = 100
    first, second = account.check(LATER), account.check(LATER + dt.timedelta(minutes=5))
    account.broker.held["SPY"] = 200
    more = account.check(LATER + dt.timedelta(minutes=10))
    account.broker.held.clear()
    gone, quiet = account.check(LATER + dt.timedelta(minutes=15)), account.check(LATER + dt.timedelta(minutes=20))
    assert [len(one.news) for one in (first, second, more, gone, quiet)] == [1, 0, 1, 1, 0]
    [row] = account.rows("SELECT item, at_broker, first_seen_at, last_seen_at, gone_at FROM broker_differences")
    assert row[:2] == ("SPY", 200)
    assert row[2] < row[3] < row[4]


def test_another_account_s_differences_are_not_ours(account: Account) -> None:
    account.broker.held["SPY"] = 100
    account.check()
    with Ledger(account.path, "another") as other:
        ticket = a_ticket(SPY, account_id="another", slot="x")
        assert other.reserve(lambda *_: (None, ticket), slot="x").ticket == ticket


# --- Broken legs ------------------------------------------------------------------------------------------------------


def test_a_missing_leg_makes_the_state_reducing_with_its_reason(account: Account) -> None:
    account.open(SPY)
    account.broker.hold(SPY, 4)
    del account.broker.held[SPY.long_symbol]
    check = account.check()
    assert check.broken
    standing = account.states.standing()
    assert (standing.state, standing.by) == (REDUCING, "reconcile")
    assert SPY.long_symbol in standing.reason
    assert account.reserve(QQQ) is Reason.REDUCING


def test_reducing_stays_when_the_leg_is_back_until_somebody_un_halts(account: Account) -> None:
    account.open(SPY)
    account.check()
    account.broker.hold(SPY, 4)
    assert account.check().agrees
    assert account.states.standing().state is REDUCING
    account.states.release(account.states.standing(), Change(state=ACTIVE, reason="", by="user ana", at="2026"))
    assert isinstance(account.reserve(QQQ), OrderTicket)


def test_an_un_halted_desk_with_a_leg_still_missing_opens_in_other_underlyings_only(account: Account) -> None:
    account.open(SPY)
    account.check()
    account.states.release(account.states.standing(), Change(state=ACTIVE, reason="", by="user ana", at="2026"))
    check = account.check()
    assert not check.broken
    assert not check.agrees
    assert account.states.standing().active
    assert account.reserve(SPY) is Reason.BROKEN_LEG
    assert isinstance(account.reserve(QQQ), OrderTicket)


def test_more_of_the_leg_missing_than_was_known_reduces_again(account: Account) -> None:
    account.open(SPY)
    account.broker.hold(SPY, 3)
    account.check()
    account.states.release(account.states.standing(), Change(state=ACTIVE, reason="", by="user ana", at="2026"))
    account.broker.hold(SPY, 2)
    assert account.check().broken
    assert account.states.standing().state is REDUCING


def test_contracts_that_leave_ledger_and_broker_alike_reduce_nothing_again_and_a_growing_gap_does(
    account: Account,
) -> None:
    account.open(SPY)
    account.broker.held = {SPY.short_symbol: -3, SPY.long_symbol: 4}
    assert account.check().broken
    account.un_halt()
    with closing(sqlite3.connect(account.path)) as connection, connection:
        connection.execute("UPDATE positions SET closed_contracts = 2")
    account.broker.held = {SPY.short_symbol: -1, SPY.long_symbol: 2}
    check = account.check()
    assert not check.broken
    assert account.states.standing().active
    assert account.standing() == [("missing", SPY.short_symbol, "SPY")]
    assert account.reserve(SPY) is Reason.BROKEN_LEG
    account.broker.held = {SPY.long_symbol: 2}
    assert account.check().broken
    assert account.states.standing().state is REDUCING


def test_a_gap_that_is_put_right_in_part_is_news_and_no_alarm(account: Account) -> None:
    account.open(SPY)
    account.broker.hold(SPY, 2)
    account.check()
    account.un_halt()
    account.broker.hold(SPY, 3)
    check = account.check()
    assert len(check.news) == 2
    assert not check.broken
    assert account.states.standing().active
    account.broker.hold(SPY, 2)
    assert account.check().broken, "more is missing than was told last"


def test_a_missing_leg_leaves_a_halt_a_halt(account: Account) -> None:
    account.open(SPY)
    account.states.note(Change(state=HALTED, reason="mine", by="user ana", at="2026"))
    account.check()
    assert (account.states.standing().state, account.states.standing().reason) == (HALTED, "mine")


def test_an_assignment_is_both_a_broken_leg_and_external_shares(account: Account) -> None:
    account.open(SPY)
    account.broker.held |= {SPY.long_symbol: 4, "SPY": 400}
    account.check()
    assert account.standing() == [("external", "SPY", "SPY"), ("missing", SPY.short_symbol, "SPY")]
    account.states.release(account.states.standing(), Change(state=ACTIVE, reason="", by="user ana", at="2026"))
    assert account.reserve(SPY) is Reason.BROKEN_LEG, "the graver of the two reasons"


# --- Positions that lag -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("leg", [SPY.short_symbol, SPY.long_symbol])
def test_a_leg_that_only_lags_is_no_broken_leg(account: Account, leg: str) -> None:
    account.open(SPY)
    account.broker.hold(SPY, 4)
    account.broker.lagging = {symbol: held for symbol, held in account.broker.held.items() if symbol != leg}
    account.broker.lags_until = LATER + LAG
    check = account.check()
    assert check.agrees
    assert check.missing == {}
    assert account.waited == [LATER + LAG]
    assert account.states.standing().active
    assert account.rows("SELECT * FROM broker_differences") == []


@pytest.mark.parametrize("minutes", [0, 1, 5])
def test_the_second_reading_comes_the_whole_lag_after_the_first_however_late_that_one_is(
    account: Account, minutes: int
) -> None:
    account.open(SPY)
    account.broker.hold(SPY, 4)
    first = LATER + dt.timedelta(minutes=minutes)
    account.broker.lags_until = first + LAG
    assert account.check(LATER, lambda planned: max(planned, first)).agrees
    assert account.waited == [first + LAG]
    assert account.states.standing().active


def test_what_was_closed_and_lags_is_not_external(account: Account) -> None:
    account.broker.lagging = {SPY.short_symbol: -4, SPY.long_symbol: 4}
    account.broker.lags_until = LATER + LAG
    assert account.check().agrees
    assert isinstance(account.reserve(SPY), OrderTicket)


def test_a_leg_that_is_missing_in_both_readings_is_believed_and_not_read_twice_again(account: Account) -> None:
    account.open(SPY)
    assert account.check().broken
    assert account.broker.read_at == [LATER, LATER + LAG]
    assert account.states.standing().state is REDUCING
    account.check(LATER + dt.timedelta(minutes=5))
    assert len(account.broker.read_at) == 3
    account.broker.held["SPY"] = 100
    account.check(LATER + dt.timedelta(minutes=10))
    assert len(account.broker.read_at) == 5, "what is new is read again"


def test_a_broker_that_cannot_be_read_the_second_time_bars_entries_and_nothing_is_believed(account: Account) -> None:
    account.open(SPY)

    async def wait(instant: dt.datetime) -> None:
        assert instant == LATER + LAG
        account.broker.down = BrokerError("reset")

    account.wait = wait  # type: ignore[method-assign] - the broker goes down meanwhile
    assert account.check().error == "reset"
    assert account.states.standing().active
    assert account.standing() == []
    assert account.reserve(QQQ) is Reason.BROKER_UNREADABLE


def test_a_leg_known_to_be_missing_stays_so_while_the_broker_cannot_be_read(account: Account) -> None:
    account.open(SPY)
    account.broker.hold(SPY, 1)
    known = account.check().missing
    assert known == {SPY.short_symbol: -1, SPY.long_symbol: 1}
    account.broker.down = BrokerError("reset")
    assert account.check().missing == known


# --- Pending orders ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("filled", range(5))
def test_what_a_pending_entry_may_have_filled_is_not_external(account: Account, filled: int) -> None:
    ticket = account.reserve(SPY)
    assert isinstance(ticket, OrderTicket)
    assert account.ledger.attempt(ticket, limit_credit=0.9, at=DECIDED_AT) is not None
    account.broker.hold(SPY, filled)
    check = account.check()
    assert check.agrees
    assert len(check.explained) == (2 if filled else 0)
    assert account.standing() == []


def test_a_foreign_order_is_told_and_recorded_and_bars_nothing(account: Account) -> None:
    account.broker.open_orders = (BrokerOrder(order_id="", broker_order_id="b-9", symbols=("SPY",)),)
    [told] = account.check().differences
    assert "b-9" in told.text
    assert "SPY" in told.text
    assert account.standing() == [("order", "b-9", None)]
    assert isinstance(account.reserve(SPY), OrderTicket)


@pytest.mark.parametrize(("suffix", "ours"), [("", True), (".1", True), (".17", True), (".x.1", False), ("x", False)])
def test_an_attempt_of_a_pending_order_is_ours(account: Account, suffix: str, *, ours: bool) -> None:
    ticket = account.reserve(SPY)
    assert isinstance(ticket, OrderTicket)
    order = BrokerOrder(order_id=f"{ticket.client_order_id}{suffix}", broker_order_id="b-1", symbols=("SPY",))
    account.broker.open_orders = (order,)
    assert account.check().agrees is ours


def test_an_order_that_the_ledger_has_as_ended_is_told_if_it_works_still(account: Account) -> None:
    ticket = account.reserve(SPY)
    assert isinstance(ticket, OrderTicket)
    account.ledger.cancel(ticket.client_order_id, Reason.NO_QUOTE, None)
    account.broker.open_orders = (
        BrokerOrder(order_id=f"{ticket.client_order_id}.1", broker_order_id="b-1", symbols=("SPY",)),
    )
    assert not account.check().agrees


# --- A broker that cannot be read -------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [BrokerError("no answer in 10 s"), MarketError("no price")])
def test_nothing_is_opened_while_the_broker_cannot_be_read_and_all_of_it_again_once_it_can(
    account: Account, error: Exception
) -> None:
    account.broker.down = error
    assert account.check().error == str(error)
    assert account.reserve(SPY) is Reason.BROKER_UNREADABLE
    account.broker.down = None
    assert account.check().agrees
    assert isinstance(account.reserve(SPY, candidate=2), OrderTicket)


def test_what_differed_before_stands_while_the_broker_cannot_be_read(account: Account) -> None:
    account.broker.held["SPY"] = 100
    account.check()
    account.broker.down = BrokerError("reset")
    account.check()
    assert account.standing() == [("external", "SPY", "SPY")]


def test_a_record_that_cannot_be_read_is_an_error_not_a_finding(account: Account) -> None:
    with closing(sqlite3.connect(account.path)) as connection:
        connection.execute("DROP TABLE broker_differences")
    with pytest.raises(RecordError):
        account.check()
    with pytest.raises(RecordError):
        account.reserve(SPY)
    assert account.rows("SELECT * FROM orders") == []


# --- The strictest reason ---------------------------------------------------------------------------------------------


def test_a_halt_by_another_process_stops_the_next_reservation(account: Account) -> None:
    assert isinstance(account.reserve(SPY), OrderTicket)
    halt_file(account.path).touch()
    assert account.reserve(QQQ, candidate=2) is Reason.KILL_SWITCH
    halt_file(account.path).unlink()
    assert isinstance(account.reserve(QQQ, candidate=2), OrderTicket)


def test_an_entry_that_is_reserved_and_not_sent_yet_is_not_sent_after_a_halt(account: Account) -> None:
    ticket = account.reserve(SPY)
    assert isinstance(ticket, OrderTicket)
    halt_file(account.path).touch()
    assert account.ledger.attempt(ticket, limit_credit=0.9, at=DECIDED_AT) is None
    status = account.ledger.status(ticket.client_order_id)
    assert (status.ended, status.reason) == (True, Reason.KILL_SWITCH)
    assert account.rows("SELECT * FROM order_attempts") == []
    assert account.ledger.exposures() == ()


def test_an_entry_at_work_gets_no_next_price_after_a_halt_and_keeps_what_filled(account: Account) -> None:
    ticket = account.reserve(SPY)
    assert isinstance(ticket, OrderTicket)
    first = account.ledger.attempt(ticket, limit_credit=0.9, at=DECIDED_AT)
    assert first is not None
    one = Traded(contracts=1, credit=0.9, fees=2.0, at=DECIDED_AT)
    account.ledger.book(first, OrderUpdate(state=OrderState.CANCELED, broker_order_id="b-1", traded=one), over=False)
    halt_file(account.path).touch()
    assert account.ledger.attempt(ticket, limit_credit=0.88, at=LATER) is None
    status = account.ledger.status(ticket.client_order_id)
    assert (status.ended, status.reason) == (True, Reason.FILLED)
    assert [position.contracts for position in account.ledger.open_positions(LATER)] == [1]


def test_an_exit_is_sent_whatever_is_halted(account: Account) -> None:
    account.open(SPY)
    account.check()
    account.broker.down = BrokerError("reset")
    account.check()
    halt_file(account.path).touch()
    [position] = account.ledger.open_positions(LATER)
    ticket = account.ledger.intend_close(position, lambda _: a_closing_ticket(position, limit_debit=0.3))
    assert account.ledger.attempt(ticket, limit_credit=-0.3, at=LATER) is not None


def test_the_reasons_in_the_order_of_their_gravity(account: Account) -> None:
    account.broker.held["SPY"] = 100
    account.check()
    account.broker.down = BrokerError("reset")
    account.check()
    account.states.note(Change(state=REDUCING, reason="", by="", at="2026"))
    halt_file(account.path).touch()
    assert account.reserve(SPY) is Reason.KILL_SWITCH
    halt_file(account.path).unlink()
    assert account.reserve(SPY) is Reason.REDUCING
    account.states.note(Change(state=ACTIVE, reason="", by="", at="2026"))
    assert account.reserve(SPY) is Reason.BROKER_UNREADABLE
    account.broker.down = None
    account.check()
    assert account.reserve(SPY) is Reason.EXTERNAL_POSITION


def test_a_candidate_that_no_limit_lets_pass_is_barred_by_a_halt_all_the_same(account: Account) -> None:
    halt_file(account.path).touch()
    reservation = account.ledger.reserve(lambda *_: ("too small", None), slot="scan-1")
    assert reservation == ("too small", None, Reason.KILL_SWITCH)
