"""Record: what an account did in a span of time, as frozen rows: what the day's summary and `mahler verify` read.

Instants are text in UTC, as the record keeps them; prices are dollars per share.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mahler_agents.record.accounts import RecordedEquity
from mahler_agents.record.rows import SpreadRow
from mahler_agents.record.slots import SlotRow
from mahler_agents.record.trace_rows import AdviceRow, EventRow, FillRow, RunRow, SizingRow

PENDING = frozenset({"intent", "sent", "unknown", "accepted", "partial"})
"""States of an order whose end is not known."""


@dataclass(frozen=True, kw_only=True)
class CandidateConduct(SpreadRow):
    """One candidate of a scan: what was advised, sized and decided of it."""

    id: str
    run_id: str
    rank: int
    credit: float
    """At mid, in the snapshot."""
    reviewed: bool
    decision: str | None
    reason: str | None
    confidence: float | None
    """Of the verdict."""
    advice: AdviceRow | None
    advised_at: str | None
    """When the advice was recorded, by the desk's clock."""
    sizing: SizingRow | None
    followed: bool
    """It has a shadow."""


@dataclass(frozen=True, kw_only=True)
class OrderConduct(SpreadRow):
    """One order with its fills."""

    client_order_id: str
    slot: str
    candidate_id: str | None
    purpose: str
    closes: str | None
    """The entry whose position an exit closes."""
    rule: str | None
    state: str
    reason: str | None
    contracts: int
    limit_credit: float
    """The worst price that it may trade at; negative is a debit."""
    decided_at: str
    last_attempt_at: str | None
    """When its last price was sent; None if none was."""
    told_contracts: int | None
    """What the embedded broker says it filled; None of another broker."""
    fills: tuple[FillRow, ...] = ()

    @property
    def pending(self) -> bool:
        """Whether its end is not known."""
        return self.state in PENDING

    @property
    def filled(self) -> int:
        """Contracts that traded."""
        return sum(fill.contracts for fill in self.fills)


@dataclass(frozen=True, kw_only=True)
class PositionConduct(SpreadRow):
    """A position that was open at some time of the span."""

    entry_order_id: str
    state: str
    contracts: int
    """As opened."""
    closed_contracts: int
    entry_credit: float
    """As filled."""
    fees: float
    """Dollars at entry."""
    opened_at: str
    exit_params: Mapping[str, Any] | None

    @property
    def width(self) -> float:
        """Distance of the strikes."""
        return abs(self.short_strike - self.long_strike)

    @property
    def max_loss_dollars(self) -> float:
        """Of one contract, at the filled credit, before fees."""
        return (self.width - self.entry_credit) * 100


@dataclass(frozen=True, kw_only=True)
class MarkConduct:
    """What closing a position would have cost in one monitor pass; None: a leg had no quote."""

    entry_order_id: str
    at: str
    mid_cost: float | None
    natural_cost: float | None


@dataclass(frozen=True, kw_only=True)
class OutcomeConduct:
    """Contracts of a position that were closed together."""

    entry_order_id: str
    number: int
    exit_order_id: str | None
    rule: str
    contracts: int
    closed_at: str
    exit_debit: float
    fees: float
    """Dollars: of the exit, and these contracts' share of the entry's."""
    pnl_dollars: float
    """After `fees`."""


@dataclass(frozen=True, kw_only=True)
class ReductionConduct:
    """What the circuit breaker asked to close of a position."""

    entry_order_id: str
    code: str
    at: str
    keep: int


@dataclass(frozen=True, kw_only=True)
class TradingChange:
    """A change of the trading state; it is in force until the next."""

    at: str
    state: str
    reason: str
    by: str


@dataclass(frozen=True, kw_only=True)
class BreakerChange:
    """A rule of the circuit breaker that reached another step."""

    at: str
    rule: str
    code: str
    observed: float | None


@dataclass(frozen=True, kw_only=True)
class RoleFailure:
    """A role that gave no answer about a candidate."""

    candidate_id: str
    run_id: str
    role: str
    kind: str


@dataclass(frozen=True, kw_only=True)
class EventConduct(EventRow):
    """Something that a reader should see."""

    run_id: str | None
    """None for what belongs to the account."""


@dataclass(frozen=True, kw_only=True)
class CallSums:
    """LLM calls together."""

    calls: int
    """HTTP attempts."""
    prompt_tokens: int
    completion_tokens: int
    cost_dollars: float
    """The known part, at list price."""
    unknown_costs: int
    """Calls whose cost is not known."""


@dataclass(frozen=True, kw_only=True)
class Conduct:
    """All that one account did from `begins` to before `ends`; every tuple is oldest first."""

    account_id: str
    begins: str
    ends: str
    runs: tuple[RunRow, ...]
    """Scans, never replays, with `as_of` in the span."""
    candidates: tuple[CandidateConduct, ...]
    """Of these runs."""
    orders: tuple[OrderConduct, ...]
    """Decided in the span, or of `positions`, or not ended."""
    positions: tuple[PositionConduct, ...]
    """Open at some time of the span."""
    marks: tuple[MarkConduct, ...]
    """Of `positions`, over their whole life until `ends`."""
    outcomes: tuple[OutcomeConduct, ...]
    """Of `positions`, those before the span too."""
    reductions: tuple[ReductionConduct, ...]
    equity: tuple[RecordedEquity, ...]
    """In the span, and the last point before it."""
    trading: tuple[TradingChange, ...]
    """Until `ends`, from the record's first on."""
    breaker: tuple[BreakerChange, ...]
    """The same of the circuit breaker."""
    failures: tuple[RoleFailure, ...]
    answers: Mapping[str, int]
    """Candidate -> opinions, arguments and verdicts that it was given."""
    calls: CallSums
    events: tuple[EventConduct, ...]
    """Of these runs, whatever the clock said, and those of the span that are of no run."""
    slots: tuple[SlotRow, ...]
    """Due in the span."""
    first_due: Mapping[str, str]
    """Job -> when its first slot in the whole record was due; empty if no schedule has ever run on it."""

    @property
    def looks(self) -> tuple[str, ...]:
        """Instants at which a scan or a monitor pass looked at the account, in order; some lie before the span.

        A pass that closed something records the equity at its last fill; its marks tell the instant of the pass.
        """
        filled = {fill.at for order in self.orders for fill in order.fills}
        return tuple(sorted({point.at for point in self.equity} - filled | {mark.at for mark in self.marks}))

    @property
    def passes(self) -> tuple[str, ...]:
        """Those of them that were monitor passes for certain."""
        scans, marked = {run.as_of for run in self.runs}, {mark.at for mark in self.marks}
        return tuple(at for at in self.looks if at not in scans or at in marked)
