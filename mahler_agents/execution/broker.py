"""Stage 8, execute: what the desk asks of a broker."""

import datetime as dt
from typing import Protocol

from mahler_agents.execution.orders import ClosingTicket, OrderTicket, OrderUpdate
from mahler_agents.market.snapshot import Account


class Broker(Protocol):
    """Where orders go. Implementations raise `BrokerError` when they cannot be asked."""

    @property
    def name(self) -> str:
        """`paper`, `alpaca`, ..."""
        ...

    @property
    def account_id(self) -> str:
        """The account that orders are for."""
        ...

    async def account(self, at: dt.datetime) -> Account:
        """Return the account's equity, cash and buying power, marked at the instant `at`; without exposures."""
        ...

    async def submit(self, ticket: OrderTicket, steps: tuple[float, ...]) -> OrderUpdate:
        """Work the order through the credits of `steps` (per share, falling), and return how it ended.

        Submitting a `client_order_id` that is known already returns what became of it and trades nothing.
        """
        ...

    async def find(self, client_order_id: str) -> OrderUpdate | None:
        """Return what became of an order, None if the broker has never had it."""
        ...

    async def close(self, ticket: ClosingTicket) -> OrderUpdate:
        """Buy a spread back for at most the ticket's debit, and return how it ended; a known id trades nothing."""
        ...
