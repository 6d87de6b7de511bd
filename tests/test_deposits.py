"""Deposits: money into a paper account and out of it is booked with its cash, and is neither gain nor loss."""

import asyncio
import datetime as dt
import json
from pathlib import Path

import pytest
from trading_builders import LATER, QuotedMarket, a_ticket, executed, record_candidates, trading_on

from mahler_agents.cli import main
from mahler_agents.clock import Ids, SimulatedClock, utc_text
from mahler_agents.desk import Desk
from mahler_agents.errors import InputError
from mahler_agents.execution import Ledger, PaperBroker
from mahler_agents.execution.deposits import deposit
from mahler_agents.monitor import MonitorResult
from mahler_agents.record import open_database
from mahler_agents.record.accounts import AccountReader
from mahler_agents.record.presence import at_work
from mahler_agents.report.account import read_report
from mahler_agents.report.span import Span

ACCOUNT = "paper-quoted-test"
NOW = LATER + dt.timedelta(days=30)


class Funded:
    """An account with four spreads open, sold for 0.89 and 5 dollars wide, after one pass of the monitor."""

    def __init__(self, path: Path) -> None:
        self.path, self.market = open_database(path, create=True), QuotedMarket()
        record_candidates(self.path, "run.1")
        ticket = a_ticket(contracts=4)
        self.market.quote(ticket.spread, short=(1.00, 1.10), long=(0.06, 0.14))
        with (
            PaperBroker(self.path, self.market, concession=0.66, commission=1.0) as broker,
            Ledger(self.path, broker.account_id) as ledger,
        ):
            ledger.reserve(lambda *_: (None, ticket), slot=ticket.slot)
            done = asyncio.run(executed(ticket, trading_on(self.market, broker, ledger)))
        assert done.traded is not None
        self.look(LATER)

    def look(self, at: dt.datetime) -> MonitorResult:
        async def run() -> MonitorResult:
            async with Desk(
                market=self.market,
                model="none",
                database=self.path,
                clock=SimulatedClock(at),
                ids=Ids(1),
                environ={},
            ) as desk:
                return await desk.monitor(at=at)

        return asyncio.run(run())


@pytest.fixture
def funded(tmp_path: Path) -> Funded:
    return Funded(tmp_path / "desk.db")


@pytest.mark.parametrize("cents", [5_000_000, -5_000_000])
def test_money_moved_is_neither_gain_nor_loss_for_the_breaker_and_the_report(funded: Funded, cents: int) -> None:
    before = funded.look(LATER)
    done = deposit(funded.path, ACCOUNT, cents=cents, at=None, now=NOW)
    after = funded.look(LATER + dt.timedelta(minutes=5))
    assert after.account.cash == done.cash == pytest.approx(before.account.cash + cents / 100)
    assert after.account.buying_power == pytest.approx(done.buying_power)
    assert after.breaker.halted_by == ()
    assert [reading.observed for reading in after.breaker.readings][:3] == pytest.approx([0, 0, 0], abs=1e-9)
    with AccountReader(funded.path) as reader:
        report, _ = read_report(reader, ACCOUNT, Span())
    assert report.reconciliation is not None
    assert report.reconciliation.deposits_dollars == cents / 100
    assert report.reconciliation.difference_dollars == 0


def test_what_open_positions_may_cost_cannot_be_taken_out(funded: Funded) -> None:
    free = funded.look(LATER).account.buying_power
    assert free == 98_348  # 100,000 + 356 - 8, less the width of four
    cents = round(free * 100)
    with pytest.raises(InputError, match=r"98,348\.01 dollars are more than the 98,348\.00 that no position needs"):
        deposit(funded.path, ACCOUNT, cents=-cents - 1, at=None, now=NOW)
    assert deposit(funded.path, ACCOUNT, cents=-cents, at=None, now=NOW).buying_power == 0


@pytest.mark.parametrize(
    ("at", "said"),
    [
        (LATER, "is known as of 2026-03-16T15:03:00.000Z already: name a time after it"),
        (LATER - dt.timedelta(days=1), "is known as of"),
        (NOW + dt.timedelta(seconds=1), "is still to come"),
    ],
)
def test_a_time_that_the_account_has_passed_or_that_is_to_come_is_refused(
    funded: Funded, at: dt.datetime, said: str
) -> None:
    with pytest.raises(InputError, match=said):
        deposit(funded.path, ACCOUNT, cents=100, at=at, now=NOW)


def test_no_pass_goes_back_behind_a_deposit(funded: Funded) -> None:
    done = deposit(funded.path, ACCOUNT, cents=100, at=LATER + dt.timedelta(hours=1), now=NOW)
    with pytest.raises(InputError, match="has traded or moved money as of"):
        funded.look(done.at - dt.timedelta(minutes=5))


def test_nothing_is_moved_while_a_scan_or_a_pass_is_at_work(funded: Funded) -> None:
    async def nothing() -> None:
        pass

    async def run() -> None:
        async with at_work(funded.path, nothing):
            deposit(funded.path, ACCOUNT, cents=100, at=None, now=NOW)

    with pytest.raises(InputError, match="is at work on"):
        asyncio.run(run())


def test_the_verb_books_a_deposit_and_a_withdrawal_and_says_what_is_left(
    funded: Funded, capsys: pytest.CaptureFixture[str]
) -> None:
    db = ["--db", str(funded.path), "--account", ACCOUNT]
    assert main(["deposit", "2500.50", *db]) == 0
    assert "$2,500.50 paid into paper-quoted-test as of 2026-03-16 11:03 New York" in capsys.readouterr().out
    assert main(["deposit", "-500.50", "--json", *db]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["dollars"], found["cash"]) == (-500.5, 100_348 + 2_000)
    with AccountReader(funded.path) as reader:
        deposits = reader.history(ACCOUNT).deposits
    assert [one.dollars for one in deposits] == [2500.5, -500.5]
    assert deposits[0].at == utc_text(LATER + dt.timedelta(milliseconds=1))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["0"], "name an amount other than 0"),
        (["1.005"], "not in whole cents"),
        (["nan"], "is not an amount of dollars"),
        (["much"], "is not an amount of dollars"),
        (["5", "--at", "noon"], "is not a time such as"),
        (["5", "--account", "alpaca-1"], "account alpaca-1 is not one of the embedded broker's"),
    ],
)
def test_what_cannot_be_booked_is_one_line_and_exit_code_2(
    funded: Funded, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    account = [] if "--account" in arguments else ["--account", ACCOUNT]
    assert main(["deposit", *arguments, *account, "--db", str(funded.path)]) == 2
    assert said in capsys.readouterr().err
