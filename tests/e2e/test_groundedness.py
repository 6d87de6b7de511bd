"""End to end: numbers that an advisor made up are recorded, shown by scan and trace, and counted by prompt version."""

import io
import sqlite3
from pathlib import Path

import pytest
from desks import scan

from mahler_agents.cli import main
from mahler_agents.cli.console import make_console
from mahler_agents.cli.lines import PlainLines
from mahler_agents.cli.scan_text import print_report
from mahler_agents.config import DeskConfig
from mahler_agents.llm.prompts import load_prompt
from mahler_agents.progress import Progress, Stage
from mahler_agents.record.queries import Reader
from mahler_agents.record.rows import GroundednessRow
from mahler_agents.record.trace_rows import GroundingRow
from mahler_agents.scan import ScanResult
from mahler_agents.testing.scripted import ScriptedModel, ScriptedReply, ScriptedRequest, favourable

ONE = DeskConfig(max_candidates=1)


def inventive(request: ScriptedRequest) -> ScriptedReply:
    """The greeks analyst and the fund manager make a number up; the others quote their own confidence."""
    if request.role == "greeks":
        return favourable(request, confidence=0.6, summary="A theta of 777.25 pays for 30-45 DTE; 60 % sure of it.")
    if request.role == "fund_manager":
        return favourable(request, confidence=0.7, contracts=3, summary="70 % for 3 contracts, heat at 999 %.")
    return favourable(request, confidence=0.6, summary="As sure as 0.6.")


@pytest.fixture
def scanned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, ScanResult, str]:
    """Return the record of one inventive scan, its result and the plain lines that it printed."""
    monkeypatch.setenv("COLUMNS", "1000")
    database, lines = tmp_path / "desk.db", io.StringIO()
    model = ScriptedModel(inventive)
    result = scan(database, model.endpoint, config=ONE, seed_of_ids=3)
    for opinion in result.reviews[0].opinions:
        PlainLines(lines)(Progress(stage=Stage.ANALYST, result=opinion, place=1))
    return database, result, lines.getvalue()


def test_a_made_up_number_is_shown_by_the_scan(scanned: tuple[Path, ScanResult, str]) -> None:
    _, result, lines = scanned
    assert "[1] greeks: 1 of 3 numbers not in the brief: 777.25" in lines
    assert "technical: 1 of" not in lines
    stream = io.StringIO()
    print_report(
        make_console(stream), result, hint=None, next_command="mahler trace show X", replay_command="mahler replay x"
    )
    assert "1 of 3 numbers not in the brief: 777.25" in stream.getvalue()
    assert "1 of 3 numbers not in the brief: 999 %" in stream.getvalue()
    assert "2 of 9 numbers that the advisors wrote are not in their briefs" in stream.getvalue()


def test_a_made_up_number_is_recorded_and_shown_by_the_trace(
    scanned: tuple[Path, ScanResult, str], capsys: pytest.CaptureFixture[str]
) -> None:
    database, result, _ = scanned
    with Reader(database) as reader:
        (candidate, *_) = reader.trace(result.run_id).candidates
    assert {one.analyst: one.grounding for one in candidate.opinions} == {
        "greeks": GroundingRow(numbers=3, ungrounded=("777.25",)),
        **{name: GroundingRow(numbers=1, ungrounded=()) for name in ("technical", "sentiment", "volatility")},
    }
    assert candidate.verdict is not None
    assert candidate.verdict.grounding == GroundingRow(numbers=3, ungrounded=("999 %",))
    assert main(["trace", "show", "latest", "--db", str(database)]) == 0
    assert "1 of 3 numbers not in the brief: 777.25" in capsys.readouterr().out


def test_made_up_numbers_are_counted_by_role_prompt_version_and_model(scanned: tuple[Path, ScanResult, str]) -> None:
    database, _, _ = scanned
    scan(database, ScriptedModel(inventive).endpoint, config=ONE, seed_of_ids=4, slot="again")
    with Reader(database) as reader:
        counted = {row.role: row for row in reader.groundedness()}
    version = load_prompt("greeks").content_hash
    assert counted["greeks"] == GroundednessRow(
        role="greeks",
        prompt_hash=version,
        model="scripted-1",
        retrospective=False,
        replies=2,
        ungrounded_replies=2,
        numbers=6,
        ungrounded=2,
    )
    assert (counted["technical"].replies, counted["technical"].ungrounded_replies) == (2, 0)
    assert (counted["fund_manager"].numbers, counted["fund_manager"].ungrounded) == (6, 2)


def test_a_reply_recorded_before_numbers_were_looked_at_counts_nowhere(
    scanned: tuple[Path, ScanResult, str], capsys: pytest.CaptureFixture[str]
) -> None:
    database, result, _ = scanned
    with sqlite3.connect(database) as connection:
        for table in ("opinions", "verdicts"):
            connection.execute(f"UPDATE {table} SET numbers = NULL, ungrounded = NULL")
    connection.close()
    with Reader(database) as reader:
        assert reader.groundedness() == ()
        assert {one.grounding for one in reader.trace(result.run_id).candidates[0].opinions} == {None}
    assert main(["trace", "show", "latest", "--db", str(database)]) == 0
    assert "not in the brief" not in capsys.readouterr().out


def test_a_fact_that_the_prompt_does_not_show_grounds_nothing(tmp_path: Path) -> None:
    """The brief holds the short strike; a prompt of the user's own that never shows it leaves the model to guess."""
    prompts = tmp_path / "prompts"
    prompts.mkdir()
    for name in ("technical", "sentiment", "volatility", "fund_manager"):
        (prompts / f"{name}.md").write_text(load_prompt(name).text)
    (prompts / "greeks.md").write_text(
        "---\nname: greeks\ndescription: Terse.\nmodel_role: analyst\ntemperature: 0.2\nmax_tokens: 200\n"
        "variables: [credit]\nexamples: []\n---\n# System\nJudge.\n# User\nCredit {{ credit }}\n"
    )
    result = scan(tmp_path / "first.db", "none", config=ONE)
    candidate = result.reviews[0].candidate
    words = f"Short strike {candidate.spread.short_strike:g}, credit {round(candidate.credit, 3)}."
    model = ScriptedModel(lambda request: favourable(request, summary=words))
    told = scan(tmp_path / "desk.db", model.endpoint, config=ONE, prompts=prompts)
    found = {one.analyst: one.grounding for one in told.reviews[0].opinions}
    assert found["greeks"] is not None
    assert found["greeks"].ungrounded == (f"{candidate.spread.short_strike:g}",)
    assert found["technical"] is not None
    assert found["technical"].ungrounded == ()  # its trade line names both strikes
