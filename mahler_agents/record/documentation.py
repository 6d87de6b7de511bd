"""Record: the schema and its dictionary in, the tables of docs/record.md out.

python -m mahler_agents.record.documentation docs/record.md
"""

import re
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from mahler_agents.record.dictionary import TABLES, VIEWS
from mahler_agents.record.dictionary.entry import Entry
from mahler_agents.record.migrations import MIGRATIONS

BEGIN, END = "<!-- made by `make docs` from here -->", "<!-- to here -->"


def empty_record() -> sqlite3.Connection:
    """Return an empty record of this version's schema, in memory."""
    connection = sqlite3.connect(":memory:")
    for _, statements in MIGRATIONS:
        for statement in statements:
            connection.execute(statement)
    return connection


def tables_text() -> str:
    """Return every table and view, in Markdown."""
    with closing(empty_record()) as schema:
        parts = ["## Tables"]
        for group, entries in TABLES.items():
            parts.append(f"### {group}")
            parts += [_table_text(schema, name, entry) for name, entry in entries.items()]
        parts.append("## Views")
        parts += [_view_text(name, entry) for name, entry in VIEWS.items()]
    return "\n\n".join(parts)


def renewed(page: str) -> str:
    """Return the page with the part between its marks made anew."""
    between = re.compile(f"{re.escape(BEGIN)}.*{re.escape(END)}", re.DOTALL)
    return between.sub(lambda _: f"{BEGIN}\n\n{tables_text()}\n\n{END}", page)


def _table_text(schema: sqlite3.Connection, name: str, entry: Entry) -> str:
    keys = {row[3]: f"`{row[2]}`" for row in schema.execute(f"PRAGMA foreign_key_list({name})")}
    lines = [
        f"#### `{name}`",
        "",
        entry.row,
        "",
        "| column | type | null | refers to | meaning |",
        "|---|---|---|---|---|",
    ]
    for _, column, kind, not_null, _, key in schema.execute(f"PRAGMA table_info({name})"):
        null = "key" if key else "" if not_null else "yes"
        lines.append(f"| `{column}` | {kind} | {null} | {keys.get(column, '')} | {_cell(entry, column)} |")
    return "\n".join(lines)


def _view_text(name: str, entry: Entry) -> str:
    lines = [f"### `{name}`", "", entry.row, "", "| column | meaning |", "|---|---|"]
    return "\n".join([*lines, *(f"| `{column}` | {_cell(entry, column)} |" for column in entry.columns)])


def _cell(entry: Entry, column: str) -> str:
    return entry.columns[column].replace("|", "\\|")


def differences() -> Iterator[str]:
    """Yield where the dictionary and the schema do not agree, each in one line."""
    described = {name: entry for entries in (*TABLES.values(), VIEWS) for name, entry in entries.items()}
    with closing(empty_record()) as schema:
        names = [row[0] for row in schema.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")]
        for name in sorted({*names, *described}):
            there = {row[1] for row in schema.execute(f"PRAGMA table_info({name})")}
            said = set(described[name].columns) if name in described else set[str]()
            yield from (
                f"{name}.{column} is in the schema and not in the dictionary" for column in sorted(there - said)
            )
            yield from (
                f"{name}.{column} is in the dictionary and not in the schema" for column in sorted(said - there)
            )


def main(page: Path) -> None:
    """Make the tables of a page anew."""
    page.write_text(renewed(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
