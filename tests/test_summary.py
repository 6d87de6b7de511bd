"""`summary`: the figures of a recorded day against the record's own rows, and the days of which there is little."""

import datetime as dt
import json
import re
import shlex
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conducts import ACCOUNT, DAYS, record_days, spoilt

from mahler_agents.cli import main
from mahler_agents.errors import InputError, UnknownIdError
from mahler_agents.market import calendar
from mahler_agents.record import open_database
from mahler_agents.summary import DaySummary, chosen_account, day_summary, last_day, summary_lines
from mahler_agents.summary.day import Hours, JobSlots

FIRST, SECOND = DAYS


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The record of two days on schedule."""
    return record_days(tmp_path_factory.mktemp("summary") / "days.db")


@pytest.fixture(scope="module")
def first(database: Path) -> DaySummary:
    return day_summary(database, ACCOUNT, FIRST)


@pytest.fixture(scope="module")
def second(database: Path) -> DaySummary:
    return day_summary(database, ACCOUNT, SECOND)


def asked(database: Path, query: str) -> Any:
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute(query).fetchone()[0]


def noted(summary: DaySummary) -> Mapping[str, str]:
    """Return the first line under each note."""
    lines = [line for line in summary_lines(summary) if line[:1].strip() and line[9:10] == " "]
    return {line[:10].strip(): line[10:] for line in lines}


def test_the_day_s_profit_is_equity_less_the_previous_close_and_splits_into_realised_and_open(
    database: Path, second: DaySummary
) -> None:
    close = asked(database, "SELECT equity FROM equity WHERE at < '2026-01-07' ORDER BY at DESC LIMIT 1")
    now = asked(database, "SELECT equity FROM equity ORDER BY at DESC LIMIT 1")
    realised = asked(database, "SELECT SUM(pnl_dollars) FROM outcomes WHERE closed_at > '2026-01-07'")
    equity = second.equity
    assert equity is not None
    assert (equity.previous, equity.now, equity.first_day) == (close, now, False)
    assert equity.pnl_dollars == pytest.approx(now - close)
    assert equity.pnl_share == pytest.approx((now - close) / close)
    assert equity.realised_dollars == realised
    assert equity.pnl_dollars == pytest.approx(equity.realised_dollars + equity.open_change_dollars)
    assert equity.unexplained_dollars == 0


def test_the_first_day_on_record_counts_from_its_first_equity(first: DaySummary) -> None:
    assert first.equity is not None
    assert (first.equity.first_day, first.equity.previous) == (True, 100_000.0)
    assert noted(first)["equity"].endswith("the first on record")


def test_a_deposit_is_no_profit(database: Path, tmp_path: Path, second: DaySummary) -> None:
    paid = spoilt(
        database,
        tmp_path,
        f"INSERT INTO deposits (account_id, at, dollars) VALUES ('{ACCOUNT}', '2026-01-07T17:10:00.000Z', 5000)",
        "UPDATE equity SET equity = equity + 5000 WHERE at >= '2026-01-07T17:10:00.000Z'",
    )
    equity = day_summary(paid, ACCOUNT, SECOND).equity
    assert equity is not None
    assert second.equity is not None
    assert equity.pnl_dollars == second.equity.pnl_dollars
    assert equity.deposits_dollars == 5000
    assert equity.pnl_share == pytest.approx(equity.pnl_dollars / (equity.previous + 5000))
    assert "deposits of $5,000.00 left out" in noted(day_summary(paid, ACCOUNT, SECOND))["P&L"]


def test_equity_that_follows_from_nothing_is_shown(database: Path, tmp_path: Path) -> None:
    wrong = spoilt(database, tmp_path, "UPDATE equity SET equity = equity - 7 WHERE at = (SELECT MAX(at) FROM equity)")
    assert any("DIFFERENCE: -$7.00" in line for line in summary_lines(day_summary(wrong, ACCOUNT, SECOND)))


def test_trades_and_exits_carry_what_decided_them(first: DaySummary) -> None:
    assert [(one.underlying, one.contracts, one.credit) for one in first.opened] == [
        ("TLT", 10, pytest.approx(0.19)),
        ("QQQ", 4, pytest.approx(0.55)),
        ("SPY", 4, pytest.approx(0.50)),
    ]
    tlt = first.opened[0]
    assert (tlt.risk_dollars, tlt.received_dollars, tlt.fees) == (1810.0, 190.0, 20.0)
    assert (tlt.advice_level, tlt.confidence, tlt.would_veto) == ("low", 0.3, True)
    [stop] = first.exits
    assert (stop.rule, stop.contracts, stop.of_contracts, stop.pnl_dollars) == ("stop_loss", 4, 4, -152.0)


def test_positions_are_those_held_at_that_day_s_end_with_their_marks_then(database: Path, first: DaySummary) -> None:
    assert [one.label[:3] for one in first.held] == ["TLT", "SPY"]
    spy = first.held[1]
    mark = asked(
        database,
        "SELECT mid_cost FROM marks WHERE entry_order_id LIKE 'SPY%' AND at < '2026-01-07' ORDER BY at DESC LIMIT 1",
    )
    assert (spy.mid_cost, spy.dte, spy.time_exit_from) == (mark, 45, "2026-01-30")
    assert spy.target_cost == pytest.approx(0.425)
    assert spy.stop_cost == pytest.approx(0.75)
    assert spy.to_target == pytest.approx(mark - 0.425)
    assert spy.to_stop == pytest.approx(0.75 - mark)
    assert spy.pnl_dollars == pytest.approx((0.50 - mark) * 400 - 8)


def test_heat_is_max_loss_of_what_is_held_and_of_pending_entries(
    database: Path, tmp_path: Path, first: DaySummary
) -> None:
    assert first.heat is not None
    assert first.equity is not None
    assert (first.heat.dollars, first.heat.pending_dollars, first.heat.limit_share) == (3610.0, 0.0, 0.20)
    assert first.heat.share == pytest.approx(3610 / first.equity.now)
    pending = spoilt(
        database,
        tmp_path,
        "DELETE FROM positions WHERE underlying = 'SPY'",
        "DELETE FROM fills WHERE client_order_id LIKE 'SPY%'",
        "UPDATE orders SET state = 'unknown' WHERE underlying = 'SPY'",
    )
    heat = day_summary(pending, ACCOUNT, FIRST).heat
    assert heat is not None
    lowest = asked(pending, "SELECT limit_credit FROM orders WHERE underlying = 'SPY'")
    assert heat.pending_dollars == pytest.approx((5 - lowest) * 400)
    assert heat.held_dollars == 1810.0


def test_scans_count_what_was_found_and_why_it_was_not_traded(first: DaySummary) -> None:
    [scan] = first.scans
    assert (scan.pairs, scan.passed, scan.reviewed, scan.traded, scan.scheduled) == (380, 8, 5, 3, True)
    assert [(one.reason, one.what) for one in first.skipped] == [("max_trades_per_scan", ("QQQ", "IWM"))]
    assert first.ranked_out == 3


def test_shadow_decisions_failures_and_calls_are_counted(database: Path, first: DaySummary) -> None:
    assert (first.advice.would_approve, first.advice.would_veto, first.advice.none) == (4, 1, 0)
    assert first.llm.failures == {"refused": ("greeks",)}
    assert first.llm.calls == asked(database, "SELECT COUNT(*) FROM llm_calls WHERE run_id LIKE '20260106%'")
    assert first.llm.answers == 24
    shown = "\n".join(summary_lines(first))
    assert "24 answers, 1 failure: 1 refused (greeks)" in shown
    assert "cost unknown" in shown


def test_the_market_s_risk_is_that_of_the_day_s_last_scan(first: DaySummary) -> None:
    assert first.risk is not None
    assert first.risk.vix == 12.62
    assert first.risk.regime is not None
    assert first.risk.regime.startswith("bull_high_vol")
    assert first.risk.multiplier == "Size multiplier: 1.00 (risk: 1.00, regime: 0.50 [bypassed - paper trading])"


def test_the_trading_state_is_that_of_the_day_s_end(first: DaySummary, second: DaySummary) -> None:
    assert first.risk is not None
    assert second.risk is not None
    assert (first.risk.trading, first.risk.halted) == ("ACTIVE", False)
    assert (second.risk.trading, second.risk.halted) == ("HALTED since 2026-01-07 16:40 by the desk: a holiday", True)


def test_rules_of_the_breaker_are_in_force_until_they_are_normal_again(database: Path, tmp_path: Path) -> None:
    def change(at: str, code: str) -> str:
        values = f"'{ACCOUNT}', '{at}', 'day_loss', '{code}', 0.016, 98400, 0.5, 'none'"
        columns = "account_id, at, rule, code, observed, equity, size, close_share"
        return f"INSERT INTO breaker_changes ({columns}) VALUES ({values})"

    tripped = spoilt(
        database,
        tmp_path,
        change("2026-01-06T18:00:00.000Z", "day_loss_half_size"),
        change("2026-01-07T14:30:00.000Z", "day_loss_normal"),
    )
    before, after = (day_summary(tripped, ACCOUNT, day).risk for day in DAYS)
    assert before is not None
    assert after is not None
    assert before.breaker == ("day_loss_half_size",)
    assert before.breaker_changes == ("2026-01-06 13:00 day loss half size (1.60 %)",)
    assert after.breaker == ()


def test_the_watch_names_its_gaps_and_when_it_ended(database: Path, tmp_path: Path, first: DaySummary) -> None:
    assert (first.watch.looks, first.watch.longest_gap_minutes) == (14, 30.0)
    assert ", longest gap 30 minutes, from 09:30" in noted(first)["watched"]
    late = "at BETWEEN '2026-01-06T19:45' AND '2026-01-07'"
    dead = spoilt(database, tmp_path, f"DELETE FROM equity WHERE {late}", f"DELETE FROM marks WHERE {late}")
    shown = noted(day_summary(dead, ACCOUNT, FIRST))["watched"]
    assert shown.endswith("NOT since 14:30, and the session closes at 16:00")


def test_slots_are_counted_by_job_and_the_bad_ones_named(database: Path, tmp_path: Path, first: DaySummary) -> None:
    assert [(one.job, one.done) for one in first.slots] == [("monitor", 14), ("scan", 1), ("summary", 1)]
    bad = spoilt(
        database,
        tmp_path,
        "UPDATE slots SET status = 'missed', detail = 'nothing ran then' WHERE slot LIKE 'monitor-2026-01-06T11%'",
        "UPDATE slots SET status = 'failed', detail = 'no market' WHERE slot = 'scan-2026-01-06T10:00'",
        "UPDATE slots SET status = 'running' WHERE slot = 'monitor-2026-01-06T16:00'",
        "UPDATE slots SET status = 'running' WHERE slot = 'summary-2026-01-06'",  # it is being written
    )
    monitor, scan = day_summary(bad, ACCOUNT, FIRST).slots
    assert (monitor.done, monitor.missed, monitor.unended, scan.failed) == (11, 2, 1, 1)
    assert scan.bad == ("scan-2026-01-06T10:00 failed: no market",)


def test_alerts_and_errors_are_counted_by_kind_and_safe_to_print(database: Path, tmp_path: Path) -> None:
    columns, at = "INSERT INTO events (at, level, code, message)", "2026-01-06T18:00:00.000Z"
    told = spoilt(
        database,
        tmp_path,
        f"{columns} VALUES ('{at}', 'warning', 'no_mark', 'a'), ('{at}', 'warning', 'no_mark', 'b\x1b[2J')",
        f"{columns} VALUES ('{at}', 'error', 'exit_failed', 'the broker is gone')",
    )
    summary = day_summary(told, ACCOUNT, FIRST)
    assert [(one.code, one.times) for one in summary.alerts if one.code == "no_mark"] == [("no_mark", 2)]
    shown = "\n".join(summary_lines(summary))
    assert "1 time exit failed: the broker is gone" in shown
    assert "\x1b" not in shown


def test_a_day_without_a_session_or_a_row_says_so_in_one_line(database: Path) -> None:
    saturday = summary_lines(day_summary(database, ACCOUNT, dt.date(2026, 1, 10)))
    [line] = saturday
    assert "Sat 2026-01-10" in line
    assert "the exchange was closed" in line
    [line] = summary_lines(day_summary(database, ACCOUNT, dt.date(2026, 1, 9)))
    assert "the record has nothing of that day" in line
    assert "closed" not in line


def test_a_session_without_a_scan_says_so_loudly(database: Path, tmp_path: Path) -> None:
    missed = spoilt(database, tmp_path, "UPDATE runs SET as_of = '2026-02-02T15:00' WHERE slot LIKE 'scan-2026-01-07%'")
    shown = noted(day_summary(missed, ACCOUNT, SECOND))
    assert shown["scan"] == "NO SCAN"
    assert "VIX" not in shown


def test_a_failed_scan_says_why(database: Path, tmp_path: Path) -> None:
    failed = spoilt(
        database,
        tmp_path,
        "UPDATE runs SET status = 'failed', error = 'no chain', screen = NULL WHERE slot LIKE 'scan-2026-01-07%'",
    )
    assert noted(day_summary(failed, ACCOUNT, SECOND))["scan"].endswith("FAILED: no chain")


def test_what_is_made_up_and_what_is_a_toy_is_said(first: DaySummary) -> None:
    assert summary_lines(first)[0].startswith("SYNTHETIC MARKET")
    real = replace(first, synthetic=False)
    assert summary_lines(real)[0].startswith("day       Tue 2026-01-06, account paper-sample-22, PAPER environment")
    assert "toy" in noted(replace(first, toy_model=True))["model"]


def test_a_half_day_and_more_bad_slots_than_are_named_are_told(first: DaySummary) -> None:
    half = calendar.session(dt.date(2025, 12, 24))
    hours = Hours(opens=half.open.isoformat(), closes=half.close.isoformat(), half_day=True)
    slots = JobSlots(job="monitor", done=0, failed=0, missed=9, unended=0, bad=tuple(f"slot {one}" for one in range(9)))
    shown = summary_lines(replace(first, session=hours, slots=(slots,)))
    assert "session   half-day: 09:30 to 13:00" in shown
    assert any(line.strip() == "and 6 more" for line in shown)


@pytest.mark.parametrize("columns", [80, 120])
def test_no_line_is_wider_than_asked_for(first: DaySummary, columns: int) -> None:
    assert max(map(len, summary_lines(first, columns))) <= columns


def test_it_is_one_json_document_with_the_distances(first: DaySummary) -> None:
    document = json.loads(json.dumps(first.as_json()))
    assert document["date"] == "2026-01-06"
    assert document["heat"]["dollars"] == 3610.0
    assert document["held"][1]["to_stop"] == pytest.approx(first.held[1].to_stop)
    assert document["skipped"] == [{"reason": "max_trades_per_scan", "what": ["QQQ", "IWM"]}]


def test_the_last_day_and_the_only_account_are_found(database: Path, tmp_path: Path) -> None:
    assert chosen_account(database, None) == ACCOUNT
    assert last_day(database, ACCOUNT) == SECOND
    empty = open_database(tmp_path / "empty.db", create=True)
    assert chosen_account(empty, None) is None
    two = spoilt(
        database, tmp_path, "INSERT INTO equity (account_id, at, equity, cash) VALUES ('b', '2026-01-06', 1, 1)"
    )
    with pytest.raises(InputError, match="choose one"):
        chosen_account(two, None)
    with pytest.raises(UnknownIdError, match="no account `c`"):
        day_summary(database, "c", FIRST)
    with pytest.raises(InputError, match="outside the exchange calendar"):
        day_summary(database, ACCOUNT, dt.date(2001, 1, 1))


def said(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    capsys.readouterr()
    assert main(["summary", *map(str, arguments)]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    return printed.out


def test_the_verb_shows_the_last_day_unless_another_is_named(
    database: Path, capsys: pytest.CaptureFixture[str], second: DaySummary
) -> None:
    assert said(capsys, "--db", database).splitlines() == [f"record: {database}", *summary_lines(second)]
    assert "Tue 2026-01-06" in said(capsys, "--db", database, "--date", "2026-01-06")
    assert json.loads(said(capsys, "--db", database, "--json")) == json.loads(json.dumps(second.as_json()))


def test_the_verb_on_a_record_without_a_run_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    empty = open_database(tmp_path / "empty.db", create=True)
    assert "nothing to tell: no run yet" in said(capsys, "--db", empty)
    assert said(capsys, "--db", empty, "--json") == "null\n"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--db", "missing.db"], "does not exist"),
        (["--date", "soon"], "'soon'"),
        (["--account", "x"], "no account `x`"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    arguments: list[str], named: str, database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["summary", "--db", str(database), *arguments]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert named in line


def test_its_page_begins_with_a_command_and_its_commands_work(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (Path(__file__).parents[1] / "docs" / "summary.md").read_text(encoding="utf-8")
    assert re.match(r"# .*\n\n    mahler summary\n", page)
    copy = tmp_path / "mahler-sample-paper.db"
    copy.write_bytes(database.read_bytes())
    monkeypatch.chdir(tmp_path)
    for command in re.findall(r"^    mahler (.*)$", page, re.MULTILINE):
        assert main(shlex.split(command, comments=True)) == 0, command
        assert capsys.readouterr().out


def test_the_schedule_s_summary_makes_no_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["summary", "--slot", "auto"]) == 2
    open_database(tmp_path / "mahler-alpaca-alpaca.db", create=True)  # no schedule has run on it: nothing is due
    assert main(["summary", "--slot", "auto"]) == 0
    assert capsys.readouterr().out.startswith("record: mahler-alpaca-alpaca.db\nno summary is due at ")
    assert [path.name for path in tmp_path.glob("*.db")] == ["mahler-alpaca-alpaca.db"]
