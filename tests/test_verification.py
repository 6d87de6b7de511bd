"""`verification`: every check fails on a record that is spoilt in one thing, and none on the one that the desk left."""

import datetime as dt
import json
import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest
from conducts import ACCOUNT, DAYS, NOW, TIMES, record_days, spoilt
from hypothesis import given
from hypothesis import strategies as st

from mahler_agents.cli import main
from mahler_agents.clock import NEW_YORK, utc_text
from mahler_agents.errors import InputError, UnknownIdError
from mahler_agents.market import calendar
from mahler_agents.record import open_database
from mahler_agents.record.conduct import ConductReader
from mahler_agents.record.conduct_rows import Conduct, PositionConduct, RoleFailure
from mahler_agents.record.trace_rows import RunRow
from mahler_agents.report import Span, read_report
from mahler_agents.verification import CHECKS, Evidence, Finding, Verdict, verify
from mahler_agents.verification.advice import advice_first, low_confidence
from mahler_agents.verification.books import equity_adds_up
from mahler_agents.verification.documentation import renewed
from mahler_agents.verification.exits import expired_settled
from mahler_agents.verification.overshoot import overshoots
from mahler_agents.verification.schedule import ABOUT_MINUTES, entries_in_session, halts_hold, scans_on_time
from mahler_agents.verification.sizes import trades_placed

_ONE = "(SELECT MIN(candidate_id) FROM {0})"
_ENTRY = "(SELECT MIN(client_order_id) FROM orders WHERE purpose = 'entry' AND state = 'filled')"
_FAILED = """
    INSERT INTO failures (candidate_id, role, kind, detail, retryable)
    SELECT candidate_id, analyst, 'timeout', 'made up', 1 FROM opinions WHERE analyst = 'technical'
"""
_SPY_DEAR = "UPDATE marks SET mid_cost = 3 WHERE entry_order_id LIKE 'SPY%'"
_TWICE = """
    INSERT INTO fills (client_order_id, number, attempt, at, contracts, credit, fees)
    SELECT client_order_id, number + 1, attempt, at, contracts, credit, fees FROM fills WHERE client_order_id = {0}
"""

SPOILT: tuple[tuple[str, str], ...] = (
    ("scheduled_slots", "DELETE FROM slots WHERE slot = 'monitor-2026-01-06T13:00'"),
    ("scheduled_slots", "UPDATE slots SET status = 'missed', detail = 'x' WHERE slot = 'summary-2026-01-06'"),
    ("scheduled_slots", "UPDATE slots SET status = 'failed' WHERE slot = 'scan-2026-01-07T10:00'"),
    ("scheduled_slots", "UPDATE slots SET status = 'running' WHERE slot = 'monitor-2026-01-07T16:00'"),
    ("scheduled_slots", "UPDATE slots SET run_id = NULL WHERE slot = 'scan-2026-01-07T10:00'"),
    ("scans_ended", "UPDATE runs SET status = 'failed', error = 'x' WHERE slot LIKE 'scan-2026-01-07%'"),
    ("scans_ended", "UPDATE runs SET status = 'running' WHERE slot LIKE 'scan-2026-01-07%'"),
    ("scans_on_time", "UPDATE runs SET as_of = '2026-01-07T14:45:00.000Z' WHERE slot LIKE 'scan-2026-01-07%'"),
    ("scans_on_time", "UPDATE runs SET slot = 'scan-2026-01-05T10:00' WHERE slot LIKE 'scan-2026-01-07%'"),
    ("regime_bypassed", "UPDATE runs SET size_multiplier = json_set(size_multiplier, '$.bypassed', json('false'))"),
    ("regime_bypassed", "UPDATE events SET message = 'Size multiplier: 1.00' WHERE code = 'size_multiplier'"),
    ("zero_sizes_named", "UPDATE sizings SET binding = 'position_size_zero' WHERE contracts = 0"),
    ("zero_sizes_named", "UPDATE sizings SET binding = 'max_risk_per_trade' WHERE contracts = 0"),
    ("zero_sizes_named", "UPDATE candidates SET reason = 'error' WHERE reason = 'max_trades_per_scan'"),
    ("sizes_bound", f"UPDATE sizings SET contracts = contracts + 1 WHERE candidate_id = {_ONE.format('sizings')}"),
    ("sizes_bound", "UPDATE sizings SET binding = 'max_portfolio_heat' WHERE contracts > 0"),
    ("low_confidence", "UPDATE advice SET proceed = 0 WHERE level = 'low'"),
    ("low_confidence", "UPDATE candidates SET reason = 'low_confidence' WHERE underlying = 'TLT'"),
    ("trades_placed", f"DELETE FROM orders WHERE client_order_id = {_ENTRY}"),
    ("advice_first", "UPDATE advice SET recorded_at = '2026-01-06T15:03:00.001Z' WHERE level = 'low'"),
    ("advice_first", f"DELETE FROM advice WHERE candidate_id = {_ONE.format('advice')}"),
    ("advice_moves_nothing", f"UPDATE orders SET contracts = contracts - 1 WHERE client_order_id = {_ENTRY}"),
    ("advice_moves_nothing", f"UPDATE orders SET limit_credit = 0.01 WHERE client_order_id = {_ENTRY}"),
    ("shadows_followed", f"DELETE FROM shadows WHERE candidate_id = {_ONE.format('shadows')}"),
    ("analyst_failures", _FAILED),
    ("risk_within_limits", f"UPDATE orders SET contracts = contracts * 3 WHERE client_order_id = {_ENTRY}"),
    ("risk_within_limits", "UPDATE runs SET config = json_set(config, '$.limits.max_portfolio_heat_pct', 0.05)"),
    ("risk_within_limits", "UPDATE positions SET entry_credit = entry_credit - 2 WHERE underlying = 'SPY'"),
    ("no_duplicates", "UPDATE positions SET underlying = 'QQQ' WHERE underlying = 'SPY'"),
    ("entries_in_session", f"UPDATE fills SET at = '2026-01-06T22:00:00.000Z' WHERE client_order_id = {_ENTRY}"),
    ("entries_in_session", "UPDATE orders SET decided_at = '2026-01-06T14:03:00.000Z' WHERE slot LIKE 'scan%06T10%'"),
    ("halts_hold", "UPDATE trading_states SET at = '2026-01-06T15:01:00.000Z'"),
    ("positions_marked", "DELETE FROM marks WHERE at = '2026-01-06T17:00:00.000Z' AND entry_order_id LIKE 'TLT%'"),
    ("positions_marked", "DELETE FROM marks WHERE at = '2026-01-06T17:00:00.000Z'"),
    ("positions_marked", "UPDATE marks SET mid_cost = NULL, natural_cost = NULL WHERE entry_order_id LIKE 'SPY%'"),
    ("exits_at_thresholds", "UPDATE marks SET mid_cost = 0.80 WHERE ABS(mid_cost - 0.85) < 0.0001"),
    ("exits_at_thresholds", "UPDATE orders SET rule = 'time_exit' WHERE rule = 'profit_target'"),
    ("exits_at_thresholds", "UPDATE orders SET rule = 'week_loss_halt' WHERE rule = 'profit_target'"),
    ("closed_within_one_pass", f"{_SPY_DEAR} AND at = '2026-01-06T19:00:00.000Z'"),
    ("closed_within_one_pass", f"{_SPY_DEAR} AND at = '2026-01-07T20:30:00.000Z'"),
    ("closed_within_one_pass", "UPDATE orders SET decided_at = '2026-01-06T19:00:00.001Z' WHERE rule = 'stop_loss'"),
    ("overshoot", "UPDATE outcomes SET exit_debit = exit_debit + 0.01 WHERE rule = 'stop_loss'"),
    ("overshoot", "UPDATE marks SET mid_cost = 0.80 WHERE ABS(mid_cost - 0.85) < 0.0001"),
    ("expired_settled", "UPDATE positions SET expiration = '2026-01-06' WHERE state = 'open' AND underlying = 'TLT'"),
    ("orders_ended", f"UPDATE orders SET state = 'unknown' WHERE client_order_id = {_ENTRY}"),
    ("fills_booked_once", _TWICE.format(_ENTRY)),
    ("fills_booked_once", f"UPDATE positions SET contracts = contracts + 1 WHERE entry_order_id = {_ENTRY}"),
    ("fills_booked_once", f"UPDATE positions SET entry_credit = 0.05 WHERE entry_order_id = {_ENTRY}"),
    ("fills_booked_once", "UPDATE outcomes SET contracts = contracts - 1 WHERE rule = 'stop_loss'"),
    ("profit_from_fills", "UPDATE outcomes SET pnl_dollars = pnl_dollars + 0.05 WHERE rule = 'stop_loss'"),
    ("profit_from_fills", "UPDATE outcomes SET exit_debit = 0.50 WHERE rule = 'profit_target'"),
    ("equity_adds_up", "UPDATE equity SET equity = equity + 0.01 WHERE at = (SELECT MAX(at) FROM equity)"),
)  # fmt: skip
"""A check, and what spoils a sound record so that it fails."""


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The record of two days on schedule."""
    return record_days(tmp_path_factory.mktemp("verification") / "days.db")


@pytest.fixture(scope="module")
def conduct(sound: Path) -> Conduct:
    span = Span(first=DAYS[0], last=DAYS[-1])
    with ConductReader(sound) as reader:
        return reader.conduct(ACCOUNT, span.begins, span.ends)


def findings(database: Path, *, now: dt.datetime = NOW, days: int = 2) -> dict[str, Finding]:
    found = verify(database, now=now, days=days, times=TIMES)
    assert found is not None
    return {one.name: one for one in found.findings}


def evidence(conduct: Conduct) -> Evidence:
    return Evidence(conduct=conduct, now=NOW, last_at=utc_text(NOW), times=TIMES)


def test_the_record_as_the_desk_left_it_passes_every_check_that_it_has_a_case_of(sound: Path) -> None:
    found = findings(sound)
    assert {name: one.text for name, one in found.items() if one.verdict is Verdict.FAIL} == {}
    assert [name for name, one in found.items() if one.verdict is Verdict.NOTHING] == ["expired_settled"]
    assert all(one.wrong == 0 for one in found.values())


def test_every_check_has_a_record_on_which_it_fails() -> None:
    assert {name for name, _ in SPOILT} == {check.name for check in CHECKS}
    assert len({check.name for check in CHECKS}) == len(CHECKS)


@pytest.mark.parametrize(("name", "statement"), SPOILT)
def test_one_thing_spoilt_fails_its_check_and_is_named(name: str, statement: str, sound: Path, tmp_path: Path) -> None:
    found = findings(spoilt(sound, tmp_path, statement))[name]
    assert found.verdict is Verdict.FAIL
    assert found.wrong >= 1
    assert found.shown[0].where
    assert found.shown[0].what


def test_a_desk_that_is_dead_since_fails_though_its_record_was_sound(sound: Path) -> None:
    found = findings(sound, now=NOW + dt.timedelta(days=1))["scheduled_slots"]
    assert found.verdict is Verdict.FAIL
    assert found.figures == {"due": 32, "not_run": 16}  # of the two last sessions: the second has none
    assert found.shown[0].what == "nobody has claimed it"


def test_a_slot_that_has_just_fallen_due_or_is_at_work_is_not_missed(sound: Path, tmp_path: Path) -> None:
    begun = "UPDATE slots SET status = 'running', lease_until = '2026-01-07T23:00:00.000Z'"
    at_work = spoilt(sound, tmp_path, f"{begun} WHERE slot = 'summary-2026-01-07'")
    assert findings(at_work)["scheduled_slots"].verdict is Verdict.PASS
    gone = tmp_path / "gone"
    gone.mkdir()
    unclaimed = spoilt(sound, gone, "DELETE FROM slots WHERE slot = 'summary-2026-01-07'")
    due = dt.datetime(2026, 1, 7, 21, 20, tzinfo=dt.UTC)
    early, late = due + dt.timedelta(minutes=9), due + dt.timedelta(minutes=11)
    assert findings(unclaimed, now=early)["scheduled_slots"].verdict is Verdict.PASS
    assert findings(unclaimed, now=late)["scheduled_slots"].verdict is Verdict.FAIL


def test_without_a_schedule_there_are_no_slots_to_check(sound: Path, tmp_path: Path) -> None:
    found = findings(spoilt(sound, tmp_path, "DELETE FROM slots"), now=NOW + dt.timedelta(days=300))
    assert found["scheduled_slots"].verdict is Verdict.NOTHING
    assert found["scans_ended"].checked == 2  # the sessions are the record's last, not those before now


def test_only_the_sessions_asked_for_are_looked_at(sound: Path, tmp_path: Path) -> None:
    old = spoilt(sound, tmp_path, "UPDATE runs SET status = 'failed' WHERE slot LIKE 'scan-2026-01-06%'")
    assert findings(old)["scans_ended"].verdict is Verdict.FAIL
    assert findings(old, days=1)["scans_ended"].verdict is Verdict.PASS
    assert findings(old, days=1)["exits_at_thresholds"].checked == 1


def test_what_a_stop_cost_beyond_its_threshold_is_split_into_gap_and_slippage(sound: Path) -> None:
    found = findings(sound)["overshoot"]
    # Sold at 0.55, stop at 0.825; the first mark beyond it was 0.85, the fill 0.89; four contracts.
    assert found.figures == {"gap_dollars": 10.0, "wait_dollars": 0.0, "slippage_dollars": 16.0}
    assert "(gap 0.025)" in found.shown[0].what
    assert "(slippage 0.04)" in found.shown[0].what


def test_a_failed_answer_in_thirty_is_borne_and_told(sound: Path) -> None:
    found = findings(sound)["analyst_failures"]
    assert (found.verdict, found.figures["asked"], found.figures["failed"]) == (Verdict.PASS, 30, 1)
    assert "1 refused" in found.text


@given(
    date=st.dates(dt.date(2026, 2, 1), dt.date(2026, 12, 20)).filter(calendar.is_session),
    late=st.integers(-180, 240),
    slot=st.sampled_from(["scan-{0}", "scan-{0}T10:00"]),
)
def test_a_scan_is_on_time_by_new_york_s_clock_on_every_day_of_the_year(
    conduct: Conduct, date: dt.date, late: int, slot: str
) -> None:
    due = dt.datetime.combine(date, dt.time(10), NEW_YORK)
    as_of = utc_text((due + dt.timedelta(minutes=late)).astimezone(dt.UTC))
    moved = replace(conduct.runs[0], slot=slot.format(date), as_of=as_of)
    usual = [_on(conduct.runs[1], dt.date(2026, 1, day)) for day in (20, 21)]
    judged = scans_on_time(evidence(replace(conduct, runs=(*usual, moved))))
    on_time = 0 <= late <= TIMES.scan_grace_minutes if "T" in slot else abs(late) <= ABOUT_MINUTES
    assert (not judged.wrong) is on_time


def _on(run: RunRow, date: dt.date) -> RunRow:
    return replace(run, slot=f"scan-{date}", as_of=utc_text(dt.datetime.combine(date, dt.time(10), NEW_YORK)))


def test_a_cron_in_utc_is_seen_on_the_first_day_of_daylight_saving(conduct: Conduct) -> None:
    """15:00 UTC is 10:00 in New York until 2026-03-08, and 11:00 from then on."""
    days = [dt.date(2026, 3, day) for day in (4, 5, 6, 9)]
    runs = [replace(conduct.runs[0], id=f"{day}", slot=f"scan-{day}", as_of=f"{day}T15:00:00.000Z") for day in days]
    judged = scans_on_time(evidence(replace(conduct, runs=tuple(runs))))
    assert [one.where for one in judged.wrong] == ["2026-03-09"]
    assert "at 11:00 New York, the others at 10:00" in judged.wrong[0].what


def test_a_halt_of_the_breaker_and_of_the_user_must_hold(conduct: Conduct) -> None:
    halted = replace(conduct.runs[0], breaker={**(conduct.runs[0].breaker or {}), "halted_by": ["day_loss_halt"]})
    judged = halts_hold(evidence(replace(conduct, runs=(halted, *conduct.runs[1:]))))
    assert len(judged.wrong) == 3  # what its scan sent
    quiet = replace(conduct, orders=tuple(one for one in conduct.orders if one.slot != halted.slot))
    assert not halts_hold(evidence(replace(quiet, runs=(halted, *conduct.runs[1:])))).wrong


def test_in_live_a_veto_that_was_ignored_fails_and_one_that_held_passes(conduct: Conduct) -> None:
    live = tuple(replace(run, environment="live") for run in conduct.runs)
    assert [one.what for one in low_confidence(evidence(replace(conduct, runs=live))).wrong] == [
        "vetoed, and traded in live"
    ]
    held = tuple(
        replace(one, decision="skipped", reason="low_confidence") if one.advice and one.advice.would_veto else one
        for one in conduct.candidates
    )
    assert not low_confidence(evidence(replace(conduct, runs=live, candidates=held))).wrong


def test_a_desk_that_orders_nothing_is_excused_by_a_full_book_alone(conduct: Conduct) -> None:
    def starved(reason: str) -> Conduct:
        sized_out = tuple(
            replace(one, decision="skipped", reason=reason, sizing=one.sizing and replace(one.sizing, contracts=0))
            for one in conduct.candidates
        )
        return replace(conduct, orders=(), candidates=sized_out)

    assert not trades_placed(evidence(starved("max_portfolio_heat"))).wrong
    assert len(trades_placed(evidence(starved("regime"))).wrong) == 6
    assert len(trades_placed(evidence(starved("max_risk_per_trade"))).wrong) == 6


def test_a_position_that_was_settled_at_its_expiration_passes(conduct: Conduct) -> None:
    closed = [one for one in conduct.positions if one.state == "closed"]
    past = replace(conduct, positions=tuple(replace(one, expiration="2026-01-06") for one in closed))
    judged = expired_settled(evidence(past))
    assert (judged.checked, judged.wrong) == (2, ())


def test_checks_look_on_an_empty_record_and_find_nothing(conduct: Conduct) -> None:
    empty = replace(
        conduct,
        runs=(),
        candidates=(),
        orders=(),
        positions=(),
        marks=(),
        outcomes=(),
        equity=(),
        trading=(),
        failures=(),
        answers={},
        events=(),
        slots=(),
        first_due={},
    )
    assert {check.find(evidence(empty)).verdict for check in CHECKS} == {Verdict.NOTHING}


def test_an_account_that_is_not_there_is_refused_and_of_two_one_must_be_chosen(sound: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownIdError, match="no account `other`"):
        verify(sound, now=NOW, account_id="other")
    two = spoilt(sound, tmp_path, "INSERT INTO equity (account_id, at, equity, cash) VALUES ('b', '2026-01-06', 1, 1)")
    with pytest.raises(InputError, match="choose one"):
        verify(two, now=NOW)


def test_a_record_without_a_run_has_nothing_to_verify(tmp_path: Path) -> None:
    assert verify(open_database(tmp_path / "empty.db", create=True), now=NOW) is None


def test_positions_know_their_risk_at_the_filled_credit(conduct: Conduct) -> None:
    tlt: PositionConduct = next(one for one in conduct.positions if one.underlying == "TLT")
    assert tlt.max_loss_dollars == pytest.approx(181.0)  # (2 - 0.19) x 100


@pytest.fixture
def unscheduled(sound: Path, tmp_path: Path) -> Path:
    """The record as if its jobs had been run by hand: what a desk that is asked today has not missed."""
    return spoilt(sound, tmp_path, "DELETE FROM slots")


def test_the_verb_shows_a_line_a_check_and_ends_with_0_if_none_fails(
    unscheduled: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", "--db", str(unscheduled)]) == 0
    shown = capsys.readouterr().out
    assert "SYNTHETIC MARKET" in shown
    assert "account paper-sample-22, 5 sessions, 2025-12-31 to 2026-01-07" in shown
    for check in CHECKS:
        assert re.search(rf"^(pass|-   )  {check.name} ", shown, re.MULTILINE), check.name
    assert shown.endswith("23 passed, 0 failed, 2 with nothing to check\n")


def test_the_verb_ends_with_1_if_a_check_fails_and_names_the_first_cases(
    unscheduled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "again"
    folder.mkdir()
    bad = spoilt(unscheduled, folder, "DELETE FROM shadows")
    assert main(["verify", "--db", str(bad)]) == 1
    shown = capsys.readouterr().out
    assert "FAIL  shadows_followed        6 of 6 reviewed candidates break this: Every" in shown
    assert shown.count("is not followed, and nothing says why") == 3
    assert "and 3 more; --all names them" in shown
    assert main(["verify", "--all", "--db", str(bad)]) == 1
    assert capsys.readouterr().out.count("is not followed, and nothing says why") == 6
    assert main(["verify", "--json", "--db", str(bad)]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["failed"] == 1
    [failed] = [one for one in document["findings"] if one["verdict"] == "fail"]
    assert (failed["name"], failed["wrong"], failed["checked"]) == ("shadows_followed", 6, 6)


@pytest.mark.parametrize("columns", [80, 120])
def test_no_line_of_the_verb_is_wider_than_the_terminal(
    unscheduled: Path, columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert main(["verify", "--all", "--db", str(unscheduled)]) == 0
    _, *shown = capsys.readouterr().out.splitlines()  # but for the record's path
    assert max(map(len, shown)) <= columns


def test_the_verb_on_a_record_without_a_run_has_nothing_to_check(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = open_database(tmp_path / "empty.db", create=True)
    assert main(["verify", "--db", str(empty)]) == 0
    assert "nothing to check: no run yet" in capsys.readouterr().out
    assert main(["verify", "--db", str(tmp_path / "missing.db")]) == 2
    assert main(["verify", "--days", "0", "--db", str(empty)]) == 2


PAGE = (Path(__file__).parents[1] / "docs" / "verify.md").read_text(encoding="utf-8")


def test_its_page_begins_with_a_command_and_its_table_is_the_registry_s() -> None:
    assert re.match(r"# .*\n\n    mahler verify\n", PAGE)
    assert renewed(PAGE) == PAGE, "run `make docs`"


def test_the_page_s_commands_and_its_python_run(
    unscheduled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    unscheduled.rename(tmp_path / "mahler-sample-paper.db")
    monkeypatch.chdir(tmp_path)
    for command in re.findall(r"^    mahler (.*)$", PAGE, re.MULTILINE):
        assert main(shlex.split(command, comments=True)) == 0, command
    [example] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    capsys.readouterr()
    exec(compile(example, "docs/verify.md", "exec"), {})  # noqa: S102 - our own example
    assert len(capsys.readouterr().out.splitlines()) == len(CHECKS)


def test_the_part_of_a_stop_that_waited_for_another_pass_is_told_apart(conduct: Conduct) -> None:
    stop = next(one for one in conduct.outcomes if one.rule == "stop_loss")
    order = next(one for one in conduct.orders if one.client_order_id == stop.exit_order_id)
    later = "2026-01-06T19:00:00.000Z"
    mark = next(
        one for one in conduct.marks if one.at == order.decided_at and one.entry_order_id == stop.entry_order_id
    )
    waited = replace(
        conduct,
        marks=(*conduct.marks, replace(mark, at=later, mid_cost=1.05)),
        orders=tuple(
            replace(one, decided_at=later, limit_credit=-1.10) if one == order else one for one in conduct.orders
        ),
        outcomes=tuple(
            replace(one, exit_debit=1.10, closed_at=later) if one == stop else one for one in conduct.outcomes
        ),
    )
    split = overshoots(waited)[stop.entry_order_id, 1]
    assert split.gap == pytest.approx(0.85 - 0.825)
    assert split.wait == pytest.approx(1.05 - 0.85)
    assert split.slippage == pytest.approx(1.10 - 1.05)
    assert split.gap + split.wait + split.slippage == pytest.approx(1.10 - 0.825)
    assert "(wait 0.20)" in split.text


def test_advice_that_the_deadline_cut_off_may_be_recorded_a_moment_after_it(conduct: Conduct) -> None:
    order = next(one for one in conduct.orders if one.purpose == "entry")
    late = utc_text(dt.datetime.fromisoformat(order.decided_at) + dt.timedelta(seconds=2))
    candidates = tuple(
        replace(one, advised_at=late) if one.id == order.candidate_id else one for one in conduct.candidates
    )
    cut_off = RoleFailure(candidate_id=order.candidate_id or "", run_id="", role="fund_manager", kind="timeout")
    assert len(advice_first(evidence(replace(conduct, candidates=candidates))).wrong) == 1
    assert not advice_first(evidence(replace(conduct, candidates=candidates, failures=(cut_off,)))).wrong


def test_a_scan_of_a_past_market_is_not_judged_by_the_clock(conduct: Conduct) -> None:
    past = tuple(replace(run, started_at="2027-01-01T00:00:00.000Z") for run in conduct.runs)
    late = tuple(replace(one, advised_at=one.advised_at and "2027-01-01") for one in conduct.candidates)
    judged = advice_first(evidence(replace(conduct, runs=past, candidates=late)))
    assert not judged.wrong
    assert "the clock says nothing" in judged.text


def test_what_was_decided_on_closing_quotes_is_not_held_against_the_session(conduct: Conduct) -> None:
    closing = tuple(replace(run, as_of=utc_text(calendar.session_close(DAYS[0]))) for run in conduct.runs)
    orders = tuple(replace(one, decided_at="2026-01-06T21:03:00.000Z") for one in conduct.orders)
    judged = entries_in_session(evidence(replace(conduct, runs=closing, orders=orders)))
    assert (judged.checked, judged.wrong) == (0, ())
    assert entries_in_session(evidence(replace(conduct, orders=orders))).wrong


def test_equity_is_not_judged_while_a_position_has_no_mark_and_loosely_where_the_broker_marks(
    sound: Path, conduct: Conduct
) -> None:
    with ConductReader(sound) as reader:
        books = read_report(reader, ACCOUNT, Span(first=DAYS[0], last=DAYS[1]))[0].reconciliation
    assert books is not None
    off = replace(books, difference_dollars=200.0)
    assert equity_adds_up(replace(evidence(conduct), books=off)).wrong
    blind = replace(off, unrealised=replace(off.unrealised, unmarked=1))
    assert equity_adds_up(replace(evidence(conduct), books=blind)).checked == 0
    alpaca = replace(evidence(replace(conduct, runs=tuple(replace(run, broker="alpaca") for run in conduct.runs))))
    assert not equity_adds_up(replace(alpaca, books=off)).wrong
    assert equity_adds_up(replace(alpaca, books=replace(off, difference_dollars=-300.0))).wrong
