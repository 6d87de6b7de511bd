"""What the user is told of a scan, a pass, a failed job: the words and figures of real results."""

import datetime as dt
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from desks import scan
from scheduling import with_account
from test_deposits import Funded
from trading_builders import LATER

from mahler_agents.config import DeskConfig
from mahler_agents.errors import BrokerError, HaltedError
from mahler_agents.llm.models import Endpoint
from mahler_agents.notify import Kind, Notice, Severity, notice_of_failure, notices_of_pass, notices_of_scan
from mahler_agents.notify.changes import notices_of_changes
from mahler_agents.notify.outcomes import notices_of_outcome
from mahler_agents.record.changes import BreakerChange, Changes
from mahler_agents.scan import ScanResult
from mahler_agents.schedule import Job, Slot
from mahler_agents.summary import chosen_account, day_summary
from mahler_agents.testing.scripted import ScriptedModel, ScriptedReply, ScriptedRequest, favourable, http_error
from mahler_agents.types import Environment
from mahler_agents.wording import SYNTHETIC_MARKET

NOW = dt.datetime(2026, 3, 17, 14, tzinfo=dt.UTC)

DECISION = {
    *("underlying", "spread_type", "short_strike", "long_strike", "expiration", "credit"),
    *("decision", "reason", "ai_summary", "confidence", "iv_rank"),
}
"""The fields of a trade decision, under the names that users know."""


def unsure(request: ScriptedRequest) -> ScriptedReply:
    """Return what a fund manager says who has no confidence, and an analyst of sentiment that fails."""
    if request.role == "sentiment":
        return http_error(400)
    if request.role == "fund_manager":
        return favourable(request, confidence=0.3, approved=False, summary="Too rich a risk for so little credit.")
    return favourable(request)


@cache
def the_scan(environment: Environment, *, opinions: bool) -> ScanResult:
    import tempfile

    model: str | Endpoint = ScriptedModel(unsure).endpoint if opinions else "none"
    with tempfile.TemporaryDirectory() as folder:
        return scan(Path(folder) / "a.db", model, config=DeskConfig(environment=environment))


@pytest.fixture(scope="module")
def paper() -> ScanResult:
    return the_scan(Environment.PAPER, opinions=True)


def by_kind(notices: tuple[Notice, ...], kind: Kind) -> list[Notice]:
    return [notice for notice in notices if notice.kind is kind]


# --- A scan -----------------------------------------------------------------------------------------------------------


def test_every_reviewed_candidate_is_told_with_the_fields_that_users_know(paper: ScanResult) -> None:
    trades = [one for one in notices_of_scan(paper) if one.kind is not Kind.SCAN_SUMMARY]
    assert len(trades) == len(paper.reviews) > 2
    assert len({one.key for one in trades}) == len(trades)
    for notice, review in zip(trades, paper.reviews, strict=True):
        spread = review.candidate.spread
        assert set(notice.fields) >= DECISION
        assert spread.label in notice.title
        assert notice.fields["decision"] == review.decision.decision
        assert float(notice.fields["short_strike"]) == spread.short_strike
        assert notice.fields["ai_summary"] == "Too rich a risk for so little credit."
        assert notice.fields["confidence"] == "30 %"
        assert (notice.kind is Kind.TRADE_PLACED) is (review.decision.decision == "traded")


def test_in_paper_a_low_confidence_is_told_and_the_trade_placed(paper: ScanResult) -> None:
    [first, *_] = by_kind(notices_of_scan(paper), Kind.TRADE_PLACED)
    assert first.fields["reason"] == "filled"
    assert first.fields["advice"] == (
        f"Low confidence (30%) for {first.fields['underlying']} - proceeding (paper trading, agents advisory)"
    )
    assert "received, fees" in first.fields["order"]


def test_in_live_a_low_confidence_without_approval_is_a_trade_skipped() -> None:
    notices = notices_of_scan(the_scan(Environment.LIVE, opinions=True))
    skipped = by_kind(notices, Kind.TRADE_SKIPPED)
    assert {(one.fields["decision"], one.fields["reason"]) for one in skipped} == {
        ("skipped", "Low confidence from AI analysis")
    }
    summary = notices[-1].fields
    assert summary["skipped"] == f"{len(skipped)} low_confidence"
    assert "bypassed" not in summary["regime"] + summary["size"]


def test_the_summary_says_what_was_found_passed_traded_and_why_the_rest_was_not(paper: ScanResult) -> None:
    summary = notices_of_scan(paper)[-1]
    told = summary.fields
    traded = sum(review.decision.decision == "traded" for review in paper.reviews)
    assert summary.title == f"Scan of 2026-03-17 10:00: {traded} trades, {len(paper.reviews) - traded} skipped"
    assert told["found"].startswith(f"{paper.report.contracts:,} contracts")
    assert told["passed"].startswith(f"{paper.report.passed:,}, of which {len(paper.reviews)} reviewed")
    assert "1 traded" in told["by underlying"]
    skipped = [review.decision.reason.value for review in paper.reviews if review.decision.decision == "skipped"]
    assert all(reason in told["skipped"] for reason in skipped)
    assert told["VIX"] == "12.54"
    assert told["regime"].endswith("[bypassed - paper trading]")
    assert told["size"] == paper.multiplier.text
    assert told["shadow decisions"] == f"would approve 0, would veto {len(paper.reviews)}"
    assert told["analyst failures"].startswith(f"{len(paper.reviews)}: sentiment (")
    assert told["errors"] == "none"
    assert told["timings"].startswith("snapshot ")
    assert told["run"] == paper.run_id


def test_a_scan_without_a_model_says_so_and_vetoes_nothing() -> None:
    told = notices_of_scan(the_scan(Environment.PAPER, opinions=False))[-1].fields
    assert told["model"] == "none: rules only"
    assert told["shadow decisions"].startswith("would approve 0, would veto 0, no verdict ")


def test_a_scan_that_finds_nothing_has_its_summary_all_the_same(paper: ScanResult) -> None:
    report = paper.report.model_copy(update={"passed": 0, "by_underlying": {}})
    nothing = paper.model_copy(update={"reviews": (), "ranked_out": 0, "report": report})
    [summary] = notices_of_scan(nothing)
    assert summary.title.endswith("0 trades, 0 skipped")
    assert summary.fields["skipped"] == "nothing to skip (no_opportunities)"
    assert "open interest" in summary.fields["rejected"]


def test_a_review_that_failed_makes_its_notice_and_the_summary_failures(paper: ScanResult) -> None:
    failed = paper.reviews[0].model_copy(update={"error": "SPY: BrokerError: it said no"})
    notices = notices_of_scan(paper.model_copy(update={"reviews": (failed, *paper.reviews[1:])}))
    assert notices[0].severity is notices[-1].severity is Severity.FAILURE
    assert notices[0].fields["error"] == notices[-1].fields["errors"] == "SPY: BrokerError: it said no"


def test_a_made_up_market_and_a_toy_model_are_said_in_every_notice(paper: ScanResult) -> None:
    for notice in notices_of_scan(paper.model_copy(update={"toy_model": True})):
        assert notice.notes == (
            "SYNTHETIC MARKET: every price, quote and headline is made up",
            "the embedded model is a toy; its opinions are for show",
        )
    assert notices_of_scan(paper.model_copy(update={"synthetic": False}))[0].notes == ()


# --- A pass -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def funded(tmp_path: Path) -> Funded:
    return Funded(tmp_path / "desk.db")


def test_a_pass_that_did_nothing_tells_nothing(funded: Funded) -> None:
    result = funded.look(LATER + dt.timedelta(minutes=5))
    assert notices_of_pass(result) == ()


def test_an_exit_is_told_with_its_rule_threshold_price_and_profit(funded: Funded) -> None:
    from trading_builders import a_ticket

    funded.market.quote(a_ticket(contracts=4).spread, short=(0.10, 0.12), long=(0.02, 0.03))
    result = funded.look(LATER + dt.timedelta(minutes=5))
    [notice] = by_kind(notices_of_pass(result), Kind.EXIT)
    assert notice.fields["rule"] == "profit target"
    assert notice.fields["why"].startswith("cost 0.085 at mid, threshold ")
    assert notice.fields["closed"].startswith("4 of 4 at ")
    assert notice.fields["profit"].startswith("$")
    assert "left open" in notice.fields
    assert notice.severity is Severity.SUCCESS


def test_a_position_without_a_mark_is_told_once_a_day(funded: Funded) -> None:
    funded.market.sides.clear()
    keys: list[set[str]] = []
    for minutes in (5, 10):
        result = funded.look(LATER + dt.timedelta(minutes=minutes))
        keys.append({one.key for one in by_kind(notices_of_pass(result), Kind.ALERT)})
    assert keys[0] == keys[1] != set()


# --- Breaker and jobs -------------------------------------------------------------------------------------------------


def changed(**fields: Any) -> Notice:
    values = {
        "id": 7,
        "account_id": "a",
        "at": "2026-03-17T14:00:00.000Z",
        "rule": "day_loss",
        "code": "day_loss_half_size",
        "observed": 0.0162,
        "equity": 98_380.0,
        "size": 0.5,
        "close_share": "none",
    }
    [notice] = notices_of_changes(
        Changes(breaker=(BreakerChange(**(values | fields)),), trading=(), missed=(), synthetic=False)
    )
    return notice


def test_a_step_of_the_breaker_says_what_it_saw_and_what_new_trades_are_worth_now() -> None:
    notice = changed()
    assert notice.title == "Circuit breaker: day loss half size"
    assert (notice.fields["seen"], notice.fields["new trades' size"]) == ("1.62 %", "0.5")
    assert notice.severity is Severity.WARNING


@pytest.mark.parametrize(
    ("code", "severity"), [("week_loss_halt", Severity.FAILURE), ("day_loss_normal", Severity.SUCCESS)]
)
def test_a_halt_is_a_failure_and_its_end_is_not(code: str, severity: Severity) -> None:
    assert changed(code=code, size=0.0).severity is severity


def test_what_the_breaker_asks_to_close_is_said() -> None:
    assert changed(close_share="worst_quarter").fields["asks to close"] == "worst quarter"


def test_a_job_that_raised_is_a_failure_and_one_that_is_refused_is_not() -> None:
    failed = notice_of_failure("scan", "scan-2026-03-17T10:00", BrokerError("no answer"), at=NOW)
    refused = notice_of_failure("scan", "scan-2026-03-17T10:00", HaltedError("halted by ann"), at=NOW)
    assert (failed.kind, failed.severity, failed.body) == (Kind.JOB_FAILED, Severity.FAILURE, "no answer")
    assert (refused.kind, refused.severity) == (Kind.REFUSED, Severity.WARNING)


def test_an_unforeseen_error_is_told_with_its_kind() -> None:
    assert notice_of_failure("monitor", "m", ValueError("odd"), at=NOW).body == "ValueError: odd"


class Ended:
    """How a slot's job ended."""

    def __init__(self, result: object = None, error: Exception | None = None) -> None:
        self.slot = Slot(job=Job.SCAN, due_at=NOW)
        self.result, self.error = result, error
        self.retry_at: dt.datetime | None = None


def test_a_slot_s_outcome_is_told_as_what_it_was(paper: ScanResult) -> None:
    assert notices_of_outcome(Ended(paper)) == notices_of_scan(paper)
    [failed] = notices_of_outcome(Ended(error=BrokerError("no answer")))
    assert (failed.kind, failed.fields["slot"]) == (Kind.JOB_FAILED, "scan-2026-03-17T10:00")
    assert notices_of_outcome(Ended()) == ()


def test_the_summary_of_the_schedule_is_told_as_the_day_s_notice(tmp_path: Path) -> None:
    path = with_account(tmp_path / "desk.db")
    account = chosen_account(path, None)
    assert account is not None
    [told] = notices_of_outcome(Ended(day_summary(path, account, NOW.date())))
    assert (told.kind, told.title) == (Kind.DAY_SUMMARY, "Day of 2026-03-17")
    assert "equity" in told.body
    assert told.notes == (SYNTHETIC_MARKET,)
    assert SYNTHETIC_MARKET not in told.body, "it is said once"


def test_that_a_job_is_tried_again_is_told_and_so_is_that_it_failed_in_the_end() -> None:
    first, last = Ended(error=BrokerError("no answer")), Ended(error=BrokerError("no answer"))
    first.retry_at = NOW + dt.timedelta(minutes=10)
    notices = [*notices_of_outcome(first), *notices_of_outcome(last)]
    assert notices[0].fields["tried again"] == "2026-03-17 10:10 New York"
    assert notices[0].key != notices[1].key
