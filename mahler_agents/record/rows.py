"""Record: what lists of runs, positions and prompts return, frozen rows.

Instants are text in UTC, ISO 8601 with milliseconds, and dates are ISO text, as the record keeps them.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mahler_agents.thresholds import stop_cost, target_cost
from mahler_agents.units import CONTRACT_MULTIPLIER
from mahler_agents.wording import spread_label


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """One run as a list shows it."""

    id: str
    kind: str
    """`scan` or `replay`."""
    as_of: str
    started_at: str
    market: str
    synthetic: bool
    model: str
    status: str
    underlyings: tuple[str, ...]
    """Symbols of the candidates reviewed, in the order of the alphabet."""
    candidates: int
    """Candidates reviewed."""
    traded: int
    llm_calls: int
    """HTTP attempts, retries included."""
    failures: int
    prompt_tokens: int
    completion_tokens: int
    cost_dollars: float | None
    """At list price; None if that of any call is unknown."""


@dataclass(frozen=True, kw_only=True)
class SpreadRow:
    """What every row that speaks of a spread has of it; strikes in dollars per share."""

    underlying: str
    spread_type: str
    expiration: str
    short_strike: float
    long_strike: float

    @property
    def label(self) -> str:
        """The spread as a trader says it, e.g. `SPY 540/535 put spread, 2026-04-17`."""
        return spread_label(
            underlying=self.underlying,
            spread_type=self.spread_type,
            short_strike=self.short_strike,
            long_strike=self.long_strike,
            expiration=self.expiration,
        )


@dataclass(frozen=True, kw_only=True)
class PositionRow(SpreadRow):
    """An open position and its last mark; credits and costs per share."""

    entry_order_id: str
    account_id: str
    contracts: int
    """Open now."""
    opened_contracts: int
    entry_credit: float
    fees: float
    """Dollars paid at entry, for all opened contracts."""
    exit_params: Mapping[str, Any]
    """The thresholds under which it was entered."""
    opened_at: str
    marked_at: str | None
    """When it was last marked; None if never."""
    mid_cost: float | None
    """Cost to close at mid then."""
    natural_cost: float | None
    """Cost to close at the natural side then."""

    @property
    def target_cost(self) -> float:
        """Cost to close per share at which its profit is taken."""
        return target_cost(self.entry_credit, self.exit_params["profit_target"])

    @property
    def stop_cost(self) -> float:
        """Cost to close per share at which it is stopped."""
        return stop_cost(self.entry_credit, self.exit_params["stop_loss"])

    @property
    def time_exit_from(self) -> dt.date:
        """The date from which on it is closed whatever it costs."""
        return dt.date.fromisoformat(self.expiration) - dt.timedelta(days=self.exit_params["time_exit_dte"])

    @property
    def max_loss_dollars(self) -> float:
        """The most that the contracts now open can lose, before fees."""
        width = abs(self.short_strike - self.long_strike)
        return (width - self.entry_credit) * CONTRACT_MULTIPLIER * self.contracts

    def profit_dollars(self, cost: float | None) -> float | None:
        """Return what closing at a cost per share would bring, less the fees of the entry; None without a cost."""
        if cost is None:
            return None
        entry_fees = self.fees * self.contracts / self.opened_contracts
        return round((self.entry_credit - cost) * 100 * self.contracts - entry_fees, 2)


@dataclass(frozen=True, kw_only=True)
class GroundednessRow:
    """How well the replies to one version of one role's prompt, by one model, keep to their briefs."""

    role: str
    prompt_hash: str
    model: str
    retrospective: bool
    """Of replays, or of evaluations."""
    replies: int
    ungrounded_replies: int
    """Replies with at least one number that is not in the brief."""
    numbers: int
    ungrounded: int
    """Numbers that are not in the brief."""
