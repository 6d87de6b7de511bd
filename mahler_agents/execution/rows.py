"""Stage 8, execute: a spread as columns of the record, and back."""

import sqlite3

from mahler_agents.types import Spread

SPREAD_COLUMNS = (
    "underlying",
    "spread_type",
    "expiration",
    "short_strike",
    "long_strike",
    "short_symbol",
    "long_symbol",
)


def spread_row(spread: Spread) -> dict[str, object]:
    """Return a spread's columns."""
    row = spread.model_dump(mode="json")
    return {column: row[column] for column in SPREAD_COLUMNS}


def spread_of(row: sqlite3.Row) -> Spread:
    """Return the spread that a row of orders, positions or shadows speaks of."""
    return Spread(**{column: row[column] for column in SPREAD_COLUMNS})
