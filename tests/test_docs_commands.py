"""Every command that README.md and docs/ show: it exists with its options, and the README's own really run."""

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from recorded import made_once

from mahler_agents.cli import VERBS, mahler, main
from mahler_agents.schedule import Job

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))


def commands(page: Path) -> Iterator[str]:
    """Yield each `mahler ...` line of a page's blocks, without the remark behind it."""
    for line in page.read_text(encoding="utf-8").splitlines():
        found = re.fullmatch(r"    (?:[A-Z_]+=\S+ )*(?:\.venv/bin/)?(mahler [a-z-][^#]*?)(?:\s+#.*)?", line)
        if found and not found[1].startswith("mahler:"):
            yield found[1]


SHOWN = sorted({(page.name, command) for page in PAGES for command in commands(page)})


def leaf(arguments: list[str]) -> tuple[click.Command, list[str]]:
    """Return the command of a line and what it is given."""
    command: click.Command = mahler
    context = click.Context(mahler)
    while isinstance(command, click.Group):
        parser = command.make_parser(context)
        parser.allow_interspersed_args = False
        _, rest, _ = parser.parse_args(arguments)
        name, *arguments = rest
        found = command.get_command(context, name)
        assert found is not None, f"no verb {name}"
        command, context = found, click.Context(found, parent=context)
    return command, arguments


@pytest.mark.parametrize(("page", "command"), SHOWN, ids=lambda one: one)
def test_every_command_that_a_page_shows_exists_with_its_options(page: str, command: str) -> None:
    del page
    found, arguments = leaf(shlex.split(command)[1:])
    given, _, _ = found.make_parser(click.Context(found)).parse_args(arguments)  # raises for an unknown option
    assert given is not None


DEPLOYED = sorted(
    (file.name, command)
    for file in (ROOT / "docs" / "deploy").iterdir()
    for command in re.findall(r"\.venv/bin/(mahler .*?)(?: >|$)", file.read_text(encoding="utf-8"), re.MULTILINE)
)


@pytest.mark.parametrize(("file", "command"), DEPLOYED, ids=lambda one: one)
def test_what_cron_and_systemd_run_is_a_job_of_the_schedule(file: str, command: str) -> None:
    assert command in {"mahler run", "mahler monitor", "mahler scan --slot auto", "mahler summary --slot auto"}, file
    test_every_command_that_a_page_shows_exists_with_its_options(file, command)


def test_every_timer_has_its_service_and_every_job_a_timer_and_a_line_for_cron() -> None:
    deployed = ROOT / "docs" / "deploy"
    assert {file.stem for file in deployed.glob("*.timer")} == {f"mahler-{job}" for job in Job}
    assert all(file.with_suffix(".service").is_file() for file in deployed.glob("*.timer"))
    assert len([file for file, _ in DEPLOYED if file == "crontab"]) == len(Job)


@pytest.mark.parametrize(
    "page", ["schedule", "prompts", "inspect", "replay", "alpaca", "configuration", "doctor", "evaluation", "evidence"]
)
def test_the_pages_of_the_uses_begin_with_a_command(page: str) -> None:
    text = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
    assert re.match(r"# [^\n]+\n\n    mahler ", text)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_says_what_it_does(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*verb.split(), "--help"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"Usage: mahler {verb}")
    assert len(shown.splitlines()) > 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the record of a scan, in which the README's commands are run in their order."""
    made = tmp_path_factory.mktemp("newcomer")
    shutil.copy(made_once(tmp_path_factory), made / "mahler-sample-paper.db")
    return made


SHORTER = {"--to 2026-03-31": "--to 2026-01-05"}
"""A day of the quarter that the README simulates."""
RUN = [
    line
    for line in re.findall(r"^    (\.venv/bin/\S+ [^#\n]*)", PAGES[0].read_text(encoding="utf-8"), re.MULTILINE)
    if not line.startswith(".venv/bin/mahler replay")  # asks the embedded model: tests/e2e/test_replay.py
]


@pytest.mark.parametrize("line", RUN, ids=lambda line: line.strip())
def test_the_readmes_commands_run(line: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAHLER_MODEL", "none")
    for long, short in SHORTER.items():
        line = line.replace(long, short)
    program, *arguments = shlex.split(line)
    ended = subprocess.run(
        [Path(sys.executable).with_name(Path(program).name), *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    judges = {"doctor", "verify"} & {*arguments}  # exit code 1 is their word on this record and this machine
    assert ended.returncode in ({0, 1} if judges else {0}), ended.stderr
    assert ended.stdout.strip()


def test_the_schedules_example_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    [example] = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "schedule.md").read_text(), re.DOTALL)
    exec(compile(example, "docs/schedule.md", "exec"), {})  # noqa: S102 - our own example
    assert capsys.readouterr().out.endswith("traded\n")
