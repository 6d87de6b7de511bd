"""Summary: what one trading day brought, as frozen types; what is not known is None.

Instants are text in UTC, as the record keeps them; prices are dollars per share.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Hours:
    """The session's regular hours."""

    opens: str
    closes: str
    half_day: bool


@dataclass(frozen=True, kw_only=True)
class DayEquity:
    """What the account was worth, dollars; deposits are no gain."""

    previous: float
    previous_at: str
    first_day: bool
    """`previous` is the first equity on record, on this day: there is no close before it."""
    now: float
    now_at: str
    deposits_dollars: float
    pnl_dollars: float
    """now - previous - deposits."""
    pnl_share: float | None
    """Of `previous` and what was paid in; None if that is not above 0."""
    realised_dollars: float
    """Of what was closed today, after the fees of entry and exit."""
    open_change_dollars: float
    """What the open positions gained since then, the fees of today's entries taken off; realised + this = P&L."""
    open_dollars: float
    """What the open positions stand at, at mid, less the fees of their entries."""
    unexplained_dollars: float
    """P&L - realised - change of the open: 0 if the recorded equity follows from the fills and the marks."""
    unmarked: int
    """Open positions without a mark at the end, or at the previous close: the unexplained may be theirs."""


@dataclass(frozen=True, kw_only=True)
class OpenedTrade:
    """A position that was opened today."""

    entry_order_id: str
    label: str
    underlying: str
    run_id: str | None
    opened_at: str
    contracts: int
    credit: float
    received_dollars: float
    fees: float
    risk_dollars: float
    """Max loss at the filled credit x contracts, before fees."""
    advice_level: str | None
    """`high`, `medium`, `low` or `none`."""
    confidence: float | None
    would_veto: bool | None


@dataclass(frozen=True, kw_only=True)
class ExitMade:
    """Contracts of a position that were closed today."""

    entry_order_id: str
    label: str
    rule: str
    contracts: int
    of_contracts: int
    """As opened."""
    entry_credit: float
    debit: float
    closed_at: str
    pnl_dollars: float
    """After the fees of entry and exit."""


@dataclass(frozen=True, kw_only=True)
class HeldPosition:
    """A position that was open at the day's end, with its last mark then."""

    entry_order_id: str
    label: str
    contracts: int
    entry_credit: float
    dte: int
    risk_dollars: float
    target_cost: float | None
    """Cost to close at which profit is taken; None in records of older versions."""
    stop_cost: float | None
    time_exit_from: str | None
    """The first date on which its time is up."""
    mid_cost: float | None
    """None: never marked."""
    marked_at: str | None
    pnl_dollars: float | None
    """At mid, less the fees of its entry."""

    @property
    def to_target(self) -> float | None:
        """How far the cost must fall to the target."""
        return _less(self.mid_cost, self.target_cost)

    @property
    def to_stop(self) -> float | None:
        """How far the cost may rise to the stop."""
        return _less(self.stop_cost, self.mid_cost)


@dataclass(frozen=True, kw_only=True)
class Heat:
    """Risk of all open positions and pending entries, at max loss."""

    held_dollars: float
    pending_dollars: float
    share: float | None
    """Of equity."""
    limit_share: float | None
    """The limit of the day's last scan."""

    @property
    def dollars(self) -> float:
        """Together."""
        return self.held_dollars + self.pending_dollars


@dataclass(frozen=True, kw_only=True)
class Skip:
    """Reviewed candidates that were not traded for one reason: the binding limit's own code, or how the order ended."""

    reason: str
    what: tuple[str, ...]
    """Underlyings, one for each candidate."""


@dataclass(frozen=True, kw_only=True)
class ScanLine:
    """One scan."""

    run_id: str
    at: str
    slot: str
    scheduled: bool
    status: str
    error: str | None
    pairs: int | None
    """In the ranges of the screen; None if it did not come so far."""
    passed: int | None
    reviewed: int
    traded: int


@dataclass(frozen=True, kw_only=True)
class ShadowDecisions:
    """What the advice would have done: it did not, in paper."""

    would_approve: int
    would_veto: int
    none: int
    """No verdict: neither."""
    disapproved: int
    """Of `would_approve`, those at medium or high confidence that the fund manager did not approve."""


@dataclass(frozen=True, kw_only=True)
class Llm:
    """What the day's LLM calls took."""

    calls: int
    tokens: int
    cost_dollars: float
    """The known part, at list price."""
    unknown_costs: int
    answers: int
    """Opinions, arguments and verdicts."""
    failures: Mapping[str, tuple[str, ...]]
    """Kind of failure -> the roles that failed so, one for each time."""


@dataclass(frozen=True, kw_only=True)
class Watch:
    """How the account was watched, by scans and monitor passes."""

    looks: int
    first_at: str | None
    last_at: str | None
    longest_gap_minutes: float | None
    """Between two looks in the session, or from its open to the first."""
    longest_gap_from: str | None = None
    """When that began, in UTC."""


@dataclass(frozen=True, kw_only=True)
class JobSlots:
    """What became of one job's slots of the schedule."""

    job: str
    done: int
    failed: int
    missed: int
    unended: int
    """Running, or to be tried again."""
    bad: tuple[str, ...]
    """The failed and the missed, each with why."""


@dataclass(frozen=True, kw_only=True)
class Told:
    """Alerts or errors of one kind."""

    code: str
    times: int
    last: str
    """The last one's words."""


@dataclass(frozen=True, kw_only=True)
class Risk:
    """What the day's last scan knew of the market's risk; what the breaker and the user said by the day's end."""

    vix: float | None
    regime: str | None
    """In words; None without a scan that came so far."""
    multiplier: str | None
    """The size multiplier and its parts, in words."""
    breaker: tuple[str, ...]
    """Codes of the rules in force at the day's end."""
    breaker_changes: tuple[str, ...]
    """Those of the day, in words."""
    trading: str
    """The trading state at the day's end, in words."""
    halted: bool
    """Nothing is opened: by the trading state, or by the breaker."""
    trading_changes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class DaySummary:
    """One trading day of one account."""

    date: dt.date
    account_id: str
    session: Hours | None
    """None: the exchange was closed."""
    nothing: str | None
    """Why there is nothing to tell, in one line; None if there is."""
    environment: str | None = None
    market: str | None = None
    broker: str | None = None
    models: tuple[str, ...] = ()
    synthetic: bool = False
    toy_model: bool = False
    equity: DayEquity | None = None
    opened: tuple[OpenedTrade, ...] = ()
    exits: tuple[ExitMade, ...] = ()
    held: tuple[HeldPosition, ...] = ()
    heat: Heat | None = None
    scans: tuple[ScanLine, ...] = ()
    skipped: tuple[Skip, ...] = ()
    ranked_out: int = 0
    """Candidates that passed the screen and were not reviewed, since a better one of their kind was."""
    advice: ShadowDecisions = field(
        default_factory=lambda: ShadowDecisions(would_approve=0, would_veto=0, none=0, disapproved=0)
    )
    llm: Llm = field(
        default_factory=lambda: Llm(calls=0, tokens=0, cost_dollars=0.0, unknown_costs=0, answers=0, failures={})
    )
    risk: Risk | None = None
    watch: Watch = field(default_factory=lambda: Watch(looks=0, first_at=None, last_at=None, longest_gap_minutes=None))
    slots: tuple[JobSlots, ...] = ()
    alerts: tuple[Told, ...] = ()
    errors: tuple[Told, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return it as a JSON document."""
        distances = [{"to_target": one.to_target, "to_stop": one.to_stop} for one in self.held]
        held = [asdict(one) | apart for one, apart in zip(self.held, distances, strict=True)]
        heat = None if self.heat is None else asdict(self.heat) | {"dollars": self.heat.dollars}
        return asdict(self) | {"date": self.date.isoformat(), "held": held, "heat": heat}


def _less(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else round(one - other, 6)
