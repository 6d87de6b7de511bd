"""Record: which columns refer to the content-addressed texts, as the schema says it."""

import sqlite3

_WITHOUT_A_KEY = {"prompts": (("llm_calls", "prompt_hash"),), "briefs": (("llm_calls", "brief_hash"),)}
"""References that the schema does not hold to: a call is written down before anything else."""


def columns_referring_to(connection: sqlite3.Connection, table: str) -> list[tuple[str, str]]:
    """Return the table and column of every reference to `table`."""
    by_key = connection.execute(
        'SELECT sqlite_master.name, keys."from" FROM sqlite_master, pragma_foreign_key_list(sqlite_master.name) AS keys'
        " WHERE sqlite_master.type = 'table' AND keys.\"table\" = ? ORDER BY 1, 2",
        (table,),
    )
    return [*((row[0], row[1]) for row in by_key), *_WITHOUT_A_KEY.get(table, ())]


def unreferred(connection: sqlite3.Connection, table: str) -> str:
    """Return the condition on a row of `table`, a table of texts by their hash, that nothing refers to it."""
    used = (
        f"hash NOT IN (SELECT {column} FROM {source} WHERE {column} IS NOT NULL)"
        for source, column in columns_referring_to(connection, table)
    )
    return " AND ".join(used)
