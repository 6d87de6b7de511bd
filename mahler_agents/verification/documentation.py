"""Verification: the table of checks of docs/verify.md, made from the registry: `python -m ... docs/verify.md`."""

import sys
from pathlib import Path

from mahler_agents.verification.registry import CHECKS

BEGIN, END = "<!-- made by `make docs` from here -->", "<!-- to here -->"


def table() -> str:
    """Return every check and what must hold, as Markdown."""
    rows = (f"| `{check.name}` | {check.asks} |" for check in CHECKS)
    return "\n".join(["| check | passes if |", "|---|---|", *rows])


def renewed(page: str) -> str:
    """Return the page with its table made anew."""
    before, _, rest = page.partition(BEGIN)
    return f"{before}{BEGIN}\n\n{table()}\n\n{END}{rest.partition(END)[2]}"


def main(page: Path) -> None:
    """Make the table of a page anew."""
    page.write_text(renewed(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
