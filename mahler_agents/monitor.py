"""Monitor: what one pass over the open positions carries (state), uses (context) and leaves (`MonitorResult`)."""

import datetime as dt
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from operator import add
from typing import Annotated

from typing_extensions import TypedDict  # the schema of a graph's input cannot be made of typing's before 3.12

from mahler_agents.execution import (
    BrokerCheck,
    Identity,
    OrderStatus,
    Position,
    Settlement,
    Standing,
    WithTrading,
)
from mahler_agents.exits import ExitDecision, ExitRule, Mark
from mahler_agents.market.snapshot import Account
from mahler_agents.recording import BookRecording
from mahler_agents.risk import BreakerBook, BreakerDecision, Reduction
from mahler_agents.shadows import Shadow, ShadowBook
from mahler_agents.types import Frozen, Quote

_LOG = logging.getLogger(__name__)


class Due(Frozen):
    """What is to be closed of a position in this pass, and why."""

    rule: str
    """Code of the exit rule, or of the circuit breaker's step; the rule of the outcome."""
    contracts: int
    mark: Mark
    decision: ExitDecision | None = None
    """What the exit rule compared; None if the circuit breaker asks."""
    reduction: Reduction | None = None
    """What the circuit breaker lets stay; None if it asks for nothing of this position."""

    @property
    def urgent(self) -> bool:
        """Whether it is closed at the natural side at once; only a target alone may wait for a better price."""
        return self.rule != ExitRule.PROFIT_TARGET or self.reduction is not None


class Closing(Frozen):
    """A position that was closed, whole or in part, or that one tried to close."""

    position: Position
    """Before the pass."""
    due: Due
    order: OrderStatus | None
    """None if it could not be sent: a leg lost its quote, or it failed."""

    @property
    def closed(self) -> int:
        """Contracts that the order closed."""
        return 0 if self.order is None else self.order.contracts


class Settled(Frozen):
    """A position that its expiration closed."""

    position: Position
    """Before the pass."""
    settlement: Settlement


class Alert(Frozen):
    """Something about a position that the user must know, and no rule acts on."""

    code: str
    """`no_mark`, `unsettled`, `broken_leg`, `assignment_risk`, `ex_dates_unknown`, `price_unknown`."""
    entry_order_id: str
    spread: str
    """As a trader says it."""
    text: str


class MonitorInput(TypedDict):
    """What a pass starts from."""

    at: dt.datetime


class MonitorState(MonitorInput, total=False):
    """What a pass has so far; each stage adds its own. Keys of the maps are entry order ids."""

    opened: tuple[Position, ...]
    """Open when the pass began."""
    positions: tuple[Position, ...]
    """Those that have not been settled."""
    quotes: Mapping[str, Quote]
    followed: tuple[Shadow, ...]
    marks: Mapping[str, Mark]
    settled: tuple[Settled, ...]
    standing: Mapping[str, Reduction]
    dues: Mapping[str, Due]
    closings: tuple[Closing, ...]
    alerts: Annotated[tuple[Alert, ...], add]
    failed: Annotated[tuple[str, ...], add]
    account: Account
    breaker: BreakerDecision


class MonitorResult(Frozen):
    """What a pass saw and did."""

    at: dt.datetime
    synthetic: bool
    """True if the market's figures are made up."""
    positions: int
    """Open when the pass began."""
    positions_after: int
    """Open when it ended."""
    settled: tuple[Settled, ...]
    closings: tuple[Closing, ...]
    alerts: tuple[Alert, ...]
    failed: tuple[str, ...]
    """What kept the pass from doing all it should have, one line each."""
    identity: Identity
    trading: Standing
    """The trading state, which keeps nothing from being closed."""
    broker_check: BrokerCheck
    """The ledger held against the broker's account, before the pass."""
    account: Account
    """After the pass."""
    breaker: BreakerDecision
    """On the account before the pass closed anything."""

    @property
    def unmarked(self) -> tuple[Alert, ...]:
        """The positions without a mark: neither stopped nor taken nor reduced."""
        return tuple(alert for alert in self.alerts if alert.code == "no_mark")

    @property
    def unsettled(self) -> tuple[Alert, ...]:
        """The positions past their expiration that the broker has not settled."""
        return tuple(alert for alert in self.alerts if alert.code == "unsettled")


@dataclass(frozen=True, kw_only=True)
class MonitorContext(WithTrading):
    """What the nodes of one pass use; the graph's run-time context."""

    slot: str
    breaker: BreakerBook
    shadows: ShadowBook
    commission: float
    """Dollars per contract and leg."""
    max_mark_age_seconds: float
    """A leg's quote that is older makes no mark."""
    missing_legs: Mapping[str, int]
    """Symbols of which the broker holds less than the ledger, and how many contracts it holds."""
    recording: BookRecording


def result_of(
    state: MonitorState,
    account: Account,
    breaker: BreakerDecision,
    *,
    synthetic: bool,
    identity: Identity,
    trading: Standing,
    broker_check: BrokerCheck,
) -> MonitorResult:
    """Return what a pass that has ended leaves behind."""
    opened, settled, closings = state.get("opened", ()), state.get("settled", ()), state.get("closings", ())
    closed = sum(closing.closed >= closing.position.contracts for closing in closings)
    return MonitorResult(
        at=state["at"],
        synthetic=synthetic,
        positions=len(opened),
        positions_after=len(opened) - len(settled) - closed,
        settled=settled,
        closings=closings,
        alerts=state.get("alerts", ()),
        failed=state.get("failed", ()),
        identity=identity,
        trading=trading,
        broker_check=broker_check,
        account=account,
        breaker=breaker,
    )


def log_pass(result: MonitorResult) -> None:
    """Log what a pass did, a line for each position that it closed or failed to, and one for all."""
    for one in result.closings:
        said = (one.position.spread.label, one.closed, one.position.contracts, one.due.rule)
        _LOG.info("%s: closed %d of %d by %s", *said, extra={"code": one.due.rule})
    for failed in result.failed:
        _LOG.error("%s", failed, extra={"code": "pass_failed"})
    said = (result.positions, result.positions_after, result.account.equity)
    _LOG.info("pass over %d open positions, %d left, equity %.2f", *said, extra={"code": "pass_done"})
