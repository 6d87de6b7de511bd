"""Monitor: what one pass over the open positions carries (state), uses (context) and leaves (`MonitorResult`)."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NotRequired, TypedDict

from mahler_agents.execution import Broker, Ledger, OrderUpdate, Position, Wait
from mahler_agents.exits import ExitDecision, ExitParams, Mark
from mahler_agents.market.snapshot import Account, Market
from mahler_agents.recording import BookRecording
from mahler_agents.risk import BreakerBook, BreakerDecision
from mahler_agents.shadows import Shadow, ShadowBook
from mahler_agents.types import Frozen, Quote


class MonitorInput(TypedDict):
    """What a pass starts from."""

    at: dt.datetime


class MonitorState(MonitorInput):
    """What a pass has so far; each stage adds its own. Keys of the maps are entry order ids."""

    positions: NotRequired[tuple[Position, ...]]
    quotes: NotRequired[Mapping[str, Quote]]
    followed: NotRequired[tuple[Shadow, ...]]
    marks: NotRequired[Mapping[str, Mark]]
    exits: NotRequired[Mapping[str, ExitDecision]]
    orders: NotRequired[Mapping[str, OrderUpdate]]
    failed: NotRequired[Mapping[str, str]]
    account: NotRequired[Account]
    breaker: NotRequired[BreakerDecision]


class Closing(Frozen):
    """A position that a rule closed, or tried to."""

    position: Position
    decision: ExitDecision
    order: OrderUpdate | None
    """None if a leg lost its quote before the order could be sent."""


class MonitorResult(Frozen):
    """What a pass saw and did."""

    at: dt.datetime
    positions: int
    """Open when the pass began."""
    unmarked: tuple[str, ...]
    """Entry order ids of the positions without a mark: neither stopped nor taken, and told."""
    closings: tuple[Closing, ...]
    failed: tuple[str, ...]
    """What kept positions from being closed, one line each."""
    account: Account
    breaker: BreakerDecision
    """On the account after the pass; its VIX rules are not evaluated here."""


@dataclass(frozen=True, kw_only=True)
class MonitorContext:
    """What the nodes of one pass use; the graph's run-time context."""

    slot: str
    params: ExitParams
    market: Market
    broker: Broker
    ledger: Ledger
    breaker: BreakerBook
    shadows: ShadowBook
    commission: float
    """Dollars per contract and leg."""
    wait: Wait
    """How to wait for an instant of the market."""
    recording: BookRecording


def result_of(state: MonitorState, account: Account, breaker: BreakerDecision) -> MonitorResult:
    """Return what a pass that has ended leaves behind."""
    positions = state.get("positions", ())
    marks, exits, orders = state.get("marks", {}), state.get("exits", {}), state.get("orders", {})
    return MonitorResult(
        at=state["at"],
        positions=len(positions),
        unmarked=tuple(one.entry_order_id for one in positions if one.entry_order_id not in marks),
        failed=tuple(state.get("failed", {}).values()),
        closings=tuple(
            Closing(position=one, decision=exits[one.entry_order_id], order=orders.get(one.entry_order_id))
            for one in positions
            if one.entry_order_id in exits
        ),
        account=account,
        breaker=breaker,
    )
