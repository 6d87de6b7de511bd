"""docs/evidence.md: it begins with a command, names every option, its example runs; the design page's figures hold."""

import datetime as dt
import re
from pathlib import Path

import pytest

from mahler_agents.cli.evidence import evidence
from mahler_agents.evidence.cutoffs import cutoff_of, load_cutoffs
from mahler_agents.evidence.settings import Settings
from mahler_agents.statistics.sequential import radius

DOCS = Path(__file__).parent.parent / "docs"
PAGE = (DOCS / "evidence.md").read_text(encoding="utf-8")


def test_it_begins_with_a_command() -> None:
    assert re.match(r"# .*\n\n    mahler evidence\n", PAGE)


def test_every_option_is_named() -> None:
    options = [option for parameter in evidence.params for option in parameter.opts]
    assert [option for option in options if not re.search(rf"`{option}\b", PAGE)] == []


def test_the_example_tells_advisors_apart(capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(example, "docs/evidence.md", "exec"), {})  # noqa: S102 - our own example
    first, *found = capsys.readouterr().out.splitlines()
    assert first == "true mean $10.70, true win rate 0.774"
    assert found[0] == "none no_evidence"
    assert found[2] == "strong helps"


def test_the_widths_of_the_design_page_are_those_of_the_code() -> None:
    page = (DOCS / "design" / "evidence.md").read_text(encoding="utf-8")
    for figures in (1, len(Settings().thresholds)):
        told = ", ".join(f"{radius(time, first=1.0, alpha=0.05 / figures):.1f}" for time in (1, 1.3, 2, 4))
        assert told in page.replace("\n", " ")


def test_cutoffs_are_dated_and_found_by_the_longest_name() -> None:
    table = load_cutoffs()
    assert all(one.source and one.cutoff < one.date for one in table)
    assert cutoff_of("gpt-5-mini-2025-08-07", table) != cutoff_of("gpt-5-2025-08-07", table)
    assert cutoff_of("openai/gpt-5.2", table) == cutoff_of("gpt-5.2", table)
    assert cutoff_of("gpt-4.1-mini", table) == dt.date(2024, 6, 30)
    assert cutoff_of("gpt-4o-mini-2024-07-18", table) == dt.date(2023, 10, 31)
    assert cutoff_of("gpt-50", table) is None
    assert len({one.model for one in table}) == len(table)
    assert cutoff_of("house-7b", table) is None
