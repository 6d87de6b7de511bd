"""Stage 8, execute: what the ledger tells of an open position and of an order that has not ended."""

import datetime as dt

from mahler_agents.execution.orders import Attempt, OrderState, Ticket
from mahler_agents.exits import ExitParams
from mahler_agents.types import Frozen, Spread


class Position(Frozen):
    """An open or closed credit spread, from its fills."""

    entry_order_id: str
    spread: Spread
    contracts: int
    """Open now; 0 if it is closed."""
    opened_contracts: int
    """All that its entry has filled."""
    entry_credit: float
    """Mean filled credit per share, weighted by contracts, before fees."""
    fees: float
    """Dollars paid at entry, for all opened contracts."""
    opened_at: dt.datetime
    """When the first of them filled."""
    exit_params: ExitParams
    """The exit policy under which it was entered."""


class PendingOrder(Frozen):
    """An order that may or may not have been filled."""

    ticket: Ticket
    state: OrderState
    attempt: Attempt | None
    """Its attempt that has not ended; None if it has none, so that the broker can fill nothing of it."""
