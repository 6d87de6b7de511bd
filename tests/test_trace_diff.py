"""`mahler trace diff`: what changed between two runs, and nothing that did not."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from cli_scans import json_of, run_scan

from mahler_agents import Desk
from mahler_agents.cli import main
from mahler_agents.record.comparison import Change, RunDiff, compare
from mahler_agents.record.queries import Reader
from mahler_agents.testing.scripted import ScriptedModel, ScriptedReply, ScriptedRequest, favourable, http_error

PROMPTS = Path(__file__).parents[1] / "prompts"


def other(request: ScriptedRequest) -> ScriptedReply:
    """Return the favourable reply, but for one analyst that says something else and one that fails."""
    if request.role == "sentiment":
        return http_error(401, "no")
    return favourable(request, confidence=0.55) if request.role == "greeks" else favourable(request)


def scanned(database: Path, script: Any, **choices: Any) -> str:
    """Return the id of a scan of a record of its own, added to none."""
    import asyncio

    async def scan() -> str:
        model = ScriptedModel(script)
        async with Desk(market="sample", model=model.endpoint, database=database, environ={}, **choices) as desk:
            return (await desk.scan()).run_id

    return asyncio.run(scan())


def trace_of(database: Path) -> Any:
    with Reader(database) as reader:
        return reader.trace(reader.run_id("latest"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("diff")


@pytest.fixture(scope="module")
def base(folder: Path) -> Any:
    scanned(folder / "base.db", favourable)
    return trace_of(folder / "base.db")


def changes(found: RunDiff, node: str) -> list[Change]:
    return [change for spread in found.spreads for one in spread.nodes if one.node == node for change in one.changes]


def test_a_run_does_not_differ_from_itself_nor_from_one_of_the_same_inputs(folder: Path, base: Any) -> None:
    assert compare(base, base).same
    scanned(folder / "again.db", favourable)
    again = trace_of(folder / "again.db")
    assert again.run.id != base.run.id
    assert compare(base, again) == RunDiff(
        before=base.run.id, after=again.run.id, changes=(), spreads=(), only_before=(), only_after=()
    )


def test_another_reply_shows_as_reply_opinion_and_in_the_next_brief(folder: Path, base: Any) -> None:
    scanned(folder / "other.db", other)
    found = compare(base, trace_of(folder / "other.db"))
    reviewed = [one.label for one in base.candidates if one.reviewed]
    assert [spread.label for spread in found.spreads] == reviewed
    [opinion, *_] = [change for change in changes(found, "greeks") if change.subject == "opinion"]
    assert (opinion.field, opinion.before, opinion.after) == ("confidence", 0.8, 0.55)
    assert {change.subject for change in changes(found, "greeks")} == {"reply", "opinion"}
    gone, failure = [one for one in changes(found, "sentiment") if one.subject in {"opinion", "failure"}][:2]
    assert (gone.subject, gone.after, failure.subject, failure.before) == ("opinion", None, "failure", None)
    assert failure.after["kind"] == "auth"
    assert "brief" in {change.subject for change in changes(found, "fund_manager")}
    assert changes(found, "technical") == changes(found, "volatility") == []
    assert not [change for spread in found.spreads for change in spread.changes if change.subject in {"size", "order"}]


def test_another_prompt_shows_as_a_unified_diff_of_its_versions(folder: Path, base: Any) -> None:
    prompts = folder / "prompts"
    shutil.copytree(PROMPTS, prompts)
    greeks = prompts / "greeks.md"
    greeks.write_text(re.sub("Judge", "Weigh", greeks.read_text(encoding="utf-8"), count=1), encoding="utf-8")
    scanned(folder / "prompt.db", favourable, prompts=prompts)
    found = compare(base, trace_of(folder / "prompt.db"))
    nodes = [node for spread in found.spreads for node in spread.nodes]
    assert {node.node for node in nodes} == {"greeks"}
    removed, added = [line for line in nodes[0].prompt if re.match(r"[-+][^-+]", line)]
    assert removed.replace("Judge", "Weigh", 1)[1:] == added[1:]
    assert [change.field for change in found.changes] == ["config.prompts.greeks"]


def test_spreads_of_one_run_only_are_named(folder: Path, base: Any) -> None:
    run_scan(folder / "twice.db", "none")
    run_scan(folder / "twice.db", "none")
    found = compare(base, trace_of(folder / "twice.db"))
    reviewed = [one.label for one in base.candidates if one.reviewed]
    assert set(found.only_before) == set(reviewed) - {one.label for one in trace_of(folder / "twice.db").candidates}
    assert found.only_before


def test_the_command_tells_it_as_a_tree_and_as_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    database = folder / "both.db"
    first = scanned(database, favourable)
    second = scanned(database, favourable)
    arguments = ["trace", "diff", first, second, "--db", str(database)]
    assert main(arguments) == 0
    tree = capsys.readouterr().out
    assert f"from {first}  to {second}" in tree
    assert f"only in {first}" in tree
    assert main([*arguments, "--json"]) == 0
    document: Any = json_of(capsys.readouterr().out)
    assert (document["before"], document["after"], document["same"]) == (first, second, False)
    assert main(["trace", "diff", first, first, "--db", str(database)]) == 0
    assert "nothing differs, apart from ids, ranks and times" in capsys.readouterr().out


def test_an_unknown_run_is_refused(folder: Path, base: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", "diff", base.run.id, "nothing", "--db", str(folder / "base.db")]) == 2
    assert "no run `nothing`" in capsys.readouterr().err
