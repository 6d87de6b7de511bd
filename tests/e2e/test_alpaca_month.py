"""End to end: weeks at Alpaca through real HTTP: opening, exiting, expiring, and books that agree to the cent."""

import asyncio
import datetime as dt
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from conftest import SOAK

from mahler_agents.clock import NEW_YORK, Ids
from mahler_agents.desk import Desk
from mahler_agents.exits import ExitParams, ExitPolicy
from mahler_agents.market import calendar
from mahler_agents.market.sample import SampleMarket
from mahler_agents.record import connect
from mahler_agents.record.accounts import AccountReader
from mahler_agents.remote_clock import RemoteClock
from mahler_agents.report import Span, read_report
from mahler_agents.report.equity import Reconciliation
from mahler_agents.screen import ScreenParams
from mahler_agents.testing.fake_alpaca import FakeAlpaca
from mahler_agents.testing.scripted import ScriptedModel

FIRST = dt.date(2026, 3, 9)
LAST = dt.date(2026, 4, 10) if SOAK else dt.date(2026, 3, 16)
EVERY = dt.timedelta(minutes=5 if SOAK else 65)
SCAN_AT = dt.time(10, 0)
OFF = {dt.date(2026, 3, 13), dt.date(2026, 3, 27)}
"""Fridays on which the desk is switched off: what the time exit would have closed expires."""

WEEKLIES = ScreenParams(min_dte=1, max_dte=8, min_credit_to_width=0.05, max_bid_ask_to_mid=0.5, max_short_delta=0.3)
"""Spreads that expire within the week, so that a short test sees them through."""
TO_THE_END = ExitPolicy(fixed=ExitParams(time_exit_dte=0, profit_target=0.95, stop_loss=1.5))


@dataclass
class Weeks:
    """What some weeks brought, by the desk and by the server."""

    books: Mapping[str, Any]
    held: Mapping[str, int]
    """Legs of the ledger's open positions, signed."""
    received_cents: int
    """Of all fills in the ledger, and of what expired."""
    pending: int
    outcomes: Counter[str] = field(default_factory=Counter[str])
    failed: list[str] = field(default_factory=list[str])
    reconciliation: Reconciliation | None = None


async def weeks(database: Path) -> Weeks:
    """Go through the sessions: a pass every so often, and a scan at ten; whatever waits moves the server's clock."""
    hours = calendar.session(FIRST)
    with FakeAlpaca(start=hours.open, partial_fills=True) as fake:
        clock = RemoteClock(fake.url)
        environ = {**fake.environ, "MAHLER_ALPACA_REQUESTS_PER_MINUTE": "10000"}
        failed: list[str] = []
        async with Desk(
            market="alpaca",
            broker="alpaca",
            model=ScriptedModel.always().endpoint,
            database=database,
            environ=environ,
            clock=clock,
            ids=Ids(0),
            screen_params=WEEKLIES,
            exit_policy=TO_THE_END,
        ) as desk:
            for date in sorted(set(calendar.sessions(FIRST, LAST)) - OFF):
                failed += await session(desk, clock, date)
            books = fake.books()
    return read_back(database, books, failed)


async def session(desk: Desk, clock: RemoteClock, date: dt.date) -> list[str]:
    """Run one session, and return what failed in it."""
    hours = calendar.session(date)
    scan_at = dt.datetime.combine(date, SCAN_AT, NEW_YORK)
    failed: list[str] = []
    scanned = False
    for number in range((hours.close - hours.open) // EVERY + 1):
        instant = hours.open + number * EVERY
        if instant < clock.now():
            continue  # the scan was still at work then
        await clock.sleep_until(instant)
        failed += (await desk.monitor(at=instant)).failed
        if not scanned and instant >= scan_at:
            scanned = True
            result = await desk.scan(slot=f"scan-{date}")
            failed += [review.error for review in result.reviews if review.error is not None]
    return failed


def read_back(database: Path, books: Mapping[str, Any], failed: list[str]) -> Weeks:
    """Return what the record says, beside the server's books."""
    connection = connect(database)
    try:
        fills = connection.execute("SELECT contracts, credit, fees FROM fills").fetchall()
        outcomes = connection.execute("SELECT rule, exit_order_id, contracts, exit_debit FROM outcomes").fetchall()
        legs = connection.execute(
            "SELECT short_symbol, long_symbol, contracts - closed_contracts AS left FROM positions WHERE state = 'open'"
        ).fetchall()
        pending = connection.execute(
            "SELECT COUNT(*) FROM orders WHERE state NOT IN ('filled', 'canceled', 'expired', 'rejected')"
        ).fetchone()[0]
    finally:
        connection.close()
    held: Counter[str] = Counter()
    for short, long, left in legs:
        held.update({short: -left, long: left})
    traded = sum(round(contracts * credit * 10_000) - round(fees * 100) for contracts, credit, fees in fills)
    settled = sum(
        round(one["contracts"] * one["exit_debit"] * 10_000) for one in outcomes if one["exit_order_id"] is None
    )
    with AccountReader(database) as reader:
        [account] = reader.accounts()
        report, _ = read_report(reader, account, Span(first=FIRST, last=LAST))
    return Weeks(
        books=books,
        held=dict(sorted(held.items())),
        received_cents=traded - settled,
        pending=pending,
        outcomes=Counter(one["rule"] for one in outcomes),
        failed=failed,
        reconciliation=report.reconciliation,
    )


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Weeks:
    return asyncio.run(weeks(tmp_path_factory.mktemp("month") / "alpaca.db"))


def test_nothing_failed_and_nothing_is_left_pending(seen: Weeks) -> None:
    assert seen.failed == []
    assert seen.pending == 0


def test_trades_opened_were_closed_by_rules_and_expired(seen: Weeks) -> None:
    assert seen.outcomes["profit_target"] > 0
    assert {"expired_worthless", "expired_in_the_money", "expired_between_strikes"} & set(seen.outcomes)


def test_the_ledger_holds_what_the_server_does_but_for_shares_that_were_delivered(seen: Weeks) -> None:
    options = {symbol: count for symbol, count in seen.books["positions"].items() if len(symbol) > 5}
    assert seen.held == options


def test_cash_is_what_the_ledgers_fills_and_settlements_say_to_the_cent(seen: Weeks) -> None:
    # Shares that were delivered cost their strike; what the ledger settles at is the close, which they were worth.
    delivered = sum(
        int(one["qty"]) * round(100 * close_of(one["symbol"], dt.date.fromisoformat(one["date"])))
        for one in seen.books["activities"]
        if one["activity_type"] == "OPTRD"
    )
    assert 10_000_000 + seen.received_cents == seen.books["cash_cents"] + delivered


def close_of(underlying: str, date: dt.date) -> float:
    """Return an underlying's closing price in the fake's world."""
    [price] = asyncio.run(SampleMarket().prices([underlying], calendar.session_close(date))).values()
    return price


def test_the_report_finds_no_difference(seen: Weeks) -> None:
    assert seen.reconciliation is not None
    assert seen.reconciliation.difference_dollars == 0
