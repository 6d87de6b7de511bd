"""Stage 8, execute: a reserved order in, a `Fill` or the reason for none out; the order ledger and the brokers.

Nothing here imports the LLM side: no number that a model wrote can reach an order.
"""

from mahler_agents.execution.broker import Broker
from mahler_agents.execution.execute import close_position, execute, lowest_credit
from mahler_agents.execution.ledger import Ledger, Position
from mahler_agents.execution.orders import (
    ClosingTicket,
    Execution,
    Fill,
    OrderState,
    OrderTicket,
    OrderUpdate,
    client_order_id,
)
from mahler_agents.execution.paper import PaperBroker
from mahler_agents.execution.reconcile import reconcile

__all__ = [
    "Broker",
    "ClosingTicket",
    "Execution",
    "Fill",
    "Ledger",
    "OrderState",
    "OrderTicket",
    "OrderUpdate",
    "PaperBroker",
    "Position",
    "client_order_id",
    "close_position",
    "execute",
    "lowest_credit",
    "reconcile",
]
