"""The examples of pages that have no test of their own run, in a folder with a record, some at a fake Alpaca."""

import contextlib
import re
import shlex
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from recorded import made_once
from test_docs_commands import ROOT, commands

from mahler_agents.cli import main
from mahler_agents.record.queries import LATEST, Reader
from mahler_agents.testing.fake_alpaca import FakeAlpaca

RECORD = "mahler-sample-paper.db"
ELSEWHERE = {
    "mahler run": "tests/e2e/test_daemon.py",
    "mahler scan --resume": "tests/e2e/test_resume.py: there must be a scan that was killed",
    "mahler reconcile --market alpaca --broker alpaca --closed": "tests/test_broken_positions.py: closed by hand",
}
"""Beginnings of commands that are run by other tests."""
AT_ALPACA = {"schedule": {"MAHLER_MARKET": "alpaca", "MAHLER_BROKER": "alpaca"}}
"""Pages whose commands name no market, and mean a desk that has a present."""
EXAMPLES = [
    (page, command)
    for page in ("prompts", "recorded-market", "safety", "schedule")
    for command in commands(ROOT / "docs" / f"{page}.md")
    if not command.startswith(tuple(ELSEWHERE))
]


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeAlpaca]:
    with FakeAlpaca() as started:
        yield started


@pytest.fixture
def variables(fake: FakeAlpaca, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Set the variables under which a page's command is meant."""

    def set_for(page: str, command: str) -> None:
        at_alpaca = "alpaca" in command or page in AT_ALPACA
        found = {"MAHLER_MODEL": "none", **(fake.environ if at_alpaca else {}), **AT_ALPACA.get(page, {})}
        for name, value in found.items():
            monkeypatch.setenv(name, value)

    return set_for


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the record of a scan, in which the commands of all pages are run in their order."""
    made = tmp_path_factory.mktemp("examples")
    record = made_once(tmp_path_factory)
    for name in (RECORD, "desk.db"):
        shutil.copy(record, made / name)
    return made


def as_typed(command: str, folder: Path) -> list[str]:
    """Return a command's arguments, with the run that is there for the page's, and an answer where it would ask."""
    with Reader(folder / "desk.db") as reader:
        run = reader.run_id(LATEST)
    answer = ["--yes"] if command == "mahler unhalt" else []
    return [*shlex.split(re.sub(r"recorded:\d{8}-\w+$", f"recorded:{run[:12]}", command))[1:], *answer]


@pytest.mark.parametrize(("page", "command"), EXAMPLES, ids=lambda one: one)
def test_what_a_page_shows_runs(
    page: str,
    command: str,
    folder: Path,
    variables: Callable[[str, str], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    variables(page, command)
    with contextlib.chdir(folder):
        assert main(as_typed(command, folder)) == 0, capsys.readouterr().err
    assert capsys.readouterr().out.strip()


def test_the_scripted_models_example_hears_of_the_analyst_that_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    [example] = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "scripted-model.md").read_text(), re.DOTALL)
    exec(compile(example, "docs/scripted-model.md", "exec"), {})  # noqa: S102 - our own example
    assert capsys.readouterr().out.startswith("greeks server_error")


def test_the_example_of_a_prompt_has_the_form_of_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    [example] = re.findall(r"```markdown\n(.*?)```", (ROOT / "docs" / "prompts.md").read_text(), re.DOTALL)
    (tmp_path / "greeks.md").write_text(example, encoding="utf-8")
    assert main(["prompt", "check", str(tmp_path / "greeks.md")]) == 0
    assert "greeks" in capsys.readouterr().out
