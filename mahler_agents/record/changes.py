"""Record: the latest changes of the breaker and the trading state, and missed slots, as frozen rows."""

import sqlite3
from dataclasses import dataclass

LATEST = 20
"""As many of each are looked at: what is older has been told, or never will be."""


@dataclass(frozen=True, kw_only=True)
class BreakerChange:
    """A rule of the circuit breaker that reached another step."""

    id: int
    account_id: str
    at: str
    rule: str
    code: str
    observed: float | None
    equity: float
    size: float
    close_share: str


@dataclass(frozen=True, kw_only=True)
class TradingStateChange:
    """A change of the trading state."""

    id: int
    at: str
    state: str
    reason: str
    by: str


@dataclass(frozen=True, kw_only=True)
class MissedSlots:
    """Slots of a job that were found missed at one time, or failed with nobody left to end them."""

    job: str
    status: str
    """`missed`, or `failed`: then they had been begun."""
    found_at: str
    count: int
    first: str
    last: str
    why: str


@dataclass(frozen=True, kw_only=True)
class Changes:
    """The latest of each, oldest first."""

    breaker: tuple[BreakerChange, ...]
    trading: tuple[TradingStateChange, ...]
    missed: tuple[MissedSlots, ...]
    synthetic: bool
    """True if the market of the record's newest run is made up."""


_MISSED = f"""
    SELECT job, status, ended_at AS found_at, COUNT(*) AS count, MIN(slot) AS first, MAX(slot) AS last,
        MAX(detail) AS why
    FROM slots WHERE (status = 'missed' OR (status = 'failed' AND owner IS NULL)) AND ended_at >= ?
    GROUP BY job, status, ended_at ORDER BY ended_at LIMIT {LATEST}
"""


def latest_changes(connection: sqlite3.Connection, *, since: str, market_since: str) -> Changes:
    """Return the changes from an instant on: the breaker's by the market's clock, others by the desk's."""
    newest = connection.execute("SELECT synthetic FROM runs ORDER BY rowid DESC LIMIT 1").fetchone()
    return Changes(
        breaker=tuple(BreakerChange(**row) for row in _latest(connection, "breaker_changes", market_since)),
        trading=tuple(TradingStateChange(**row) for row in _latest(connection, "trading_states", since)),
        missed=tuple(MissedSlots(**row) for row in connection.execute(_MISSED, (since,))),
        synthetic=bool(newest and newest["synthetic"]),
    )


def _latest(connection: sqlite3.Connection, table: str, since: str) -> list[sqlite3.Row]:
    rows = connection.execute(f"SELECT * FROM {table} WHERE at >= ? ORDER BY id DESC LIMIT {LATEST}", (since,))
    return rows.fetchall()[::-1]
