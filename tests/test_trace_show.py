"""`mahler trace show` of a part of a run: one candidate, one node, the prompts as rendered, the calls as sent."""

from pathlib import Path
from typing import Any

import pytest
from cli_scans import hostile_script, json_of, run_scan

from mahler_agents.cli import main
from mahler_agents.record.queries import Reader
from mahler_agents.record.trace_rows import RunTrace
from mahler_agents.testing.scripted import ScriptedModel
from mahler_agents.text import visible


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("show") / "show.db"
    run_scan(path, ScriptedModel(hostile_script))
    return path


@pytest.fixture(scope="module")
def recorded(database: Path) -> RunTrace:
    with Reader(database) as reader:
        return reader.trace(reader.run_id("latest"))


@pytest.fixture
def shown(database: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Return what runs `trace show latest` and returns what it printed."""

    def show(*arguments: str, code: int = 0) -> str:
        assert main(["trace", "show", "latest", "--db", str(database), *arguments]) == code
        streams = capsys.readouterr()
        return streams.err if code else streams.out

    return show


def test_a_candidate_and_a_node_are_shown_alone(shown: Any, recorded: RunTrace) -> None:
    [second] = [one for one in recorded.candidates if one.rank == 2]
    tree = shown("--candidate", "2", "--node", "greeks")
    assert second.label in tree
    assert tree.count("── greeks  ") == 1
    assert not [one.label for one in recorded.candidates if one.rank != 2 and one.label in tree]
    assert "── technical  " not in tree
    assert "advisory" not in tree.split("── greeks  ")[1]


@pytest.mark.parametrize("node", ["brief", "fund_manager", "advisory", "size", "execute", "record"])
def test_a_node_shows_what_it_left(shown: Any, node: str) -> None:
    document: Any = json_of(shown("--node", node, "--json"))
    [first, *_] = document["candidates"]
    kept = {name for name in ("opinions", "failures", "verdict", "advice", "sizing", "orders") if first[name]}
    left = {"fund_manager": {"verdict"}, "advisory": {"advice"}, "size": {"sizing"}, "execute": {"orders"}}
    assert kept == left.get(node, set())
    assert {span["name"] for one in document["candidates"] for span in one["spans"]} == {node}


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ("--node greek", "has no node `greek` here: it has brief, "),
        ("--candidate 99", "has no candidate 99: its candidates are 1 to "),
        ("--prompt --raw", "--prompt and --raw: choose one; --raw holds the prompt, too"),
    ],
)
def test_a_part_that_is_not_there_is_refused_in_a_line(shown: Any, arguments: str, line: str) -> None:
    said = shown(*arguments.split(), code=2)
    assert line in said
    assert len(said.splitlines()) == 1


def test_the_prompt_is_shown_as_it_was_rendered(shown: Any, recorded: RunTrace) -> None:
    text = shown("--prompt", "--candidate", "1", "--node", "greeks")
    [document] = json_of(shown("--prompt", "--candidate", "1", "--node", "greeks", "--json"))
    assert document["messages"][0]["role"] == "system"
    assert document["prompt"] in recorded.prompts
    for message in document["messages"]:
        assert f"--- {message['role']}\n{message['content']}\n" in text


def test_raw_is_every_request_and_response_to_the_letter(shown: Any, recorded: RunTrace) -> None:
    calls = [call for one in recorded.candidates for span in one.spans for call in span.calls]
    document: Any = json_of(shown("--raw", "--json"))
    assert [(one["request"], one["response"]) for one in document] == [(one.request, one.response) for one in calls]
    text = shown("--raw")
    assert all(visible(call.request) in text for call in calls)
    assert not [char for char in text if char != "\n" and not char.isprintable()]


def test_a_run_without_calls_has_no_prompt_to_show(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_scan(tmp_path / "rules.db", "none")
    for option in ("--prompt", "--raw"):
        assert main(["trace", "show", "latest", "--db", str(tmp_path / "rules.db"), option]) == 0
        assert capsys.readouterr().out.splitlines()[1:] == ["no LLM call here"]


def test_each_version_of_a_prompt_that_the_tree_names_finds_its_run(
    shown: Any, database: Path, recorded: RunTrace, capsys: pytest.CaptureFixture[str]
) -> None:
    tree = shown("--node", "greeks")
    version = tree.split("prompt ")[1][:8]
    assert main(["trace", "list", "--db", str(database), "--prompt", version, "--json"]) == 0
    [run] = json_of(capsys.readouterr().out)
    assert run["id"] == recorded.run.id
