"""For the tests of memory: records of reviewed candidates that ended, without a scan of each."""

import datetime as dt
import json
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from evaluations import brief

from mahler_agents.analysts.greeks import GreeksBrief
from mahler_agents.clock import utc_text
from mahler_agents.record.remembered import Pool

DAY_ONE = dt.datetime(2026, 1, 5, 15, 0, tzinfo=dt.UTC)
PAPER = Pool(market="sample", environment="paper", synthetic=True, toy_model=False)
DTE = 40
TIME_EXIT = DTE - 21
"""Days after the entry on which the last trade of that day has been closed."""


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A candidate that was reviewed, and how it ended."""

    number: int
    """Its short strike is 400 dollars and so many; no two have the same."""
    entered: int
    """Days after the first."""
    lived: int | None
    """Hours from its entry to its exit; None: it is open."""
    pnl: float = 25.0
    volatility: float = 20.5
    """Of its short leg, percent."""
    spread_type: str = "bull_put"
    pool: Pool = PAPER
    retrospective: bool = False

    @property
    def as_of(self) -> dt.datetime:
        """When it was reviewed."""
        return DAY_ONE + dt.timedelta(days=self.entered)

    @property
    def closed_at(self) -> dt.datetime | None:
        """When it was closed."""
        return None if self.lived is None else self.as_of + dt.timedelta(hours=self.lived)

    @property
    def facts(self) -> GreeksBrief:
        """What its greeks analyst read."""
        changes = {"short_leg_iv_pct": self.volatility, "spread_type": self.spread_type}
        return brief(self.number).model_copy(update=changes)


def forget(path: Path) -> None:
    """Take all that was reviewed out of a record."""
    with closing(sqlite3.connect(path)) as connection, connection:
        for table in ("shadows", "candidate_briefs", "candidates", "runs", "briefs"):
            connection.execute(f"DELETE FROM {table}")


def remember(path: Path, trades: Iterable[Ended]) -> None:
    """Put trades into a record, each of a scan of its own."""
    with closing(sqlite3.connect(path)) as connection, connection:
        for one in trades:
            _insert(connection, one)


def _insert(connection: sqlite3.Connection, one: Ended) -> None:
    run, candidate, facts = f"run-{one.number}", f"run-{one.number}.1", one.facts
    at, pool = utc_text(one.as_of), one.pool
    expiration = (one.as_of + dt.timedelta(days=DTE)).date().isoformat()
    spread = {
        "underlying": facts.underlying,
        "spread_type": one.spread_type,
        "expiration": expiration,
        "short_strike": facts.short_strike,
        "long_strike": facts.long_strike,
    }
    rows = {
        "runs": {
            "id": run,
            "kind": "scan",
            "slot": run,
            "status": "done",
            "as_of": at,
            "decision_at": at,
            "started_at": at,
            "environment": pool.environment,
            "market": pool.market,
            "source": "test",
            "synthetic": pool.synthetic,
            "toy_model": pool.toy_model,
            "broker": "none",
            "account_id": "none",
            "model": "none",
            "version": "0",
            "config": "{}",
            "retrospective": one.retrospective,
        },
        "candidates": {
            "id": candidate,
            "run_id": run,
            "rank": 1,
            "dte": DTE,
            "credit": 0.6,
            "score": 0.5,
            "reviewed": True,
            "facts": "{}",
            **spread,
        },
        "briefs": {"hash": facts.content_hash, "role": "greeks", "content": facts.text},
        "candidate_briefs": {"candidate_id": candidate, "brief_hash": facts.content_hash},
        "shadows": {
            "candidate_id": candidate,
            "account_id": "none",
            "short_symbol": "S",
            "long_symbol": "L",
            "entry_credit": 0.6,
            "entered_at": at,
            **spread,
            "exit_params": json.dumps({"profit_target": 0.65, "stop_loss": 1.25, "time_exit_dte": 21}),
            **_exit(one),
        },
    }
    for table, row in rows.items():
        places = ", ".join("?" * len(row))
        connection.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({places})", tuple(row.values()))


def _exit(one: Ended) -> dict[str, object]:
    if one.closed_at is None:
        return {}
    rule = "profit_target" if one.pnl > 0 else "stop_loss"
    return {"exit_at": utc_text(one.closed_at), "exit_rule": rule, "exit_pnl_dollars": one.pnl, "exit_debit": 0.2}
