"""Memory: rows of ended candidates in, closed trades out, as objects to tell of and as columns to compare."""

import datetime as dt
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mahler_agents.clock import NEW_YORK
from mahler_agents.exits import ExitParams
from mahler_agents.record.remembered import EndedRow

PRICE_LEVELS = frozenset(
    {
        *("short_strike", "long_strike", "break_even_price", "spot", "sma_20", "sma_50", "sma_200"),
        *("macd", "macd_to_signal", "atr_14", "high_20", "low_20", "support", "resistance"),
    }
)
"""Facts in the underlying's dollars: they say which underlying it is, and nothing of how alike two trades are."""

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


@dataclass(frozen=True, kw_only=True)
class ClosedTrade:
    """A reviewed candidate that the exit policy has closed, traded or not, and what its role's brief had said of it."""

    id: str
    label: str
    """The spread as a trader says it."""
    spread_type: str
    entered: dt.date
    closed_at: dt.datetime
    time_exit: dt.date
    """Day by which it is closed, whatever its price does."""
    rule: str
    pnl_dollars: float
    """Of one contract, after fees."""
    figures: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class ClosedTrades:
    """The closed trades of one pool and one spread type, a row each."""

    trades: tuple[ClosedTrade, ...]
    names: tuple[str, ...]
    figures: NDArray[np.float64]
    """By trade and name; NaN where a brief does not have it."""
    closed_at: NDArray[np.int64]
    """Microseconds since 1970."""
    time_exit: NDArray[np.int64]
    """Ordinals of dates."""

    @classmethod
    def of(cls, trades: Iterable[ClosedTrade]) -> "ClosedTrades":
        """Return the columns of trades."""
        rows = tuple(trades)
        names = tuple(sorted({name for one in rows for name in one.figures}))
        figures = [[one.figures.get(name, np.nan) for name in names] for one in rows]
        return cls(
            trades=rows,
            names=names,
            figures=np.array(figures, dtype=np.float64).reshape(len(rows), len(names)),
            closed_at=np.array([_microseconds(one.closed_at) for one in rows], dtype=np.int64),
            time_exit=np.array([one.time_exit.toordinal() for one in rows], dtype=np.int64),
        )

    def known_at(self, instant: dt.datetime) -> "ClosedTrades":
        """Return those that had been closed before an instant, as had every trade that was entered with them.

        A trade whose time exit is still to come would be known only because it ended early: quick wins and quick losses
        would come first.
        """
        today = instant.astimezone(NEW_YORK).date().toordinal()
        known = np.flatnonzero((self.closed_at < _microseconds(instant)) & (self.time_exit < today))
        return ClosedTrades(
            trades=tuple(self.trades[place] for place in known),
            names=self.names,
            figures=self.figures[known],
            closed_at=self.closed_at[known],
            time_exit=self.time_exit[known],
        )


def figures_of(facts: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers of a brief by which trades are likened, by name."""
    return {
        name: float(value)
        for name, value in facts.items()
        if isinstance(value, int | float)
        and not isinstance(value, bool)
        and math.isfinite(value)
        and name not in PRICE_LEVELS
    }


def closed_trades(rows: Iterable[EndedRow]) -> tuple[ClosedTrade, ...]:
    """Return the trades of rows."""
    return tuple(_closed(row, json.loads(row.brief)) for row in rows)


def _closed(row: EndedRow, facts: Mapping[str, Any]) -> ClosedTrade:
    exits = ExitParams() if row.exit_params is None else ExitParams.model_validate_json(row.exit_params)
    return ClosedTrade(
        id=row.candidate_id,
        label=facts.get("spread", row.candidate_id),
        spread_type=row.spread_type,
        entered=dt.datetime.fromisoformat(row.as_of).astimezone(NEW_YORK).date(),
        closed_at=dt.datetime.fromisoformat(row.exit_at),
        time_exit=dt.date.fromisoformat(row.expiration) - dt.timedelta(days=exits.time_exit_dte),
        rule=row.exit_rule,
        pnl_dollars=row.pnl_dollars,
        figures=figures_of(facts),
    )


def _microseconds(instant: dt.datetime) -> int:
    return (instant - _EPOCH) // dt.timedelta(microseconds=1)
