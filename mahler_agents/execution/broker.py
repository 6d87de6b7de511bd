"""Stage 8, execute: what the desk asks of a broker."""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Protocol

from mahler_agents.execution.orders import BrokerOrder, OrderUpdate, Ticket
from mahler_agents.execution.settlement import LegSettlement
from mahler_agents.market.snapshot import Account


class Broker(Protocol):
    """Where orders go: limit orders of one price each, good for the day.

    The broker's orders are the attempts of ours, and named by their ids (`attempt_id`). A request may be repeated: an
    answer that was lost is had by asking again, and nothing trades twice. `at` is the instant of the request; a broker
    that has a clock of its own does not need it.

    An order that is refused for certain is `REJECTED`, with the broker's words as `detail`. Whatever else keeps an
    answer away or makes it ambiguous (timeout, reset, 5xx, 429, a body that is none) raises `BrokerError`.
    """

    @property
    def name(self) -> str:
        """`paper`, `alpaca`, ..."""
        ...

    @property
    def account_id(self) -> str:
        """The account that orders are for."""
        ...

    @property
    def host(self) -> str:
        """Where it is: a host's name, or `embedded`."""
        ...

    async def account(self, at: dt.datetime) -> Account:
        """Return the account's equity, cash and buying power, marked at the instant `at`; without exposures."""
        ...

    async def positions(self, at: dt.datetime) -> Mapping[str, int]:
        """Return all that the account holds, options and shares: symbol -> quantity, negative if short; none 0."""
        ...

    async def working(self, at: dt.datetime) -> tuple[BrokerOrder, ...]:
        """Return the account's open orders, ours and others'."""
        ...

    async def submit(
        self, ticket: Ticket, *, number: int, contracts: int, limit_credit: float, at: dt.datetime
    ) -> OrderUpdate:
        """Send attempt `number` of an order: so many contracts at a credit per share (below zero: paid).

        It may be filled, whole or in part, or rejected at once. An id that is known already trades nothing: how that
        attempt stands is returned. Raises `BrokerError` also if what has the id is another order than this.
        """
        ...

    async def cancel(self, order_id: str, *, at: dt.datetime) -> OrderUpdate:
        """Ask to cancel what is left of an attempt, and return how it stands: a fill that came first wins and is in it.

        Where the broker only notes the request, the attempt may not have ended yet.
        """
        ...

    async def find(self, order_id: str, *, at: dt.datetime) -> OrderUpdate | None:
        """Return how an attempt stands at the instant `at`, None if the broker does not know it."""
        ...

    async def settlements(self, symbols: Sequence[str], *, at: dt.datetime) -> Mapping[str, LegSettlement]:
        """Return how those of the option legs were settled that have expired by the instant `at`.

        Left out are legs that have not expired, and those of which the broker does not know it (yet).
        """
        ...
