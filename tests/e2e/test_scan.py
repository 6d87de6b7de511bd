"""End to end: a snapshot goes in, a recorded, sized, filled paper trade comes out."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from desks import rows, scan

from mahler_agents.config import DeskConfig
from mahler_agents.risk import RiskLimits
from mahler_agents.testing.scripted import ScriptedModel, ScriptedReply, ScriptedRequest, favourable, http_error
from mahler_agents.types import Environment, Reason

ANALYSTS = {"greeks", "technical", "sentiment", "volatility"}
ROLES = {*ANALYSTS, "fund_manager"}


def test_a_scan_records_every_word_and_ends_in_fills(tmp_path: Path) -> None:
    database = tmp_path / "desk.db"
    result = scan(database, ScriptedModel.always(confidence=0.8, approved=True, contracts=1).endpoint)

    assert 3 <= len(result.reviews) <= 10
    for review in result.reviews:
        assert {opinion.analyst for opinion in review.opinions} == ANALYSTS
        assert review.verdict is not None
        assert review.advice is not None
        assert review.advice.message.endswith("proceeding (paper trading, agents advisory)")
    filled = [review for review in result.reviews if review.decision.decision == "traded"]
    assert 1 <= len(filled) <= 3
    count = {table: len(rows(database, table)) for table in ("opinions", "verdicts", "advice", "llm_calls", "fills")}
    reviewed = len(result.reviews)
    assert count == {
        "opinions": 4 * reviewed,
        "verdicts": reviewed,
        "advice": reviewed,
        "llm_calls": 5 * reviewed,
        "fills": len(filled),
    }


def test_the_database_reads_back_without_a_broken_reference(tmp_path: Path) -> None:
    database = tmp_path / "desk.db"
    scan(database, ScriptedModel.always().endpoint)
    with sqlite3.connect(database) as connection:
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("SELECT status, error FROM runs").fetchall() == [("done", None)]
    connection.close()


def test_a_second_scan_opens_no_duplicate_and_respects_the_heat_of_the_first(tmp_path: Path) -> None:
    database = tmp_path / "desk.db"
    seen: set[tuple[str, str, str]] = set()
    bound: set[Reason] = set()
    for number in range(6):
        limits = RiskLimits(max_portfolio_heat_pct=0.05)
        result = scan(database, "none", seed_of_ids=number, slot=f"scan-{number}", limits=limits)
        bound |= {review.decision.reason for review in result.reviews}
        for review in result.reviews:
            if review.decision.decision == "traded":
                spread = review.candidate.spread
                position = (spread.underlying, spread.spread_type.value, spread.expiration.isoformat())
                assert position not in seen
                seen.add(position)
        account = result.account_after
        assert account.heat_dollars <= 0.05 * result.account_before.equity
    assert len(seen) >= 2
    assert Reason.MAX_PORTFOLIO_HEAT in bound
    assert result.account_after.exposures


def test_the_advice_is_on_disk_before_the_order_it_might_have_changed(tmp_path: Path) -> None:
    """The broker looks into the file when the order arrives: the advice is there, committed by another connection."""
    from mahler_agents.execution import PaperBroker

    database = tmp_path / "desk.db"
    seen: list[int] = []
    submit = PaperBroker.submit

    async def look_then_submit(self: PaperBroker, ticket: Any, **how: Any) -> object:
        with sqlite3.connect(database) as connection:
            found = connection.execute(
                "SELECT COUNT(*) FROM advice WHERE candidate_id = ?", (ticket.candidate_id,)
            ).fetchone()
        connection.close()
        seen.append(found[0])
        return await submit(self, ticket, **how)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PaperBroker, "submit", look_then_submit)
        scan(database, ScriptedModel.always(confidence=0.1, approved=False).endpoint)
    assert seen
    assert set(seen) == {1}


def test_a_low_confidence_proceeds_on_paper_and_says_so(tmp_path: Path) -> None:
    result = scan(tmp_path / "desk.db", ScriptedModel.always(confidence=0.3, approved=False).endpoint)
    traded = [review for review in result.reviews if review.decision.decision == "traded"]
    assert traded
    for review in traded:
        assert review.advice is not None
        assert review.advice.would_veto
        underlying = review.candidate.spread.underlying
        expected = f"Low confidence (30%) for {underlying} - proceeding (paper trading, agents advisory)"
        assert review.advice.message == expected


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"confidence": 0.3, "approved": False}, Reason.LOW_CONFIDENCE),
        ({"confidence": 0.3, "approved": True, "contracts": 0}, Reason.LOW_CONFIDENCE),
        ({"confidence": 0.3, "approved": True, "contracts": 1}, Reason.FILLED),
        ({"confidence": 0.4, "approved": False}, Reason.FILLED),
    ],
)
def test_live_mode_obeys_only_a_low_confidence_without_approval(
    tmp_path: Path, fields: dict[str, object], reason: Reason
) -> None:
    live = DeskConfig(environment=Environment.LIVE)
    result = scan(tmp_path / "desk.db", ScriptedModel.always(**fields).endpoint, config=live)
    assert result.reviews[0].decision.reason is reason


def test_live_mode_without_a_verdict_skips_as_no_verdict(tmp_path: Path) -> None:
    def fund_manager_is_down(request: ScriptedRequest) -> ScriptedReply:
        return http_error(400) if request.role == "fund_manager" else favourable(request)

    live = DeskConfig(environment=Environment.LIVE)
    result = scan(tmp_path / "desk.db", ScriptedModel(fund_manager_is_down).endpoint, config=live)
    assert {review.decision.reason for review in result.reviews} == {Reason.NO_VERDICT}
    assert rows(tmp_path / "desk.db", "orders") == []


def test_a_failed_analyst_is_told_to_the_fund_manager_as_unavailable(tmp_path: Path) -> None:
    def greeks_is_down(request: ScriptedRequest) -> ScriptedReply:
        return http_error(401) if request.role == "greeks" else favourable(request)

    model = ScriptedModel(greeks_is_down)
    result = scan(tmp_path / "desk.db", model.endpoint)
    for review in result.reviews:
        assert [(failure.role, failure.kind.value) for failure in review.failures] == [("greeks", "auth")]
        assert review.verdict is not None
    asked = [request for request in model.requests if request.role == "fund_manager"]
    assert asked
    for request in asked:
        question = request.messages[-1]["content"]
        assert "unavailable" in question.lower()
        assert "greeks" in question


def test_without_a_quorum_the_fund_manager_is_not_asked_and_paper_proceeds(tmp_path: Path) -> None:
    def only_greeks(request: ScriptedRequest) -> ScriptedReply:
        return favourable(request) if request.role == "greeks" else http_error(400)

    model = ScriptedModel(only_greeks)
    result = scan(tmp_path / "desk.db", model.endpoint)
    assert "fund_manager" not in {request.role for request in model.requests}
    assert "traded" in {review.decision.decision for review in result.reviews}
    for review in result.reviews:
        assert review.advice is not None
        assert review.advice.level.value == "none"
        assert not review.advice.would_veto


def test_a_scan_on_the_sample_market_says_that_it_is_synthetic(tmp_path: Path) -> None:
    result = scan(tmp_path / "desk.db", "none")
    assert result.synthetic
    assert "synthetic" in result.source.lower()
    [run] = rows(tmp_path / "desk.db", "runs")
    assert "synthetic" in repr(run).lower()
