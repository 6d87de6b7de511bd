"""Doctor, documentation: the registry in, the table of checks in docs/doctor.md out.

python -m mahler_agents.doctor.documentation docs/doctor.md
"""

import re
import sys
from itertools import groupby
from pathlib import Path

from mahler_agents.doctor.findings import Group
from mahler_agents.doctor.registry import CHECKS

BEGIN, END = "<!-- checks: made by mahler_agents.doctor.documentation -->", "<!-- end of checks -->"


def table_text() -> str:
    """Return the checks by group: what each looks at, when it warns, when it fails."""
    order = list(Group)
    ordered = sorted(CHECKS, key=lambda check: order.index(check.group))
    lines = ["| | check | looks at | warns | fails |", "|---|---|---|---|---|"]
    for group, checks in groupby(ordered, key=lambda check: check.group):
        for place, check in enumerate(checks):
            cells = (check.about, check.warns, check.fails)
            lines.append(f"| {group if not place else ''} | `{check.name}` | {' | '.join(map(_cell, cells))} |")
    return "\n".join(lines)


def renewed(page: str) -> str:
    """Return the page with the part between its marks made anew."""
    between = re.compile(f"{re.escape(BEGIN)}.*{re.escape(END)}", re.DOTALL)
    return between.sub(lambda _: f"{BEGIN}\n\n{table_text()}\n\n{END}", page)


def main(page: Path) -> None:
    """Make the table of a page anew."""
    page.write_text(renewed(page.read_text(encoding="utf-8")), encoding="utf-8")


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
