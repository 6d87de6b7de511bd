"""End to end: passes of the monitor over chosen quotes: breaker closes, expirations, alerts, and what is left alone."""

import asyncio
import datetime as dt
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from trading_builders import (
    DECIDED_AT,
    LATER,
    QuotedMarket,
    a_spread,
    a_ticket,
    executed,
    record_candidates,
    trading_on,
)

from mahler_agents.clock import Ids, SimulatedClock
from mahler_agents.config import DeskConfig
from mahler_agents.desk import Desk
from mahler_agents.errors import InputError, MarketError
from mahler_agents.execution import Broker, Ledger, OrderState, OrderUpdate, PaperBroker
from mahler_agents.exits import ExitParams
from mahler_agents.market.snapshot import Dividend
from mahler_agents.monitor import MonitorResult
from mahler_agents.record import open_database
from mahler_agents.record.accounts import AccountReader
from mahler_agents.report.account import read_report
from mahler_agents.report.span import Span
from mahler_agents.types import Quote, Spread, SpreadType

ACCOUNT = "paper-quoted-test"
ENTRY = ((1.00, 1.10), (0.06, 0.14))
"""Sold at 0.89: what two thirds of the way from mid to natural bring."""
AT_EXPIRY = dt.datetime(2026, 4, 17, 20, 0, tzinfo=dt.UTC)
MONDAY_AFTER = dt.datetime(2026, 4, 20, 14, 0, tzinfo=dt.UTC)
FIVE_MINUTES = dt.timedelta(minutes=5)


class Crash(BaseException):
    """The process ends here."""


class Held:
    """A record with positions that were entered at `ENTRY`, and the market in which they are quoted."""

    def __init__(self, database: Path) -> None:
        self.database = open_database(database, create=True)
        self.market = QuotedMarket()
        record_candidates(database, *[f"run.{rank}" for rank in range(1, 10)])

    def enter(self, *lots: int, spreads: Sequence[Spread] | None = None, params: ExitParams | None = None) -> None:
        """Enter a position of each number of contracts."""
        chosen = spreads or [a_spread(short=540.0 - 10 * index) for index in range(len(lots))]
        with (
            PaperBroker(self.database, self.market, concession=0.66, commission=1.0) as broker,
            Ledger(self.database, broker.account_id) as ledger,
        ):
            for rank, (contracts, spread) in enumerate(zip(lots, chosen, strict=True), 1):
                self.market.quote(spread, short=ENTRY[0], long=ENTRY[1])
                ticket = a_ticket(spread, contracts=contracts, candidate_id=f"run.{rank}", limit_credit=0.8)
                if params is not None:
                    ticket = ticket.model_copy(update={"exit_params": params})
                asyncio.run(self._enter(ticket, broker, ledger))

    async def _enter(self, ticket: Any, broker: Broker, ledger: Ledger) -> None:
        ledger.reserve(lambda _exposures, _entries: (None, ticket), slot=ticket.slot)
        done = await executed(ticket, trading_on(self.market, broker, ledger))
        assert done.traded is not None

    def once_had(self, equity: float, at: str = "2026-03-13T20:00:00.000Z") -> None:
        """Record what the equity was."""
        self.query(f"INSERT INTO equity (account_id, at, equity, cash) VALUES ('{ACCOUNT}', '{at}', {equity}, 0)")

    def look(self, at: dt.datetime, **config: Any) -> MonitorResult:
        """Run one pass in a new process, as far as the record can tell."""

        async def run() -> MonitorResult:
            async with Desk(
                market=self.market,
                model="none",
                database=self.database,
                config=DeskConfig(**config),
                clock=SimulatedClock(at),
                ids=Ids(1),
                environ={},
            ) as desk:
                return await desk.monitor(at=at)

        return asyncio.run(run())

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with sqlite3.connect(self.database) as connection:
            found = connection.execute(sql).fetchall()
        connection.close()
        return found

    def open_contracts(self) -> list[int]:
        """Contracts open of each position, in the order of entry."""
        return [one for (one,) in self.query("SELECT contracts - closed_contracts FROM positions ORDER BY rowid")]

    def outcomes(self) -> list[tuple[str, int]]:
        return self.query("SELECT rule, contracts FROM outcomes ORDER BY rowid")


@pytest.fixture
def held(tmp_path: Path) -> Held:
    return Held(tmp_path / "desk.db")


# --- What the circuit breaker closes ----------------------------------------------------------------------------------


def test_a_week_loss_of_5_percent_closes_half_of_each_position_once_and_halts(held: Held) -> None:
    held.enter(10, 5, 1)
    held.once_had(106_000)
    first = held.look(LATER)
    assert first.breaker.halted
    assert first.breaker.ask is not None
    assert held.open_contracts() == [5, 2, 0]
    assert sorted(held.outcomes()) == [("week_loss_halt", 1), ("week_loss_halt", 3), ("week_loss_halt", 5)]
    assert first.positions_after == 2
    for minutes in (5, 10):
        again = held.look(LATER + dt.timedelta(minutes=minutes))
        assert again.breaker.halted
        assert again.closings == ()
    assert held.open_contracts() == [5, 2, 0]
    assert held.query("SELECT COUNT(*) FROM reductions") == [(3,)]


def test_a_halted_desk_goes_on_exiting(held: Held) -> None:
    held.enter(10, 5)
    held.once_had(106_000)
    held.look(LATER)
    spread = a_spread(short=540.0)
    held.market.quote(spread, short=(2.40, 2.50), long=(0.10, 0.20))
    result = held.look(LATER + FIVE_MINUTES)
    assert result.breaker.halted
    assert held.open_contracts() == [0, 2]
    assert held.outcomes()[-1] == ("stop_loss", 5)


def test_a_crash_between_the_orders_neither_loses_nor_doubles_a_share(
    held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    held.enter(10, 10, 10)
    held.once_had(106_000)
    attempt, calls = Ledger.attempt, []

    def dying(self: Ledger, ticket: Any, **price: Any) -> Any:
        calls.append(ticket)
        if len(calls) == 2:
            raise Crash
        return attempt(self, ticket, **price)

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "attempt", dying)
        with pytest.raises(Crash):
            held.look(LATER)
    assert sorted(held.open_contracts()) == [5, 10, 10]
    held.look(LATER + FIVE_MINUTES)
    assert held.open_contracts() == [5, 5, 5]
    held.look(LATER + 2 * FIVE_MINUTES)
    assert held.open_contracts() == [5, 5, 5]


def test_a_second_pass_at_the_same_instant_asks_again_for_what_the_first_did_not_close(
    held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    held.enter(4)
    held.market.quote(a_spread(), short=(2.40, 2.50), long=(0.10, 0.20))
    with monkeypatch.context() as patch:
        patch.setattr("mahler_agents.execution.paper_matching._taken", lambda *_: 0)  # nobody takes it
        assert held.look(LATER).closings[0].closed == 0
    again = held.look(LATER)
    assert (again.failed, again.closings[0].closed) == ((), 4)
    [first, second] = held.query("SELECT client_order_id FROM orders WHERE purpose = 'exit'")
    assert first != second
    assert held.outcomes() == [("stop_loss", 4)]


def test_a_share_that_could_not_be_closed_is_asked_for_again_until_it_is(
    held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    held.enter(10, 10)
    held.once_had(106_000)
    held.market.unquote(a_spread(short=540.0).short_symbol)
    missed = held.look(LATER)
    assert [alert.code for alert in missed.alerts] == ["no_mark"]
    assert held.open_contracts() == [10, 5]
    held.market.quote(a_spread(short=540.0), short=ENTRY[0], long=ENTRY[1])

    async def unfilled(*_: Any, **__: Any) -> OrderUpdate:
        return OrderUpdate(state=OrderState.REJECTED, broker_order_id="none")

    with monkeypatch.context() as patch:
        patch.setattr(PaperBroker, "submit", unfilled)
        refused = held.look(LATER + FIVE_MINUTES)
    assert [closing.closed for closing in refused.closings] == [0]
    assert held.open_contracts() == [10, 5]
    held.look(LATER + 2 * FIVE_MINUTES)
    assert held.open_contracts() == [5, 5]


def test_an_exit_rule_closes_the_whole_position_where_the_breaker_asks_for_half(held: Held) -> None:
    held.enter(10)
    held.once_had(106_000)
    held.market.quote(a_spread(), short=(2.40, 2.50), long=(0.10, 0.20))
    result = held.look(LATER)
    assert [(one.due.rule, one.due.contracts) for one in result.closings] == [("stop_loss", 10)]
    assert held.open_contracts() == [0]


def test_a_drawdown_of_10_percent_closes_the_worst_quarter_and_of_15_percent_everything(held: Held) -> None:
    held.enter(2, 2, 2, 2, 2)
    worst, second = a_spread(short=520.0), a_spread(short=500.0)
    held.market.quote(worst, short=(1.40, 1.50), long=(0.06, 0.14))
    held.market.quote(second, short=(1.30, 1.40), long=(0.06, 0.14))
    held.once_had(112_000, at="2026-01-05T20:00:00.000Z")
    held.once_had(100_000)
    held.look(LATER)
    assert held.open_contracts() == [2, 2, 0, 2, 0]
    assert {rule for rule, _ in held.outcomes()} == {"drawdown_quarter_size"}
    held.look(LATER + FIVE_MINUTES)
    assert held.open_contracts() == [2, 2, 0, 2, 0]
    held.once_had(119_000, at="2026-01-06T20:00:00.000Z")
    held.query("UPDATE breaker_states SET state = json_set(state, '$.peak.equity', 119000.0)")
    held.look(LATER + 2 * FIVE_MINUTES)
    assert held.open_contracts() == [0, 0, 0, 0, 0]
    assert held.outcomes()[-1][0] == "drawdown_halt"


def test_the_vix_counts_if_the_market_can_give_it_and_its_absence_is_said(held: Held) -> None:
    held.enter(1)
    assert not held.look(LATER).breaker.vix_evaluated
    held.market.vix_points = 51.0
    result = held.look(LATER + FIVE_MINUTES)
    assert result.breaker.halted_by == ("vix_halt",)
    assert held.open_contracts() == [1]


# --- The order of the closings, and the account after them ------------------------------------------------------------


def test_a_target_that_may_wait_for_a_price_keeps_no_stop_waiting(held: Held) -> None:
    held.enter(4, 4)
    target, stop = (a_spread(short=short) for short in (540.0, 530.0))
    held.market.quote(target, short=(0.20, 0.24), long=(0.10, 0.12))
    held.market.quote(stop, short=(2.40, 2.50), long=(0.10, 0.20))
    assert [one.due.rule for one in held.look(LATER).closings] == ["stop_loss", "profit_target"]


def test_the_books_agree_with_the_account_also_right_after_a_target_that_waited_for_its_price(held: Held) -> None:
    held.look(DECIDED_AT - FIVE_MINUTES)
    held.enter(4, 2)
    held.market.quote(a_spread(), short=(0.20, 0.24), long=(0.10, 0.12))
    [closing] = held.look(LATER).closings
    assert closing.order is not None
    assert closing.order.traded is not None
    assert closing.order.traded.at > LATER
    with AccountReader(held.database) as reader:
        report, _ = read_report(reader, ACCOUNT, Span())
    assert report.reconciliation is not None
    assert report.reconciliation.difference_dollars == 0


# --- Thresholds -------------------------------------------------------------------------------------------------------


def test_a_position_is_held_to_the_thresholds_of_its_entry(held: Held) -> None:
    held.enter(4, params=ExitParams(profit_target=0.05))
    held.market.quote(a_spread(), short=(0.90, 0.94), long=(0.08, 0.12))
    [closing] = held.look(LATER).closings
    assert (closing.due.rule, closing.closed) == ("profit_target", 4)
    decision = closing.due.decision
    assert decision is not None
    assert decision.threshold == pytest.approx(0.95 * 0.89)
    assert decision.observed == decision.mark.mid_cost == pytest.approx(0.82)


# --- Marks ------------------------------------------------------------------------------------------------------------


def test_a_stale_quote_closes_nothing_and_is_told_in_the_result_and_the_record(held: Held) -> None:
    held.enter(4)
    held.market.quote(a_spread(), short=(2.40, 2.50), long=(0.10, 0.20))

    class Late(QuotedMarket):
        async def quotes(self, symbols: Sequence[str], at: dt.datetime) -> Mapping[str, Quote]:
            found = await super().quotes(symbols, at)
            late = at - dt.timedelta(minutes=15)
            return {symbol: quote.model_copy(update={"at": late}) for symbol, quote in found.items()}

    fresh, held.market = held.market, Late(held.market.sides)
    result = held.look(LATER, max_mark_age_seconds=600)
    assert result.closings == ()
    assert [alert.code for alert in result.unmarked] == ["no_mark"]
    assert "900 s old, allowed are 600" in result.unmarked[0].text
    assert held.query("SELECT level FROM events WHERE code = 'no_mark'") == [("warning",)]
    assert held.look(LATER + FIVE_MINUTES).closings[0].due.rule == "stop_loss"  # this market allows 20 minutes
    held.market = fresh


def test_a_long_leg_that_nobody_bids_for_is_a_quote(held: Held) -> None:
    held.enter(4)
    held.market.quote(a_spread(), short=(0.10, 0.14), long=(0.0, 0.02))
    [closing] = held.look(LATER).closings
    assert closing.due.rule == "profit_target"
    assert (closing.due.mark.mid_cost, closing.due.mark.natural_cost) == pytest.approx((0.11, 0.14))


# --- Expiry -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("price", "rule", "debit"),
    [(545.0, "expired_worthless", 0.0), (537.0, "expired_between_strikes", 3.0), (530.0, "expired_in_the_money", 5.0)],
)
@pytest.mark.parametrize("at", [AT_EXPIRY, MONDAY_AFTER])
def test_an_expiration_settles_the_position_once_and_is_named(
    held: Held, price: float, rule: str, debit: float, at: dt.datetime
) -> None:
    held.enter(4)
    held.market.underlyings["SPY"] = price
    result = held.look(at)
    [one] = result.settled
    assert (one.settlement.expiry.value, one.settlement.debit) == (rule, debit)
    assert (result.closings, result.positions, result.positions_after) == ((), 1, 0)
    [(booked, pnl)] = held.query("SELECT rule, pnl_dollars FROM outcomes")
    assert (booked, pnl) == (rule, pytest.approx((0.89 - debit) * 400 - 8))
    assert result.account.equity == pytest.approx(100_000 + pnl)
    assert held.query(f"SELECT COUNT(*) FROM events WHERE code = '{rule}'") == [(1,)]
    assert held.look(at + FIVE_MINUTES if at is MONDAY_AFTER else MONDAY_AFTER).settled == ()


def test_an_expiration_that_a_holiday_moved_is_settled_at_the_close_of_the_session_before_it(held: Held) -> None:
    good_friday = a_spread(expiration=dt.date(2026, 4, 3))
    held.enter(4, spreads=[good_friday])
    held.market.underlyings["SPY"] = 545.0
    thursday = dt.datetime(2026, 4, 2, 20, 0, tzinfo=dt.UTC)
    [one] = held.look(thursday).settled
    assert one.settlement.at == thursday
    assert held.look(dt.datetime(2026, 4, 6, 14, 0, tzinfo=dt.UTC)).positions == 0


def test_a_pass_on_a_day_without_a_session_is_refused_before_anything_is_done(held: Held) -> None:
    held.enter(4)
    held.market.quote(a_spread(), short=(2.40, 2.50), long=(0.10, 0.20))
    with pytest.raises(InputError, match="2026-03-21 is not a session of the New York exchange"):
        held.look(dt.datetime(2026, 3, 21, 16, 0, tzinfo=dt.UTC))
    assert held.open_contracts() == [4]


def test_shadows_that_cannot_be_followed_are_told_and_the_account_is_recorded_all_the_same(
    held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    held.enter(4)
    _shadow_every_candidate(held)
    held.market.unquote(*held.market.sides)

    async def down(*_: Any) -> Any:
        raise MarketError("the market is down")

    monkeypatch.setattr(held.market, "prices", down)
    # Only the shadows ask for a price: the position is of another account by then.
    held.query("DELETE FROM paper_spreads")
    held.query("DELETE FROM paper_positions")
    held.query("UPDATE positions SET account_id = 'another'")
    assert held.look(MONDAY_AFTER).failed == ("the shadows were not followed: the market is down",)
    assert held.query(f"SELECT COUNT(*) FROM equity WHERE account_id = '{ACCOUNT}'") == [(1,)]


def _shadow_every_candidate(held: Held) -> None:
    held.query(
        "INSERT INTO shadows (candidate_id, account_id, underlying, spread_type, expiration, short_strike, long_strike,"
        " short_symbol, long_symbol, entry_credit, entered_at, exit_params)"
        " SELECT 'run.1', account_id, underlying, spread_type, expiration, short_strike, long_strike, short_symbol,"
        " long_symbol, entry_credit, opened_at, exit_params FROM positions"
    )


def test_a_position_past_its_expiration_that_cannot_be_settled_is_told_in_every_pass(held: Held) -> None:
    held.enter(4)
    for at in (MONDAY_AFTER, MONDAY_AFTER + FIVE_MINUTES):
        result = held.look(at)
        assert [alert.code for alert in result.alerts] == ["unsettled"]
        assert "no closing price of SPY on 2026-04-17, and none is assumed; add that day" in result.alerts[0].text
        assert result.positions_after == 1
    assert held.query("SELECT COUNT(*) FROM events WHERE code = 'unsettled'") == [(2,)]


# --- Early assignment -------------------------------------------------------------------------------------------------

CALL = a_spread(spread_type=SpreadType.BEAR_CALL, short=540.0)


def test_a_short_call_in_the_money_before_an_ex_date_is_told_with_its_figures_and_recorded_once(held: Held) -> None:
    held.enter(4, spreads=[CALL])
    held.market.underlyings["SPY"] = 540.90
    held.market.coming_dividends["SPY"] = (Dividend(ex_date=dt.date(2026, 3, 20), dollars=1.80),)
    for minutes in (0, 5):
        [alert] = held.look(LATER + dt.timedelta(minutes=minutes)).alerts
        assert alert.code == "assignment_risk"
        assert "short call 0.90 in the money, time value 0.15; dividend of 1.80, ex-date 2026-03-20" in alert.text
    assert held.query("SELECT COUNT(*) FROM events WHERE code = 'assignment_risk'") == [(1,)]
    held.market.underlyings["SPY"] = 539.0
    assert held.look(LATER + 2 * FIVE_MINUTES).alerts == ()


def test_unknown_ex_dates_and_prices_are_said_to_be_unknown(held: Held) -> None:
    held.enter(4, spreads=[CALL])
    assert [alert.code for alert in held.look(LATER).alerts] == ["price_unknown"]
    held.market.underlyings["SPY"] = 541.0
    for minutes in (5, 10):
        result = held.look(LATER + dt.timedelta(minutes=minutes))
        assert [alert.code for alert in result.alerts] == ["ex_dates_unknown"]
    assert held.query("SELECT COUNT(*) FROM events WHERE code = 'ex_dates_unknown'") == [(1,)]


# --- What fails -------------------------------------------------------------------------------------------------------


def test_a_breaker_that_cannot_be_evaluated_stops_no_exit_and_is_evaluated_after_them(
    held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mahler_agents.errors import BrokerError

    held.enter(4)
    held.market.quote(a_spread(), short=(2.40, 2.50), long=(0.10, 0.20))
    account, calls = PaperBroker.account, []

    async def failing_once(self: PaperBroker, at: dt.datetime) -> Any:
        calls.append(at)
        if len(calls) == 1:
            raise BrokerError("the broker is down")
        return await account(self, at)

    monkeypatch.setattr(PaperBroker, "account", failing_once)
    result = held.look(LATER)
    assert held.outcomes() == [("stop_loss", 4)]
    assert result.failed == ("the circuit breaker was not evaluated before the exits: the broker is down",)
    assert not result.breaker.halted
