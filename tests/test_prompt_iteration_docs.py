"""docs/prompt-iteration.md: what it did is done again in part: its first days, its two prompts, the embedded model."""

import json
import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from mahler_agents.cli import main

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "prompt-iteration.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^    mahler (.*)$", PAGE, re.MULTILINE)
LAST_DAY = "2026-01-05"
"""Its simulation goes on longer; this much has one case."""


def test_it_begins_with_a_command() -> None:
    assert re.match(r"# .*\n\n    mahler prompt check greeks\n", PAGE)


@pytest.mark.model
@pytest.mark.usefixtures("embedded_model")
def test_its_commands_work_on_its_first_days(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "prompts").symlink_to(ROOT / "prompts")
    monkeypatch.chdir(tmp_path)
    [edit] = re.findall(r"^    (sed .*)$", PAGE, re.MULTILINE)
    subprocess.run(edit, shell=True, check=True)  # noqa: S602 - the page's own line
    for command in COMMANDS:
        shorter = re.sub(r"--to \S+", f"--to {LAST_DAY}", re.sub(r'date=[^" ]+', f"date=..{LAST_DAY}", command))
        assert main(shlex.split(shorter)) == 0, shorter
        said = capsys.readouterr().out
        if command.startswith("eval run"):
            assert "2 of 2 answers" in said
            assert "(toy)" in said
    assert "too few cases to tell (n = 1 on 1 date" in said
    assert Path("comparison.html").is_file()
    assert main(["case", "list", "--json", "analyst=greeks", "--db", "prompts.db"]) == 0
    [case] = json.loads(capsys.readouterr().out)
    assert case["as_of"].startswith(LAST_DAY)
    assert os.environ.get("OPENAI_API_KEY") is None  # nobody else was asked
