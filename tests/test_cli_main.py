"""The `mahler` program: help, exit codes, one line for every error that is the user's to mend."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import click
import pytest
from cli_scans import json_of
from desks import passes_every

from mahler_agents import __version__
from mahler_agents.cli import VERBS, main
from mahler_agents.cli.program import show_command, typable

PROGRAM = (sys.executable, "-c", "import sys; from mahler_agents.cli import main; sys.exit(main())")
CSV = """\
underlying,underlying_last,optionroot,type,expiration,quotedate,strike,last,bid,ask,volume,openinterest,impliedvol,\
delta,gamma,theta,vega,optionalias
SPY,390.25,SPY210305C00395000,call,2021-03-05,2021-02-09,395.0,3.93,4.1,4.13,4551,2428,0.15146,\
0.38563,0.02523,-0.12108,0.3827,SPY210305C00395000
"""


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith(("MAHLER_", "OPENAI_"))] + ["ENVIRONMENT"]:
        monkeypatch.delenv(name, raising=False)


def test_help_shows_every_verb_with_its_line_and_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    for verb, line in VERBS.items():
        assert any(verb in row and line in row for row in shown.splitlines())
    assert "0 done; 1 the job failed; 2 bad input or unknown id; 3 halted" in shown


def test_the_verbs_in_the_help_are_those_that_exist() -> None:
    found: list[str] = []
    for name in dict.fromkeys(verb.split()[0] for verb in VERBS):
        module = name.replace("-", "_")
        command = getattr(import_module(f"mahler_agents.cli.{module}"), module)
        commands = command.list_commands(click.Context(command)) if isinstance(command, click.Group) else [""]
        found += [f"{name} {sub}".strip() for sub in commands]
    assert sorted(found) == sorted(VERBS)


def test_the_version_is_the_package_s(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"mahler {__version__}\n"


def test_no_verb_at_all_shows_the_help_and_is_bad_input(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "trace list" in capsys.readouterr().err


def write_prompts(folder: Path) -> None:
    """Copy the package's prompts, one of them with a variable that no brief has."""
    folder.mkdir()
    source = Path(import_module("mahler_agents").__path__[0]) / "prompts"
    for prompt in source.glob("*.md"):
        text = prompt.read_text()
        (folder / prompt.name).write_text(text + "{{ moon_phase }}" if prompt.name == "greeks.md" else text)


BAD_INPUT: list[tuple[Sequence[str], Sequence[str]]] = [
    (["scan", "--market", "moon"], ["moon", "sample", "csv:PATH"]),
    (["scan", "--market", "csv:missing.csv"], ["missing.csv"]),
    (["scan", "--market", "csv:no_bid.csv"], ["no_bid.csv", "bid"]),
    (["scan", "--market", "csv:one_day.csv", "--as-of", "2019-01-02", "--model", "none"], ["2019-01-02", "2021-02-09"]),
    (
        ["scan", "--market", "csv:one_day.csv", "--as-of", "2021-02-09T10:00", "--model", "none"],
        ["2021-02-09 10:00", "before the close", "16:00"],
    ),
    (["simulate", "--from", "2026-01-10", "--to", "2026-01-11"], ["no session", "2026-01-10"]),
    (["scan", "--market", "sample", "--as-of", "1999-01-04", "--model", "none"], ["1999-01-04"]),
    (["scan", "--market", "sample", "--as-of", "2026-03-15", "--model", "none"], ["2026-03-15", "2026-03-16"]),
    (["scan", "--as-of", "tomorrow"], ["--as-of", "tomorrow", "2026-03-16"]),
    (["scan", "--broker", "friend"], ["friend", "paper"]),
    (["scan", "--model", "oracle"], ["oracle", "openai:NAME"]),
    (["scan", "--model", "local:missing.gguf"], ["missing.gguf"]),
    (["scan", "--model", "openai:some"], ["OPENAI_API_KEY"]),
    (["scan", "--prompts", "prompts", "--model", "local"], ["greeks.md", "moon_phase"]),
    (["scan", "--prompts", "prompts", "--model", "none"], ["greeks.md", "moon_phase"]),
    (["scan", "--prompts", "missing", "--model", "local"], ["--prompts", "missing"]),
    (["scan", "--seed", "x"], ["--seed", "x"]),
    (["scan", "--db", "missing/x.db", "--model", "none"], ["missing"]),
    (["scan", "surplus"], ["surplus", "mahler scan --help"]),
    (["scan", "--no-such-option"], ["--no-such-option"]),
    (["dance"], ["dance"]),
    (["trace", "list"], ["mahler-*.db", "--db"]),
    (["trace", "list", "--db", "missing.db"], ["missing.db"]),
    (["trace", "list", "--db", "one_day.csv"], ["one_day.csv"]),
    (["trace", "list", "--limit", "0"], ["--limit"]),
    (["trace", "show"], ["ID"]),
    (["model", "install", "--from", "missing.whl"], ["missing.whl"]),
]


@pytest.mark.parametrize(("arguments", "named"), BAD_INPUT, ids=" ".join)
def test_bad_input_is_one_line_that_names_it_and_exit_code_2(
    arguments: Sequence[str],
    named: Sequence[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "one_day.csv").write_text(CSV)
    (tmp_path / "no_bid.csv").write_text(CSV.replace(",bid,", ",offer,"))
    write_prompts(tmp_path / "prompts")
    monkeypatch.setenv("MAHLER_MODELS", str(tmp_path))
    code = main(arguments)
    printed = capsys.readouterr()
    assert (code, printed.out) == (2, "")
    assert printed.err.startswith("mahler: ")
    assert printed.err.count("\n") == 1
    for word in named:
        assert word in printed.err


def test_a_date_of_a_csv_file_is_its_close_however_it_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "one_day.csv").write_text(CSV)
    for number, date in enumerate(("2021-02-09", "20210209", "2021-02-09T16:00")):
        arguments = ["scan", "--market", "csv:one_day.csv", "--as-of", date, "--model", "none", "--db", f"{number}.db"]
        assert main(arguments) == 0
        assert "as of 2021-02-09 16:00 New York" in capsys.readouterr().out


def test_a_simulation_is_recorded_where_the_variable_says_and_refused_a_second_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAHLER_DB", "mine.db")
    days = ["simulate", "--from", "2026-01-05", "--to", "2026-01-05"]
    with passes_every(30):
        assert main(days) == 0
    assert capsys.readouterr().out.startswith("SYNTHETIC MARKET")
    assert [path.name for path in tmp_path.glob("*.db")] == ["mine.db"]
    assert main(days) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == (
        "mahler: mine.db already holds the scans of 2026-01-05: use another file with --db, or other days\n"
    )


def test_commands_are_named_as_the_user_can_type_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "mahler").write_text("#!/bin/sh\n")
    (folder / "mahler").chmod(0o755)
    monkeypatch.setattr(sys, "argv", ["bin/mahler"])
    monkeypatch.setenv("PATH", str(tmp_path))
    assert typable("run `mahler model install`") == "run `bin/mahler model install`"
    assert show_command("x", Path("my own.db")) == "bin/mahler trace show x --db 'my own.db'"
    monkeypatch.setenv("PATH", str(folder))
    Path("mahler-sample-paper.db").touch()
    assert show_command("x", Path("mahler-sample-paper.db")) == "mahler trace show x"


def test_an_unknown_environment_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("MAHLER_ENVIRONMENT", "lvie")
    assert main(["scan", "--model", "none"]) == 2
    assert "MAHLER_ENVIRONMENT='lvie'" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["trace", "list", "--db", "x.db"], ["trace", "--help"]]
)
def test_the_light_verbs_import_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys; from mahler_agents.cli import main; main(sys.argv[1:]);"
        "heavy = {'pydantic', 'numpy', 'scipy', 'pandas', 'langgraph', 'langchain_core', 'langchain_openai', 'openai',"
        " 'httpx2', 'sqlite_utils', 'rich', 'jinja2', 'yaml'};"
        "print('heavy:', sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    ended = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    assert ended.stderr.splitlines()[-1] == "heavy: []"


def test_a_scan_goes_on_when_the_reader_of_its_output_has_gone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with subprocess.Popen(
        [*PROGRAM, "scan", "--model", "none", "--db", "x.db"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait() == 0
    assert main(["trace", "list", "--json", "--db", "x.db"]) == 0
    (run,) = json_of(capsys.readouterr().out)
    assert run["status"] == "done"
    assert run["traded"] > 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_output_that_cannot_be_written_is_told_in_one_line() -> None:
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run([*PROGRAM, "--help"], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr == "mahler: cannot write the output: No space left on device\n"


def test_an_interrupted_scan_ends_with_one_line_and_is_recorded_as_failed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections and never replies
        variables = {**os.environ, "OPENAI_BASE_URL": f"http://127.0.0.1:{silent.getsockname()[1]}/v1"}
        with subprocess.Popen(
            [*PROGRAM, "scan", "--model", "openai:silent", "--db", "x.db"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            env=variables,
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            for line in process.stdout:
                if line.startswith("screen:"):
                    break
            accepted, _ = silent.accept()
            with accepted:
                process.send_signal(signal.SIGINT)
                assert process.stderr.read().strip() == "mahler: interrupted"
                assert process.wait() == 130
    assert main(["trace", "show", "latest", "--json", "--db", "x.db"]) == 0
    assert json_of(capsys.readouterr().out)["run"]["status"] == "failed"
