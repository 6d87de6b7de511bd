"""docs/inspect.md: every command in it works on the record of one scan, in the order in which it is read."""

import re
import shlex
from pathlib import Path

import pytest
from cli_scans import run_scan

from mahler_agents.cli import main
from mahler_agents.cli.trace import trace
from mahler_agents.testing.scripted import ScriptedModel, favourable

PAGE = (Path(__file__).parents[1] / "docs" / "inspect.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^    mahler (.*)$", PAGE, re.MULTILINE)


def test_it_begins_with_a_command() -> None:
    assert re.match(r"# .*\n\n    mahler trace show latest\n", PAGE)


def test_its_commands_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    run_scan(Path("mahler-sample-paper.db"), ScriptedModel(favourable))
    for command in COMMANDS:
        assert main(shlex.split(command)) == 0, command
        assert len(capsys.readouterr().out.splitlines()) >= 2, command
    assert Path("run.html").is_file()


def test_it_names_every_verb_and_every_filter() -> None:
    for name, verb in trace.commands.items():
        assert any(command.startswith(f"trace {name}") for command in COMMANDS), name
        for parameter in verb.params:
            option = parameter.opts[0]
            assert not option.startswith("--") or option in PAGE, option
