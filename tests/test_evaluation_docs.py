"""docs/evaluation.md: its commands and its Python work in the order in which they are read; it names what there is."""

import re
import shlex
from pathlib import Path

import pytest
from evaluations import added, brief, knowing, record_of, served

from mahler_agents.cli import main
from mahler_agents.cli.case import case
from mahler_agents.cli.eval import eval as evaluation
from mahler_agents.cli.prompt import prompt
from mahler_agents.evaluation.aggregates import AGGREGATES
from mahler_agents.evaluation.query import KEYS
from mahler_agents.evaluation.scorers import BUILT_IN
from mahler_agents.llm.prompts import load_prompt

PAGE = (Path(__file__).parents[1] / "docs" / "evaluation.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^    mahler (.*)$", PAGE, re.MULTILINE)
RUN = COMMANDS[0]


def test_it_begins_with_a_command() -> None:
    assert re.match(r"# .*\n\n    mahler eval run greeks my-greeks\.md ", PAGE)


def test_its_commands_and_its_python_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    record_of(Path("mahler-sample-paper.db"), 8)
    shipped = load_prompt("greeks")
    Path("my-greeks.md").write_text(shipped.text.replace("# System\n", "# System\nSKILLED "), encoding="utf-8")
    Path("brief.json").write_text(brief(99).text, encoding="utf-8")
    scorer, from_python = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    Path("my_scorers.py").write_text(scorer, encoding="utf-8")
    with served(knowing()) as server:
        for name, value in server.environ.items():
            monkeypatch.setenv(name, value)
        for command in COMMANDS:
            if command.startswith("eval compare"):  # of the evaluation that the page began with
                assert main(shlex.split(RUN)) == 0
            words = command.partition("  #")[0].replace("@d4f6", f"@{shipped.content_hash[:4]}")
            words = words.replace("47566802", added(0).brief_hash[:8])
            code = main(shlex.split(words))
            said = capsys.readouterr()
            nothing_failed = command.startswith("eval retry") and "nothing failed" in said.err
            assert code == 0 or nothing_failed, (command, said.err)
        exec(compile(from_python, "docs/evaluation.md", "exec"), {})  # noqa: S102 - our own example
    assert "(n = " in capsys.readouterr().out
    assert Path("comparison.html").is_file()
    assert len(Path("hard.jsonl").read_text(encoding="utf-8").splitlines()) == 2


def test_it_names_every_verb_every_key_and_every_scorer() -> None:
    for group, verbs in (("prompt", prompt), ("case", case), ("eval", evaluation)):
        for name in verbs.commands:
            assert any(command.startswith(f"{group} {name}") for command in COMMANDS), (group, name)
    for key in KEYS:
        assert f"`{key}`" in PAGE, key
    for one in (*BUILT_IN, *AGGREGATES):
        assert one.name in PAGE, one.name
