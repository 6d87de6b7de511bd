"""Memory: a record, a role's brief and its instant in, what the brief is given of closed trades out, as a small table.

Off unless a prompt's front matter asks for it (`memory: 5`). Nothing that ended at or after the instant is in it.
"""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import TypeVar

from mahler_agents.analysts.base import Brief
from mahler_agents.analysts.trade import AnalystBrief
from mahler_agents.clock import NEW_YORK
from mahler_agents.memory.closed import ClosedTrade, ClosedTrades, closed_trades, figures_of
from mahler_agents.memory.similar import most_similar
from mahler_agents.record.remembered import Pool, RememberedReader

B = TypeVar("B", bound=Brief)
Recall = Callable[[str, Brief, int], Brief]
"""Takes a role, its brief and how many trades it asks for; returns the brief with them."""


class Memory:
    """The closed trades of one record, each role's read once; methods block, and may be called from several threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = Lock()
        self._ended: dict[tuple[str, Pool], Mapping[str, ClosedTrades]] = {}

    def recalled(self, role: str, brief: B, number: int, *, pool: Pool | None, as_of: dt.datetime) -> B:
        """Return the brief with what had become of the trades most like it; as it is if that is not asked of it.

        `pool` is that of the brief's own scan; None of a case that no scan wrote: nothing is known of its account.
        """
        if number == 0 or not isinstance(brief, AnalystBrief):
            return brief
        known = self._closed(role, brief.spread_type, pool).known_at(as_of)
        nearest = most_similar(figures_of(brief.facts()), known, number)
        return brief.model_copy(update={"memory": told(nearest, known.trades, brief.spread_type, as_of)})

    def _closed(self, role: str, spread_type: str, pool: Pool | None) -> ClosedTrades:
        if pool is None:
            return ClosedTrades.of(())
        with self._lock:
            if (role, pool) not in self._ended:
                with RememberedReader(self._path) as reader:
                    self._ended[role, pool] = _by_type(closed_trades(reader.ended(role, pool)))
            return self._ended[role, pool].get(spread_type) or ClosedTrades.of(())


def _by_type(trades: Sequence[ClosedTrade]) -> Mapping[str, ClosedTrades]:
    types = {one.spread_type for one in trades}
    return {name: ClosedTrades.of(one for one in trades if one.spread_type == name) for name in types}


def told(nearest: Sequence[ClosedTrade], trades: Sequence[ClosedTrade], spread_type: str, as_of: dt.datetime) -> str:
    """Return the table that a prompt shows: how many such trades there were, and the nearest ones, a line each."""
    day, kind = as_of.astimezone(NEW_YORK).date(), spread_type.replace("_", " ")
    if not trades:
        return f"No {kind} was closed before {day} that could be compared."
    won = sum(one.pnl_dollars > 0 for one in trades)
    head = f"Of {len(trades)} {kind} trades closed before {day}, {won} ended in profit."
    if not nearest:
        return f"{head} None of them has the same figures."
    lines = [
        f"{one.entered} | {one.closed_at.astimezone(NEW_YORK).date()} | {one.label} | {one.rule.replace('_', ' ')}"
        f" | {one.pnl_dollars:+.2f}"
        for one in nearest
    ]
    return "\n".join(
        [f"{head} Most like this one, nearest first:", "entered | closed | trade | exit | dollars", *lines]
    )
