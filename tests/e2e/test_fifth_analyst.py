"""End to end: a fifth analyst is one module, one prompt and one line of the registry."""

import importlib.util
import shutil
from pathlib import Path

from desks import rows, scan
from test_analysts import MACRO_MODULE, MACRO_PROMPT

from mahler_agents.analysts import ANALYSTS
from mahler_agents.testing.scripted import ScriptedModel

PROMPTS = Path(__file__).parents[2] / "prompts"


def test_a_fifth_analyst_is_heard_recorded_and_told_to_the_fund_manager(tmp_path: Path) -> None:
    (tmp_path / "macro.py").write_text(MACRO_MODULE)
    spec = importlib.util.spec_from_file_location("macro", tmp_path / "macro.py")
    assert spec is not None
    assert spec.loader is not None
    macro = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(macro)
    prompts = tmp_path / "prompts"
    shutil.copytree(PROMPTS, prompts)
    (prompts / "macro.md").write_text(MACRO_PROMPT)

    model = ScriptedModel.always(confidence=0.5)
    panel = (*ANALYSTS, macro.ANALYST)
    result = scan(tmp_path / "desk.db", model.endpoint, analysts=panel, prompts=prompts)

    assert {opinion.analyst for opinion in result.reviews[0].opinions} == {analyst.name for analyst in panel}
    assert {row[1] for row in rows(tmp_path / "desk.db", "opinions")} == {analyst.name for analyst in panel}
    asked = [request for request in model.requests if request.role == "fund_manager"]
    assert "macro" in asked[0].messages[-1]["content"]
