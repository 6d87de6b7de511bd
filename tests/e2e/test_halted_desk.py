"""End to end: a desk that its circuit breaker has halted opens nothing, says why, and goes on closing."""

import datetime as dt
import sqlite3
from pathlib import Path

import pytest
from desks import START, rows, scan

from mahler_agents.cli import main
from mahler_agents.clock import Ids, SimulatedClock
from mahler_agents.config import DeskConfig
from mahler_agents.desk import Desk
from mahler_agents.monitor import MonitorResult
from mahler_agents.record import open_database
from mahler_agents.testing import virtual_time
from mahler_agents.types import Environment, Reason


def lose(database: Path, share: float, *, at: str = "2026-03-13T20:00:00.000Z") -> Path:
    """Record a previous close from which the account's 100,000 dollars are a loss of `share`."""
    open_database(database, create=True)
    with sqlite3.connect(database) as connection:
        row = ("paper-sample-22", at, 100_000 / (1 - share), 0)
        connection.execute("INSERT INTO equity (account_id, at, equity, cash) VALUES (?, ?, ?, ?)", row)
    connection.close()
    return database


def monitored(database: Path, at: dt.datetime) -> MonitorResult:
    async def run() -> MonitorResult:
        clock = SimulatedClock(at)
        async with Desk(model="none", database=database, clock=clock, ids=Ids(1), environ={}) as desk:
            return await desk.monitor(at=at)

    return virtual_time.run(run())


def test_a_day_loss_of_2_percent_opens_nothing_and_every_candidate_says_halted(tmp_path: Path) -> None:
    result = scan(lose(tmp_path / "desk.db", 0.023), "none", as_of=START)
    assert result.reviews
    assert {review.decision.reason for review in result.reviews} == {Reason.HALTED}
    assert {review.advice.proceed for review in result.reviews if review.advice} == {True}
    assert rows(tmp_path / "desk.db", "orders") == []
    assert result.multiplier.value == 0


def test_half_size_is_half_of_what_the_limits_allow(tmp_path: Path) -> None:
    whole = scan(tmp_path / "whole.db", "none", as_of=START)
    half = scan(lose(tmp_path / "half.db", 0.016), "none", as_of=START)
    bound = [review for review in half.reviews if review.sizing and review.sizing.binding is Reason.CIRCUIT_BREAKER]
    assert bound
    for review in bound:
        [same] = [one for one in whole.reviews if one.candidate == review.candidate]
        assert review.sizing is not None
        assert same.sizing is not None
        assert review.sizing.contracts == same.sizing.contracts // 2


def test_the_scan_verb_says_halted_and_ends_with_3(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    database = lose(tmp_path / "desk.db", 0.023)
    assert main(["scan", "--model", "none", "--db", str(database), "--as-of", "2026-03-16"]) == 3
    told = capsys.readouterr().out
    assert "HALTED by day_loss_halt" in told
    assert "Size multiplier: 0.00 (risk: 0.00, regime: 0.50 [bypassed - paper trading])" in told
    assert "none: halted" in told


def test_the_run_keeps_the_regime_the_breaker_and_the_multiplier(tmp_path: Path) -> None:
    result = scan(tmp_path / "desk.db", "none", as_of=START)
    with sqlite3.connect(tmp_path / "desk.db") as connection:
        [(regime, breaker, multiplier)] = connection.execute("SELECT regime, breaker, size_multiplier FROM runs")
        told = [message for (message,) in connection.execute("SELECT message FROM events")]
    connection.close()
    assert regime is not None
    assert result.regime.model_validate_json(regime) == result.regime
    assert result.breaker.model_validate_json(breaker) == result.breaker
    assert result.multiplier.model_validate_json(multiplier) == result.multiplier
    assert "Size multiplier: 1.00 (risk: 1.00, regime: 0.50 [bypassed - paper trading])" in told


def test_in_live_trading_the_regime_counts(tmp_path: Path) -> None:
    live = DeskConfig(environment=Environment.LIVE, live_requires_verdict=False)
    result = scan(tmp_path / "desk.db", "none", as_of=START, config=live)
    assert result.multiplier.text == "Size multiplier: 0.50 (risk: 1.00, regime: 0.50)"
    assert {review.sizing.binding for review in result.reviews if review.sizing} >= {Reason.REGIME}


def test_a_halt_begins_in_the_monitor_pass_that_sees_its_loss_and_stops_no_exit(tmp_path: Path) -> None:
    database = tmp_path / "desk.db"
    opened = scan(database, "none", as_of=START)
    assert any(review.execution and review.execution.traded for review in opened.reviews)
    lose(database, 0.10, at="2026-04-01T20:00:00.000Z")
    expiring = dt.datetime(2026, 4, 2, 14, 0, tzinfo=dt.UTC)  # under 21 days: the time exit closes them
    result = monitored(database, expiring)
    assert result.breaker.halted
    assert (
        len(
            [
                closing
                for closing in result.closings
                if closing.order and closing.order.contracts == closing.position.contracts
            ]
        )
        == result.positions
        > 0
    )
