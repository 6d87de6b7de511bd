"""Stage 8, execute: what the desk asks of a broker."""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Protocol

from mahler_agents.execution.orders import OrderUpdate, Ticket
from mahler_agents.execution.settlement import LegSettlement
from mahler_agents.market.snapshot import Account


class Broker(Protocol):
    """Where orders go: limit orders of one price each, good for the day.

    Every request names the order by its `client_order_id` and may be repeated: an answer that was lost is had by asking
    again, and nothing trades twice. `at` is the instant of the request; a broker that has a clock of its own does not
    need it. Implementations raise `BrokerError` when they cannot be asked or do not know an order that they must know.
    """

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

    async def submit(self, ticket: Ticket, *, limit_credit: float, at: dt.datetime) -> OrderUpdate:
        """Begin to work the order at a credit per share (below zero: paid), and return how it stands.

        It may be filled, whole or in part, or rejected at once. A `client_order_id` that is known already trades
        nothing: how it stands is returned, whatever the price.
        """
        ...

    async def replace(self, client_order_id: str, *, limit_credit: float, at: dt.datetime) -> OrderUpdate:
        """Work what is left of the order at another price, and return how it stands; of one that ended, how it did.

        Whether that is one order at the broker, or one canceled and another sent, is the broker's matter: the fills of
        both are the fills of this `client_order_id`.
        """
        ...

    async def cancel(self, client_order_id: str, *, at: dt.datetime) -> OrderUpdate:
        """Cancel what is left of the order, and return how it ended: a fill that came first wins, and is in it."""
        ...

    async def find(self, client_order_id: str, *, at: dt.datetime) -> OrderUpdate | None:
        """Return how an order stands at the instant `at`, None if the broker has never had it."""
        ...

    async def settlements(self, symbols: Sequence[str], *, at: dt.datetime) -> Mapping[str, LegSettlement]:
        """Return how those of the option legs were settled that have expired by the instant `at`.

        Left out are legs that have not expired, and those of which the broker does not know it (yet).
        """
        ...
