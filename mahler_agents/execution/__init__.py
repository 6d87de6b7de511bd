"""Stage 8, execute: a reserved order in, its fills or the reason for none out; the order ledger and the brokers.

Nothing here imports the LLM side: no number that a model wrote can reach an order.
"""

from mahler_agents.execution.broker import Broker
from mahler_agents.execution.execute import close_position, execute
from mahler_agents.execution.ledger import Ledger
from mahler_agents.execution.orders import (
    ClosingTicket,
    Execution,
    Fill,
    OrderState,
    OrderTicket,
    OrderUpdate,
    Ticket,
    Traded,
    client_order_id,
)
from mahler_agents.execution.paper import PaperBroker
from mahler_agents.execution.paper_account import settled, settles_at
from mahler_agents.execution.positions import PendingOrder, Position
from mahler_agents.execution.prices import lowest_credit
from mahler_agents.execution.reconcile import is_unsent_entry_of, reconcile
from mahler_agents.execution.settlement import Expiry, LegSettlement, Settlement
from mahler_agents.execution.working import Wait, at_once, wait_for

__all__ = [
    "Broker",
    "ClosingTicket",
    "Execution",
    "Expiry",
    "Fill",
    "Ledger",
    "LegSettlement",
    "OrderState",
    "OrderTicket",
    "OrderUpdate",
    "PaperBroker",
    "PendingOrder",
    "Position",
    "Settlement",
    "Ticket",
    "Traded",
    "Wait",
    "at_once",
    "client_order_id",
    "close_position",
    "execute",
    "is_unsent_entry_of",
    "lowest_credit",
    "reconcile",
    "settled",
    "settles_at",
    "wait_for",
]
