"""Record: what a status says, frozen; instants are text in UTC, as everywhere in the record, money is dollars."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from mahler_agents.record.rows import PositionRow, SpreadRow
from mahler_agents.record.safety import DifferenceRow
from mahler_agents.record.slots import Heartbeat, SlotRow
from mahler_agents.record.trace_rows import EventRow
from mahler_agents.record.trading_state import Standing


@dataclass(frozen=True, kw_only=True)
class Change:
    """What equity gained since another instant, deposits excluded."""

    since_at: str
    since_equity: float
    dollars: float
    share: float
    """Of the equity then, with what was paid in since."""


@dataclass(frozen=True, kw_only=True)
class AccountStatus:
    """An account at the last instant at which a scan or a pass recorded it."""

    at: str
    equity: float
    cash: float
    day: Change
    """Since the last session's last point, as the circuit breaker counts."""
    week: Change
    """Since last week's last point."""
    peak: Change
    """Since the all-time peak: the drawdown, zero or below."""


@dataclass(frozen=True, kw_only=True)
class HeatStatus:
    """The risk (max loss x contracts) of what is open, and of what may still fill of pending entries."""

    open_dollars: float
    pending_dollars: float
    share: float | None
    """Of the account's equity; None without any."""
    limit_share: float | None
    """Of the last scan; None if there was none."""
    limit_dollars: float | None
    """Of the account's equity."""

    @property
    def dollars(self) -> float:
        """All of it."""
        return self.open_dollars + self.pending_dollars


@dataclass(frozen=True, kw_only=True)
class PositionStatus(PositionRow):
    """An open position, where it stands between its target and its stop, and how long it has."""

    place: float | None
    """Of the last mark: 0 at the target's cost, 1 at the stop's, beyond them where it is; None without a mark."""
    credit_place: float
    """Of the credit that it was sold at, on the same line."""
    dte: int
    """Days to expiration, from the status's present; below zero: it has expired and is not settled."""
    mark_is_old: bool
    """Whether other positions were marked since."""


@dataclass(frozen=True, kw_only=True)
class ScanStatus:
    """The last scan."""

    id: str
    slot: str
    status: str
    as_of: str
    started_at: str
    ended_at: str | None
    error: str | None
    model: str
    toy_model: bool
    screen: Mapping[str, Any] | None
    """What the screen counted; None if it did not come so far."""
    reviewed: int
    traded: int
    skipped: Mapping[str, int]
    """Reason code -> candidates that were reviewed and not traded."""
    failures: int
    """Of analysts and the fund manager."""
    regime: Mapping[str, Any] | None
    breaker: Mapping[str, Any] | None
    size_multiplier: Mapping[str, Any] | None


@dataclass(frozen=True, kw_only=True)
class BreakerStatus:
    """What the circuit breaker remembers of its last evaluation."""

    since: str | None
    """When a rule last reached another step; None if none ever did."""
    halts: Mapping[str, str]
    """Rule -> since when it halts the desk."""
    steps: tuple[str, ...]
    """Codes of the steps that rules stand at, halts included."""
    size: float
    """The multiplier of new trades that all rules together allow."""
    close_share: str
    """What all rules together ask to close."""


class Pulse(StrEnum):
    """Whether a daemon is alive, by its heartbeats."""

    NEVER = "never"
    """None has ever run on this record."""
    ALIVE = "alive"
    STALE = "stale"
    """Its heartbeats have ended, and it has not said that it stops."""
    STOPPED = "stopped"


@dataclass(frozen=True, kw_only=True)
class SchedulerStatus:
    """The daemon, and how the schedule's slots stand."""

    pulse: Pulse
    heartbeat: Heartbeat | None
    """Of the daemon that was alive last."""
    last: tuple[SlotRow, ...]
    """Of each job the last slot that was run or missed."""
    unended: tuple[SlotRow, ...]
    """At work, or waiting for another try."""
    missed: int
    """Slots of the day that were missed."""
    failed: int
    """Slots of the day that have failed."""


@dataclass(frozen=True, kw_only=True)
class PendingStatus(SpreadRow):
    """An order of which the end is not known."""

    client_order_id: str
    purpose: str
    rule: str | None
    state: str
    contracts: int
    filled: int
    limit_credit: float
    """Of its last attempt; of the order if none was sent."""
    decided_at: str


@dataclass(frozen=True, kw_only=True)
class UnfinishedRun:
    """A scan that has not ended: it is at work, or its process died."""

    id: str
    slot: str
    started_at: str
    abandoned_at: str | None
    """When it was found that its process had died; None if it may be at work."""


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Whose record it is: of the last run."""

    environment: str
    account_id: str
    broker: str
    host: str | None
    market: str
    source: str
    synthetic: bool
    version: str


@dataclass(frozen=True, kw_only=True)
class Status:
    """All that one looks at in the morning, from the record alone."""

    path: str
    asked_at: str
    """By the clock."""
    present: str
    """What ages and days to expiration are counted from: `asked_at`, or of a market that stands still its last instant.
    """
    flows: bool
    """Whether `present` is the clock's: the market is one of now, or a daemon runs."""
    origin: Origin | None
    """None if nothing was ever recorded; so are the other figures."""
    trading: Standing
    account: AccountStatus | None
    heat: HeatStatus
    positions: tuple[PositionStatus, ...]
    breaker: BreakerStatus
    last_scan: ScanStatus | None
    scheduler: SchedulerStatus
    pending: tuple[PendingStatus, ...]
    unfinished: tuple[UnfinishedRun, ...]
    broker_checked_at: str | None
    broker_error: str | None
    """Why the broker could not be read when it was last asked."""
    differences: tuple[DifferenceRow, ...]
    day: str
    """The New York date of the warnings: that of the newest event."""
    warnings: tuple[EventRow, ...]
    """Events of level warning and error of that day, newest first; those that say the same once."""
