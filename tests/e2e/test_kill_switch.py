"""End to end: a desk halted by hand or by what its broker holds: nothing is opened, and everything is closed."""

import asyncio
import datetime as dt
import shutil
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from conftest import at_scale
from desks import START, passes_every, rows, scan
from hypothesis import given, settings
from hypothesis import strategies as st

from mahler_agents.cli import main
from mahler_agents.clock import Ids, SimulatedClock
from mahler_agents.desk import Desk
from mahler_agents.errors import BrokerError, HaltedError
from mahler_agents.execution import PaperBroker, TradingState
from mahler_agents.execution.trading_state import Change, TradingStates, halt
from mahler_agents.monitor import MonitorResult
from mahler_agents.progress import Progress, Stage
from mahler_agents.record import open_database
from mahler_agents.record.trading_state import halt_file
from mahler_agents.safety import ReconcileResult
from mahler_agents.simulate import simulate
from mahler_agents.testing import virtual_time
from mahler_agents.types import Reason

ACTIVE, REDUCING, HALTED = TradingState
LAST_WEEK = START + dt.timedelta(days=14)
"""Less than 21 days before the expiration of what a scan on the first day opens: everything open is closed."""


def set_state(database: Path, state: TradingState) -> None:
    with TradingStates(open_database(database, create=True)) as states:
        states.note(Change(state=state, reason="a test", by="user ana", at="2026-03-16T13:00:00.000Z"))


def query(database: Path, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(database)) as connection, connection:
        return connection.execute(sql).fetchall()


def monitored(database: Path, at: dt.datetime) -> MonitorResult:
    async def run() -> MonitorResult:
        async with Desk(model="none", database=database, clock=SimulatedClock(at), ids=Ids(1), environ={}) as desk:
            return await desk.monitor(at=at)

    return virtual_time.run(run())


def reconciled(database: Path) -> ReconcileResult:
    async def run() -> ReconcileResult:
        async with Desk(model="none", database=database, clock=SimulatedClock(START), ids=Ids(1), environ={}) as desk:
            return await desk.reconcile()

    return virtual_time.run(run())


# --- Scans ------------------------------------------------------------------------------------------------------------


def test_a_halted_desk_refuses_a_scan_in_one_line_with_exit_code_3_and_records_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    database = open_database(tmp_path / "desk.db", create=True)
    assert main(["halt", "--db", str(database), "--reason", "the feed lies"]) == 0
    capsys.readouterr()
    assert main(["scan", "--model", "none", "--db", str(database)]) == 3
    out, err = capsys.readouterr()
    assert out == ""
    [line] = err.splitlines()
    assert line.startswith("mahler: scan refused: HALTED since ")
    assert "the feed lies" in line
    assert query(database, "SELECT code, level FROM events") == [("scan_refused", "warning")]
    assert rows(database, "runs") == []


def test_a_reducing_desk_reviews_and_records_and_opens_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    set_state(tmp_path / "desk.db", REDUCING)
    result = scan(tmp_path / "desk.db", "none", as_of=START)
    assert result.reviews
    assert {review.decision.reason for review in result.reviews} == {Reason.REDUCING}
    assert {review.sizing.binding for review in result.reviews if review.sizing} == {Reason.REDUCING}
    assert rows(tmp_path / "desk.db", "orders") == []
    assert len(rows(tmp_path / "desk.db", "shadows")) == len(result.reviews)
    assert not result.breaker.halted, "the circuit breaker has nothing to do with it"
    code = main(["scan", "--model", "none", "--db", str(tmp_path / "desk.db"), "--as-of", "2026-03-17"])
    told = capsys.readouterr().out
    assert code == 3
    assert "REDUCING since 2026-03-16 09:00 New York by user ana: a test; nothing is opened, exits go on" in told
    assert "breaker       normal" in told


def test_a_halt_during_a_scan_stops_the_entries_after_it(tmp_path: Path) -> None:
    database = tmp_path / "desk.db"

    def watch(progress: Progress) -> None:
        if progress.stage is Stage.SIZE and progress.place == 1:
            halt_file(database).touch()

    async def run() -> Any:
        async with Desk(model="none", database=database, clock=SimulatedClock(START), ids=Ids(1), environ={}) as desk:
            return await desk.scan(as_of=START, watch=watch)

    result = virtual_time.run(run())
    [first, *others] = [review.sizing for review in result.reviews]
    assert first.contracts > 0
    assert others
    assert {sizing.binding for sizing in others} == {Reason.KILL_SWITCH}
    assert len(rows(database, "orders")) == 1
    assert {review.decision.reason for review in result.reviews} == {Reason.KILL_SWITCH}, "reserved, and not sent"
    assert rows(database, "order_attempts") == []
    assert result.trading.state is HALTED


def test_an_external_position_blocks_its_underlying_alone(tmp_path: Path) -> None:
    database = tmp_path / "desk.db"
    free = scan(tmp_path / "free.db", "none", as_of=START)
    underlyings = {review.candidate.spread.underlying for review in free.reviews}
    assert len(underlyings) > 1
    blocked = min(underlyings)
    hold(database, f"{blocked}260618P00100000", 3)
    result = scan(database, "none", as_of=START)
    for review in result.reviews:
        is_blocked = review.candidate.spread.underlying == blocked
        assert (review.decision.reason is Reason.EXTERNAL_POSITION) is is_blocked
    assert [one.underlying for one in result.broker_check.differences] == [blocked]
    assert query(database, "SELECT DISTINCT underlying FROM orders WHERE underlying = 'x'") == []
    assert blocked not in {row[0] for row in query(database, "SELECT underlying FROM orders")}


def hold(database: Path, symbol: str, contracts: int) -> None:
    """Put into the embedded broker's account what no order of the desk has brought there."""
    open_database(database, create=True)
    query(database, "INSERT OR IGNORE INTO paper_accounts VALUES ('paper-sample-22', 10000000)")
    query(
        database,
        "INSERT INTO paper_positions VALUES ('paper-sample-22', '" + symbol + f"', {contracts}, 1.0,"
        " '2026-03-16T13:00:00.000Z')",
    )


# --- Exits ------------------------------------------------------------------------------------------------------------


def opened(database: Path) -> int:
    """Open what a scan opens, and return how many positions that is."""
    result = scan(database, "none", as_of=START)
    count = sum(review.decision.decision == "traded" for review in result.reviews)
    assert count
    return count


def exits(result: MonitorResult) -> list[tuple[str, str, int, int]]:
    """What a pass closed, and asked to close."""
    return [(one.position.spread.key, one.due.rule, one.due.contracts, one.closed) for one in result.closings]


def no_halt(database: Path) -> None:
    del database


def by_hand(database: Path) -> None:
    halt(database, Change(state=HALTED, reason="", by="user ana", at="2026"))


def unreadable(database: Path) -> None:
    query(database, "DROP TABLE trading_states")


def reducing(database: Path) -> None:
    set_state(database, REDUCING)


def file_only(database: Path) -> None:
    halt_file(database).mkdir()


STATES = (no_halt, by_hand, unreadable, reducing, file_only)


@pytest.fixture(scope="module")
def with_positions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A record in which a scan has opened positions; to be copied."""
    database = tmp_path_factory.mktemp("opened") / "desk.db"
    opened(database)
    return database


@pytest.fixture(scope="module")
def untroubled(tmp_path_factory: pytest.TempPathFactory, with_positions: Path) -> MonitorResult:
    """What a pass over those positions does where nothing is in its way."""
    return monitored(Path(shutil.copy(with_positions, tmp_path_factory.mktemp("untroubled"))), LAST_WEEK)


@settings(max_examples=at_scale(100))
@given(
    state=st.sampled_from(STATES),
    down=st.booleans(),
    external=st.dictionaries(
        st.sampled_from(["SPY260618P00500000", "GLD260618P00200000", "TLT260618C00100000"]),
        st.integers(-5, 5).filter(bool),
        max_size=3,
    ),
)
def test_whatever_the_trading_state_and_the_broker_s_account_exits_are_sent_and_nothing_is_opened_that_may_not(
    tmp_path_factory: pytest.TempPathFactory,
    with_positions: Path,
    untroubled: MonitorResult,
    *,
    state: Callable[[Path], None],
    down: bool,
    external: Mapping[str, int],
) -> None:
    database = Path(shutil.copy(with_positions, tmp_path_factory.mktemp("desk")))
    for symbol, contracts in external.items():
        hold(database, symbol, contracts)
    state(database)
    entries = len(query(database, "SELECT 1 FROM orders WHERE purpose = 'entry'"))
    with pytest.MonkeyPatch.context() as patch:
        if down:
            patch.setattr(PaperBroker, "positions", _no_answer)
        result = monitored(database, LAST_WEEK)
        assert exits(result) == exits(untroubled)
        assert exits(result)
        try:
            after = scan(database, "none", as_of=LAST_WEEK, slot="after")
        except HaltedError:
            after = None
    new = query(database, "SELECT underlying FROM orders WHERE purpose = 'entry' ORDER BY rowid")[entries:]
    assert (after is None) is (state in {by_hand, unreadable, file_only})
    if state is not no_halt or down:
        assert new == []
    assert not {symbol[:3] for symbol in external} & {underlying for (underlying,) in new}
    # Nothing external was ever traded: all that is left in the account is what was put there, and what is new.
    left = dict(query(database, "SELECT symbol, contracts FROM paper_positions"))
    assert {symbol: left.get(symbol) for symbol in external} == dict(external)


async def _no_answer(self: PaperBroker, at: dt.datetime) -> Mapping[str, int]:
    raise BrokerError(f"{self.name}: no answer at {at}")


# --- Reconciling ------------------------------------------------------------------------------------------------------


def test_a_broken_leg_is_told_makes_the_desk_reducing_and_keeps_no_other_position_from_its_exit(tmp_path: Path) -> None:
    database = tmp_path / "desk.db"
    opened(database)
    untroubled = monitored(Path(shutil.copy(database, tmp_path / "untroubled.db")), LAST_WEEK)
    [(broken, leg)] = query(database, "SELECT entry_order_id, long_symbol FROM positions ORDER BY opened_at LIMIT 1")
    query(database, f"DELETE FROM paper_positions WHERE symbol = '{leg}'")
    found = reconciled(database)
    assert not found.agrees
    assert [(one.kind, one.item) for one in found.broker_check.differences] == [("missing", leg)]
    assert found.trading.state is REDUCING
    assert leg in found.trading.reason
    after = scan(database, "none", as_of=START + dt.timedelta(days=1), slot="next")
    assert {review.decision.reason for review in after.reviews} <= {Reason.REDUCING}
    assert after.trading.state is REDUCING
    result = monitored(database, LAST_WEEK)
    assert any(one.position.entry_order_id == broken for one in untroubled.closings)
    others = [one for one in untroubled.closings if one.position.entry_order_id != broken]
    assert exits(result) == exits(untroubled.model_copy(update={"closings": tuple(others)}))
    assert any(one.closed for one in result.closings)
    [alert] = [one for one in result.alerts if one.code == "broken_leg"]
    assert alert.entry_order_id == broken
    assert leg in alert.text
    assert "asks to close" in alert.text


@pytest.mark.parametrize("gone", ["short_symbol", "long_symbol", "short_symbol, long_symbol"])
def test_no_order_closes_a_leg_that_is_not_there_in_whatever_pass(tmp_path: Path, gone: str) -> None:
    database = tmp_path / "desk.db"
    opened(database)
    [(broken, *legs)] = query(database, f"SELECT entry_order_id, {gone} FROM positions ORDER BY opened_at LIMIT 1")
    query(database, f"DELETE FROM paper_positions WHERE symbol IN ({', '.join(repr(leg) for leg in legs)})")
    first = monitored(database, LAST_WEEK)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PaperBroker, "positions", _no_answer)  # what was missing when it was last read still is
        second = monitored(database, LAST_WEEK + dt.timedelta(minutes=5))
    third = monitored(database, LAST_WEEK + dt.timedelta(minutes=10))
    for result in (first, second, third):
        assert [one.entry_order_id for one in result.alerts if one.code == "broken_leg"] == [broken]
    assert query(database, f"SELECT COUNT(*) FROM orders WHERE closes = '{broken}'") == [(0,)]
    assert not set(legs) & {symbol for (symbol,) in query(database, "SELECT symbol FROM paper_positions")}
    assert query(database, "SELECT COUNT(*) FROM events WHERE code = 'broken_leg'") == [(1,)]


def test_after_a_whole_life_ledger_and_broker_agree(tmp_path: Path) -> None:
    opened(tmp_path / "desk.db")
    assert reconciled(tmp_path / "desk.db").agrees
    assert monitored(tmp_path / "desk.db", LAST_WEEK).broker_check.agrees
    assert reconciled(tmp_path / "desk.db").agrees


def test_a_broker_that_cannot_be_read_fails_the_pass_after_its_exits(tmp_path: Path) -> None:
    opened(tmp_path / "desk.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PaperBroker, "positions", _no_answer)
        result = monitored(tmp_path / "desk.db", LAST_WEEK)
    assert any(closing.closed for closing in result.closings)
    [line] = result.failed
    assert "could not be read, so nothing is opened" in line


# --- Simulations ------------------------------------------------------------------------------------------------------


def test_a_simulation_that_is_halted_on_the_way_refuses_its_scans_and_goes_on_closing(tmp_path: Path) -> None:
    database, clock = tmp_path / "desk.db", SimulatedClock(START)

    async def run() -> Any:
        async with Desk(model="none", database=database, clock=clock, ids=Ids(1), environ={}) as desk:
            await simulate(desk, clock, dt.date(2026, 3, 16), dt.date(2026, 3, 16))
            halt_file(database).touch()
            return await simulate(desk, clock, dt.date(2026, 3, 30), dt.date(2026, 3, 31))

    with passes_every(30):
        result = asyncio.run(run())
    assert result.refused == 2
    assert result.opened == 0
    assert sum(result.closed.values()) > 0
    assert result.days[-1].open_positions == 0
