"""docs/doctor.md: it begins with a command, its table is the registry's, its commands and its example run."""

import re
import shlex
from pathlib import Path

import pytest

from mahler_agents.cli import main
from mahler_agents.cli.doctor import doctor
from mahler_agents.doctor.documentation import renewed

PAGE = (Path(__file__).parents[1] / "docs/doctor.md").read_text(encoding="utf-8")
COMMANDS = [
    line.strip().partition(" #")[0].strip() for line in PAGE.splitlines() if line.startswith("    mahler doctor")
]


def test_it_begins_with_a_command() -> None:
    assert re.match(r"# .*\n\n    mahler doctor\n", PAGE)


def test_its_table_is_the_registry_s() -> None:
    assert renewed(PAGE) == PAGE, "python -m mahler_agents.doctor.documentation docs/doctor.md"
    assert "| `spread-widths` |" in PAGE


@pytest.mark.parametrize("command", COMMANDS)
def test_its_commands_run(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("APCA_API_KEY_ID", "PKCANARY0123456789")
    monkeypatch.setenv("APCA_API_SECRET_KEY", "canarySecret0123456789")
    monkeypatch.setenv("OPENAI_API_KEY", "canary0123456789")
    # Whoever would be asked is not on this machine.
    assert main([*shlex.split(command)[1:], "--offline"]) in {0, 1}


def test_its_options_exist() -> None:
    options = {option for parameter in doctor.params for option in parameter.opts}
    assert set(re.findall(r"(?<!`)(--[a-z]+)", "\n".join(COMMANDS))) <= options


def test_its_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    [example] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(example, "docs/doctor.md", "exec"), {})  # noqa: S102 - our own example
    assert "scheduler warn start `mahler run`" in capsys.readouterr().out
