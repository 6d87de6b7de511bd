"""Stage 8, execute: a reserved order in, its fills or the reason for none out; the order ledger and the brokers.

Nothing here imports the LLM side: no number that a model wrote can reach an order.
"""

from mahler_agents.execution.broken import broken_positions
from mahler_agents.execution.broker import Broker
from mahler_agents.execution.broker_check import BrokerBook, BrokerCheck, check_broker
from mahler_agents.execution.by_hand import HandClose, hand_close, refuse_if_held
from mahler_agents.execution.differences import Difference, Kind
from mahler_agents.execution.execute import Close, Trading, WithTrading, close_positions, execute
from mahler_agents.execution.identity import Identity, refuse_unconfirmed
from mahler_agents.execution.ledger import Ledger
from mahler_agents.execution.orders import (
    Attempt,
    BrokerOrder,
    ClosingTicket,
    Execution,
    Fill,
    OrderState,
    OrderStatus,
    OrderTicket,
    OrderUpdate,
    Ticket,
    Traded,
    attempt_id,
    client_order_id,
)
from mahler_agents.execution.paper import PaperBroker
from mahler_agents.execution.paper_account import settled, settles_at
from mahler_agents.execution.positions import PendingOrder, Position
from mahler_agents.execution.prices import lowest_credit
from mahler_agents.execution.reconcile import Reconciled, is_entry_of, reconcile
from mahler_agents.execution.settlement import Expiry, LegSettlement, Settlement
from mahler_agents.execution.trading_state import Standing, TradingState, TradingStates
from mahler_agents.execution.worker import OrderWorker
from mahler_agents.execution.working import Present, Wait, at_once, present_of, wait_for

__all__ = [
    "Attempt",
    "Broker",
    "BrokerBook",
    "BrokerCheck",
    "BrokerOrder",
    "Close",
    "ClosingTicket",
    "Difference",
    "Execution",
    "Expiry",
    "Fill",
    "HandClose",
    "Identity",
    "Kind",
    "Ledger",
    "LegSettlement",
    "OrderState",
    "OrderStatus",
    "OrderTicket",
    "OrderUpdate",
    "OrderWorker",
    "PaperBroker",
    "PendingOrder",
    "Position",
    "Present",
    "Reconciled",
    "Settlement",
    "Standing",
    "Ticket",
    "Traded",
    "Trading",
    "TradingState",
    "TradingStates",
    "Wait",
    "WithTrading",
    "at_once",
    "attempt_id",
    "broken_positions",
    "check_broker",
    "client_order_id",
    "close_positions",
    "execute",
    "hand_close",
    "is_entry_of",
    "lowest_credit",
    "present_of",
    "reconcile",
    "refuse_if_held",
    "refuse_unconfirmed",
    "settled",
    "settles_at",
    "wait_for",
]
