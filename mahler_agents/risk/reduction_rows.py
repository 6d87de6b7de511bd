"""Stage 9, monitor: what is open and what may stay of it, as rows of the record; inside the breaker's transaction."""

import datetime as dt
import sqlite3
from collections.abc import Iterable, Mapping

from mahler_agents.clock import utc_text
from mahler_agents.record.durable import insert
from mahler_agents.risk.reductions import Holding, Reduction
from mahler_agents.types import CONTRACT_MULTIPLIER


def holdings(connection: sqlite3.Connection, account_id: str, at: dt.datetime) -> tuple[Holding, ...]:
    """Return the positions open at the instant `at`, each with the profit of its last mark, oldest first."""
    rows = connection.execute(
        "SELECT entry_order_id, contracts - closed_contracts AS contracts, entry_credit,"
        " (SELECT mid_cost FROM marks WHERE marks.entry_order_id = positions.entry_order_id AND mid_cost NOT NULL"
        " ORDER BY at DESC LIMIT 1) AS mid_cost,"
        " (SELECT MIN(keep) FROM reductions WHERE reductions.entry_order_id = positions.entry_order_id) AS keep"
        " FROM positions WHERE account_id = ? AND state = 'open' AND opened_at <= ? ORDER BY opened_at, entry_order_id",
        (account_id, utc_text(at)),
    )
    return tuple(_holding(row) for row in rows)


def add(connection: sqlite3.Connection, account_id: str, asked: Iterable[Reduction]) -> None:
    """Enter what the breaker asks to close."""
    for one in asked:
        row = {**one.model_dump(), "account_id": account_id, "at": utc_text(one.at)}
        insert(connection, "reductions", row)


def standing(connection: sqlite3.Connection, account_id: str) -> Mapping[str, Reduction]:
    """Return the reductions of open positions that have more contracts than may stay: the strictest of each."""
    rows = connection.execute(
        "SELECT reductions.* FROM reductions JOIN positions USING (entry_order_id)"
        " WHERE reductions.account_id = ? AND state = 'open' AND contracts - closed_contracts > keep"
        " ORDER BY keep DESC, at DESC",
        (account_id,),
    )
    # The last of a position is its strictest, and of equals the first that asked.
    return {row["entry_order_id"]: _reduction(row) for row in rows}


def _holding(row: sqlite3.Row) -> Holding:
    contracts = row["contracts"] if row["keep"] is None else min(row["contracts"], row["keep"])
    profit = None
    if row["mid_cost"] is not None:
        profit = (row["entry_credit"] - row["mid_cost"]) * CONTRACT_MULTIPLIER * contracts
    return Holding(entry_order_id=row["entry_order_id"], contracts=contracts, profit_dollars=profit)


def _reduction(row: sqlite3.Row) -> Reduction:
    return Reduction(
        code=row["code"],
        at=dt.datetime.fromisoformat(row["at"]),
        entry_order_id=row["entry_order_id"],
        keep=row["keep"],
    )
