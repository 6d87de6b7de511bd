"""End to end: docs/adding-an-analyst.md does what it says; its blocks are what runs here."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from desks import rows, scan

from mahler_agents.analysts import ANALYSTS
from mahler_agents.testing.scripted import ScriptedModel

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "adding-an-analyst.md").read_text(encoding="utf-8")
MODULE, PROMPT, LINE, SCRIPT, PRINTED = re.findall(r"^```\w+\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
REGISTRY = "mahler_agents/analysts/__init__.py"


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of this checkout in which the page was followed."""
    copy = tmp_path_factory.mktemp("checkout")
    for folder in ("mahler_agents", "graphs", "prompts"):
        shutil.copytree(ROOT / folder, copy / folder, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "mahler_agents/analysts/macro.py").write_text(MODULE)
    (copy / "prompts/macro.md").write_text(PROMPT)
    registry = (copy / REGISTRY).read_text()
    (copy / REGISTRY).write_text(registry.replace('"volatility",\n', f'"volatility",\n{LINE}'))
    (copy / "show_macro.py").write_text(SCRIPT)
    return copy


def run(checkout: Path, *arguments: str) -> str:
    """Return what Python prints in that checkout."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("MAHLER_", "OPENAI_"))}
    ended = subprocess.run(
        [sys.executable, *arguments],
        cwd=checkout,
        env=environ | {"PYTHONPATH": str(checkout)},
        capture_output=True,
        text=True,
        check=True,
    )
    return ended.stdout


def test_the_page_names_the_files_that_it_adds() -> None:
    assert LINE.count("\n") == 1
    for named in ("mahler_agents/analysts/macro.py", "prompts/macro.md", REGISTRY, '"volatility",'):
        assert f"`{named}`" in PAGE


def test_the_page_s_script_prints_what_the_page_says(checkout: Path) -> None:
    assert run(checkout, "show_macro.py") == PRINTED


def test_the_added_analyst_has_its_node(checkout: Path) -> None:
    code = "from mahler_agents.graphs.review import build; print(build().get_graph().draw_mermaid())"
    picture = run(checkout, "-c", code)
    assert "brief --> macro;" in picture
    assert "macro --> fund_manager;" in picture


def test_a_fifth_analyst_is_heard_recorded_and_told_to_the_fund_manager(tmp_path: Path) -> None:
    """As the page's last part has it: without a checkout, the panel named by the library's user."""
    (tmp_path / "macro.py").write_text(MODULE)
    spec = importlib.util.spec_from_file_location("macro", tmp_path / "macro.py")
    assert spec is not None
    assert spec.loader is not None
    macro = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(macro)
    prompts = tmp_path / "prompts"
    shutil.copytree(ROOT / "prompts", prompts)
    (prompts / "macro.md").write_text(PROMPT)

    model = ScriptedModel.always(confidence=0.5)
    panel = (*ANALYSTS, macro.ANALYST)
    result = scan(tmp_path / "desk.db", model.endpoint, analysts=panel, prompts=prompts)

    assert {opinion.analyst for opinion in result.reviews[0].opinions} == {analyst.name for analyst in panel}
    assert {row[1] for row in rows(tmp_path / "desk.db", "opinions")} == {analyst.name for analyst in panel}
    asked = [request for request in model.requests if request.role == "fund_manager"]
    assert "macro" in asked[0].messages[-1]["content"]
