"""The README: its picture is the graph's own, and its Python runs."""

import re
from pathlib import Path

import pytest

from mahler_agents.graphs.review import build

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def test_the_picture_is_the_one_that_the_graph_draws() -> None:
    [picture] = re.findall(r"```mermaid\n(.*?)```", README, re.DOTALL)
    assert picture.strip() == build().get_graph().draw_mermaid().strip()


def test_the_library_example_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    [example] = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    exec(compile(example, "README.md", "exec"), {})  # noqa: S102 - our own example
    assert "filled" in capsys.readouterr().out


def test_every_linked_page_exists() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (Path(__file__).parents[1] / target).exists(), target
