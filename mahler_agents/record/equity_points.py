"""Record: the equity that an account's losses are measured from: the previous close, and last week's."""

import datetime as dt
import sqlite3

from mahler_agents.clock import NEW_YORK, utc_text


def previous_close(connection: sqlite3.Connection, account_id: str, at: dt.datetime) -> sqlite3.Row | None:
    """Return `at` and `equity` of the last point before the New York day of an instant, or the first one of all."""
    return _last_before(connection, account_id, at, days_back=0)


def last_week_close(connection: sqlite3.Connection, account_id: str, at: dt.datetime) -> sqlite3.Row | None:
    """Return the last point before the Monday of an instant's week, or the first one of all."""
    return _last_before(connection, account_id, at, days_back=at.astimezone(NEW_YORK).weekday())


def highest(connection: sqlite3.Connection, account_id: str) -> sqlite3.Row | None:
    """Return the highest point of all; what was paid in is not taken off it."""
    return connection.execute(
        "SELECT at, equity FROM equity WHERE account_id = ? ORDER BY equity DESC, at LIMIT 1", (account_id,)
    ).fetchone()


def _last_before(
    connection: sqlite3.Connection, account_id: str, at: dt.datetime, *, days_back: int
) -> sqlite3.Row | None:
    day = at.astimezone(NEW_YORK).date() - dt.timedelta(days=days_back)
    begins = utc_text(dt.datetime.combine(day, dt.time(), NEW_YORK))
    row = connection.execute(
        "SELECT at, equity FROM equity WHERE account_id = ? AND at < ? ORDER BY at DESC LIMIT 1", (account_id, begins)
    ).fetchone()
    return (
        row
        or connection.execute(
            "SELECT at, equity FROM equity WHERE account_id = ? AND at <= ? ORDER BY at LIMIT 1",
            (account_id, utc_text(at)),
        ).fetchone()
    )
