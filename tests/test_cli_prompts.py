"""`mahler prompts`: the numbers that no brief holds, by prompt version."""

import json
from pathlib import Path

import pytest
from desks import scan

from mahler_agents.cli import main
from mahler_agents.testing.scripted import ScriptedModel


def test_numbers_that_no_brief_holds_are_counted_by_prompt_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    database = tmp_path / "desk.db"
    result = scan(database, ScriptedModel.always(summary="A scripted 4711.5 is nowhere.").endpoint)
    assert main(["prompts", "--json", "--db", "desk.db"]) == 0
    rows = {row["role"]: row for row in json.loads(capsys.readouterr().out)}
    reviews = len(result.reviews)
    assert set(rows) == {"greeks", "technical", "sentiment", "volatility", "fund_manager"}
    manager = rows.pop("fund_manager")
    assert manager["ungrounded"] == 0  # it repeats what the opinions in its brief say
    assert {(row["replies"], row["numbers"], row["ungrounded"]) for row in rows.values()} == {(reviews,) * 3}
    assert main(["prompts", "--db", "desk.db"]) == 0
    _, heading, *lines = capsys.readouterr().out.splitlines()
    assert heading.split()[:6] == ["role", "version", "model", "heard", "in", "replies"]
    assert len(lines) == len(rows) + 1
    [greeks] = [line for line in lines if line.startswith("greeks")]
    assert rows["greeks"]["prompt_hash"][:8] in greeks
    assert greeks.endswith("100.0 %")


def test_a_record_without_replies_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["scan", "--model", "none", "--db", "desk.db"]) == 0
    capsys.readouterr()
    assert main(["prompts", "--db", "desk.db"]) == 0
    assert capsys.readouterr().out.splitlines()[1] == "no replies yet"
