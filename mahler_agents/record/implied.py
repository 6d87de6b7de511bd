"""Record: implied volatilities by day, written at each scan or from the past, read as the history that ranks them."""

import datetime as dt
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Literal, NamedTuple

from mahler_agents.record.database import connect, database_errors

Source = Literal["scan", "option_bars"]

_KEEP = """
    INSERT INTO implied_volatilities (world, underlying, date, implied_volatility, source, at)
    VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE
    SET implied_volatility = excluded.implied_volatility, source = excluded.source, at = excluded.at
    WHERE excluded.source = 'scan' OR source = 'option_bars'
"""


class DayOfVolatility(NamedTuple):
    """One day's 30-day at-the-money implied volatility of one underlying."""

    underlying: str
    date: dt.date
    implied_volatility: float
    """Annualised fraction."""
    at: str
    """The instant that it is of, as the record writes instants."""


def keep_volatilities(path: Path, world: str, days: Iterable[DayOfVolatility], source: Source) -> None:
    """Write days of one world in one transaction: the last of a day counts, and quotes before the last trades of bars.

    Raises `RecordError`.
    """
    rows = [(world, one.underlying, one.date.isoformat(), one.implied_volatility, source, one.at) for one in days]
    with closing(connect(path)) as connection, database_errors(path):
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(_KEEP, rows)
        connection.execute("COMMIT")


def volatilities_before(path: Path, world: str, underlying: str, date: dt.date) -> Sequence[tuple[dt.date, float]]:
    """Return the days of one underlying in one world before a date, oldest first. Raises `RecordError`."""
    with closing(connect(path, read_only=True)) as connection, database_errors(path):
        rows = connection.execute(
            "SELECT date, implied_volatility FROM implied_volatilities"
            " WHERE world = ? AND underlying = ? AND date < ? ORDER BY date",
            (world, underlying, date.isoformat()),
        ).fetchall()
    return [(dt.date.fromisoformat(row["date"]), float(row["implied_volatility"])) for row in rows]
