"""Doctor, equity: the embedded broker's account as the record last told it, or as it begins."""

import datetime as dt
import sqlite3
from contextlib import closing
from typing import NamedTuple

from mahler_agents.clock import NEW_YORK
from mahler_agents.doctor.situation import Situation
from mahler_agents.errors import MahlerError
from mahler_agents.execution.paper_account import STARTING_CASH_CENTS
from mahler_agents.market.snapshot import Account
from mahler_agents.record.database import connect


class Known(NamedTuple):
    """An account, and how old that is."""

    account: Account
    source: str


def embedded_account_id(situation: Situation) -> str:
    """Return the embedded broker's account on this market. Raises as `opened_market` does."""
    return f"paper-{situation.opened_market.world}"


def account_of_desk(situation: Situation) -> Known:
    """Return the embedded broker's account; its buying power counts nothing that is open."""
    account_id = embedded_account_id(situation)
    start = STARTING_CASH_CENTS / 100
    known = _recorded(situation, account_id)
    equity, cash = (start, start) if known is None else known[:2]
    source = "as it begins" if known is None else f"as recorded {known[2]}"
    return Known(Account(account_id=account_id, equity=equity, cash=cash, buying_power=cash), source)


def _recorded(situation: Situation, account_id: str) -> tuple[float, float, str] | None:
    """Return equity, cash and when; None if there are none, or the record cannot be read, which its own check tells."""
    if not situation.record.is_file():
        return None
    try:
        with closing(connect(situation.record, read_only=True)) as connection:
            row = connection.execute(
                "SELECT equity, cash, at FROM equity WHERE account_id = ? ORDER BY at DESC LIMIT 1", (account_id,)
            ).fetchone()
    except (sqlite3.Error, MahlerError):
        return None
    if row is None:
        return None
    at = dt.datetime.fromisoformat(row["at"]).astimezone(NEW_YORK)
    return row["equity"], row["cash"], f"{at:%Y-%m-%d %H:%M} New York"
