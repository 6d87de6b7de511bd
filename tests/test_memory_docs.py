"""docs/memory.md: its commands work in the order in which they are read, and the table is as it says."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest
from evaluations import served
from remembering import Ended, remember

from mahler_agents.cli import main
from mahler_agents.record import open_database
from mahler_agents.testing.scripted import favourable

PAGE = (Path(__file__).parents[1] / "docs" / "memory.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^    ((?:mahler|sed|printf) .*)$", PAGE, re.MULTILINE)


def test_it_begins_with_a_command() -> None:
    assert re.match(r"# .*\n\n    mahler init my-desk\n", PAGE)


def test_its_commands_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    record = open_database(Path("mahler-sample-paper.db"), create=True)
    remember(record, [Ended(number=number, entered=5 * number, lived=48) for number in range(8)])
    said: dict[str, str] = {}
    with served(favourable) as server:
        for name, value in server.environ.items():
            monkeypatch.setenv(name, value)
        for command in BLOCKS:
            if command.startswith("mahler"):
                assert main(shlex.split(command)[1:]) == 0, command
            else:
                subprocess.run(command, shell=True, check=True)  # noqa: S602 - the page's own line
            said[command] = capsys.readouterr().out
    assert "in order" in said["mahler prompt check my-desk/prompts/greeks.md"]
    shown = said["mahler prompt render my-desk/prompts/greeks.md"].splitlines()
    form = [line.strip() for line in PAGE.splitlines()]
    for line in ("Similar trades that had been closed by then:", "entered | closed | trade | exit | dollars"):
        assert line in shown
        assert line in form
    assert len(shown) - shown.index("entered | closed | trade | exit | dollars") == 1 + 3
    assert "8 cases in common" in said["mahler eval compare"]


def test_it_names_the_module_s_types_as_they_are() -> None:
    from mahler_agents.analysts.trade import AnalystBrief

    assert f"`{AnalystBrief.__name__}`" in PAGE
