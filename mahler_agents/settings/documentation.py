"""Settings, documentation: the keys come in, the tables of docs/configuration.md go out; a test holds the two together.

Run it with the page to make its tables anew.
"""

import re
import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from mahler_agents.settings.keys import Key, keys_of
from mahler_agents.settings.settings import Settings
from mahler_agents.settings.writing import section_doc, toml_value

BEGIN, END = "<!-- keys: begin -->", "<!-- keys: end -->"


def tables_text() -> str:
    """Return a table of the keys above the first section, and one for each section."""
    return "\n".join(
        line for section, keys in groupby(_keys(), lambda key: key.section) for line in _table(section, keys)
    )


def renewed(page: str) -> str:
    """Return the page with the part between its marks made anew."""
    between = re.compile(f"{re.escape(BEGIN)}.*{re.escape(END)}", re.DOTALL)
    return between.sub(lambda _: f"{BEGIN}\n{tables_text()}\n\n{END}", page)


def _keys() -> Iterator[Key]:
    yield from keys_of(Settings).values()


def _table(section: str, keys: Iterator[Key]) -> Iterator[str]:
    yield f"\n### `[{section}]`\n\n{section_doc(section)}\n" if section else "\n### Above the first section\n"
    yield "| key | default | allowed | meaning |"
    yield "|---|---|---|---|"
    for key in keys:
        name = key.name.removeprefix(f"{section}.")
        default = "" if key.default is None else f"`{toml_value(key.default)}`"
        cells = [f"`{name}`", default, key.allowed, key.doc]
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def main(page: Path) -> None:
    """Make the tables of a page anew."""
    page.write_text(renewed(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
