"""Stage 8, execute: why nothing may be opened now, from the record's own tables, in whatever transaction asks.

The strictest reason comes first. Only entries ask: what closes, cancels or reconciles is never barred.
"""

import sqlite3
from collections.abc import Mapping
from pathlib import Path

from mahler_agents.execution.differences import BARRED_BY, Kind
from mahler_agents.record.trading_state import TradingState, read_standing
from mahler_agents.types import Reason


def entry_bar(connection: sqlite3.Connection, path: Path, account_id: str, underlying: str | None) -> Reason | None:
    """Return why nothing may be opened (in an underlying, or at all) at this moment, None if something may.

    Meant for the transaction that commits an intent: a halt that was committed before it, or whose file is there by
    then, is seen.
    """
    state = read_standing(connection, path).state
    if state is not TradingState.ACTIVE:
        return Reason.KILL_SWITCH if state is TradingState.HALTED else Reason.REDUCING
    last = connection.execute("SELECT error FROM broker_checks WHERE account_id = ?", (account_id,)).fetchone()
    if last is not None and last["error"] is not None:
        return Reason.BROKER_UNREADABLE
    return None if underlying is None else blocked_underlyings(connection, account_id).get(underlying)


def blocked_underlyings(connection: sqlite3.Connection, account_id: str) -> Mapping[str, Reason]:
    """Return the underlyings in which the broker's account differs from the ledger, and what each is barred by."""
    rows = connection.execute(
        "SELECT underlying, kind FROM broker_differences WHERE account_id = ? AND gone_at IS NULL"
        " AND underlying IS NOT NULL ORDER BY kind",  # a missing leg comes last: it is the graver reason
        (account_id,),
    )
    return {row["underlying"]: BARRED_BY[Kind(row["kind"])] for row in rows}
