"""docs/status.md and docs/logs.md: their commands work, their example runs, and they name every option and field."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from cli_scans import run_scan

from mahler_agents.cli import mahler, main
from mahler_agents.cli.status import status
from mahler_agents.logs import FIELDS

DOCS = Path(__file__).parents[1] / "docs"
STATUS, LOGS = ((DOCS / f"{name}.md").read_text(encoding="utf-8") for name in ("status", "logs"))
COMMAND = re.compile(r"^    mahler (.*)$", re.MULTILINE)


def test_each_begins_with_a_command() -> None:
    assert re.match(r"# .*\n\n    mahler status\n", STATUS)
    assert re.match(r"# .*\n\n    mahler --log-format json scan --model none\n", LOGS)


def test_their_commands_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    run_scan(Path("mahler-sample-paper.db"), "none")
    for command in (*COMMAND.findall(STATUS), *COMMAND.findall(LOGS)):
        assert main(shlex.split(command)) == 0, command
        said = capsys.readouterr()
        assert said.out, command
        if "json scan" in command:
            assert all(json.loads(line)["run_id"] for line in said.err.splitlines())


def test_the_example_of_a_library_says_its_job() -> None:
    [code] = re.findall(r"```python\n(.*?)```", LOGS, re.DOTALL)
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(ended.stderr)["job"] == "mine"


def test_they_name_every_option_and_every_field() -> None:
    for parameter in status.params:
        for option in (*parameter.opts, *parameter.secondary_opts):
            assert option in STATUS
    for parameter in mahler.params:
        if parameter.name and parameter.name.startswith("log"):
            assert parameter.opts[0] in LOGS
            assert str(parameter.envvar) in LOGS
    for name in (*FIELDS, "time", "level", "logger", "message", "exception", "stack"):
        assert f"`{name}`" in LOGS, name
