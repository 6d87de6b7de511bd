"""A broker of plain figures for properties: it loses answers, takes orders late, fills in parts, and races cancels.

What it does next is chosen by `chance`, any source of choices; its own book is the truth that a ledger is held to.
"""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from mahler_agents.errors import BrokerError
from mahler_agents.execution import (
    BrokerOrder,
    LegSettlement,
    OrderState,
    OrderUpdate,
    Ticket,
    Traded,
    attempt_id,
)
from mahler_agents.execution.orders import PENDING_STATES
from mahler_agents.market.snapshot import Account

Chance = Callable[[str, Sequence[str]], str]
"""Chooses one of some words, for a question."""


@dataclass
class Held:
    """An order in the broker's book."""

    order_id: str
    intent: str
    symbols: tuple[str, str]
    contracts: int
    limit_credit: float
    state: OrderState = OrderState.ACCEPTED
    fills: list[Traded] = field(default_factory=list)

    @property
    def live(self) -> bool:
        return self.state in PENDING_STATES

    @property
    def left(self) -> int:
        return self.contracts - sum(fill.contracts for fill in self.fills)

    @property
    def update(self) -> OrderUpdate:
        return OrderUpdate(state=self.state, broker_order_id=f"b-{self.order_id}", traded=Traded.of(self.fills))


class ModelBroker:
    """A `Broker` as fickle as a real one may be."""

    name = "model"
    account_id = "paper-quoted-test"
    host = "memory"

    def __init__(self, chance: Chance) -> None:
        self.book: dict[str, Held] = {}
        self.on_the_way: dict[str, tuple[Held, int]] = {}
        """Sent, and not taken yet; the requests of anybody after which each is."""
        self.live_at_once: dict[str, int] = {}
        """The most orders of one intent that were live at the same time."""
        self.requests_until_outage: int | None = None
        """After so many requests the broker is away; None: it stays."""
        self._chance = chance

    async def account(self, at: dt.datetime) -> Account:
        del at
        return Account(account_id=self.account_id, equity=100_000, cash=100_000, buying_power=100_000)

    async def positions(self, at: dt.datetime) -> Mapping[str, int]:
        del at
        return {}

    async def working(self, at: dt.datetime) -> tuple[BrokerOrder, ...]:
        del at
        return tuple(
            BrokerOrder(order_id=one.order_id, broker_order_id=f"b-{one.order_id}", symbols=one.symbols)
            for one in self.book.values()
            if one.live
        )

    async def settlements(self, symbols: Sequence[str], *, at: dt.datetime) -> Mapping[str, LegSettlement]:
        del symbols, at
        return {}

    async def submit(
        self, ticket: Ticket, *, number: int, contracts: int, limit_credit: float, at: dt.datetime
    ) -> OrderUpdate:
        order_id = attempt_id(ticket.client_order_id, number)
        self._arrive()
        fate = self._chance("submit", ("taken", "answer lost", "request lost", "late", "refused"))
        if order_id not in self.book:
            spread = ticket.spread
            symbols = (spread.short_symbol, spread.long_symbol)
            held = Held(order_id, ticket.client_order_id, symbols, contracts, limit_credit)
            if fate == "request lost":
                raise BrokerError("timeout before acceptance")
            if fate == "late":
                self.on_the_way[order_id] = (held, int(self._chance("requests until it is taken", ("1", "2", "3"))))
                raise BrokerError("timeout, and taken later")
            if fate == "refused":
                held.state = OrderState.REJECTED
            self._take(held)
            self._trade(held, at)
        if fate == "answer lost":
            raise BrokerError("504 after acceptance")
        return self.book[order_id].update

    async def cancel(self, order_id: str, *, at: dt.datetime) -> OrderUpdate:
        self._arrive()
        held = self._known(order_id)
        fate = self._chance("cancel", ("done", "answer lost", "request lost", "noted", "too late"))
        if fate == "request lost":
            raise BrokerError("timeout before the cancel")
        if fate == "too late" and held.live:
            self._fill(held, held.left, at)
        if fate != "noted" and held.live:
            held.state = OrderState.CANCELED
        if fate == "answer lost":
            raise BrokerError("504 after the cancel")
        return held.update

    async def find(self, order_id: str, *, at: dt.datetime) -> OrderUpdate | None:
        self._arrive()
        if self._chance("find", ("told", "told", "lost")) == "lost":
            raise BrokerError("connection reset")
        if order_id not in self.book:
            return None
        self._trade(self.book[order_id], at)
        return self.book[order_id].update

    def _arrive(self) -> None:
        """Begin a request: what was on the way comes in, unless the broker is away."""
        if self.requests_until_outage is not None:
            self.requests_until_outage -= 1
            if self.requests_until_outage < 0:
                raise BrokerError("the broker is away")
        for order_id, (held, requests) in list(self.on_the_way.items()):
            if requests > 1:
                self.on_the_way[order_id] = (held, requests - 1)
                continue
            del self.on_the_way[order_id]
            if order_id not in self.book:
                self._take(held)

    def _take(self, held: Held) -> None:
        self.book[held.order_id] = held
        live = sum(one.live for one in self.book.values() if one.intent == held.intent)
        self.live_at_once[held.intent] = max(live, self.live_at_once.get(held.intent, 0))

    def _trade(self, held: Held, at: dt.datetime) -> None:
        if not held.live:
            return
        fate = self._chance("trade", ("nothing", "one", "all", "day ends"))
        if fate == "day ends":
            held.state = OrderState.EXPIRED
        elif fate != "nothing":
            self._fill(held, 1 if fate == "one" else held.left, at)

    def _fill(self, held: Held, contracts: int, at: dt.datetime) -> None:
        held.fills.append(Traded(contracts=contracts, credit=held.limit_credit, fees=2.0 * contracts, at=at))
        held.state = OrderState.PARTIAL if held.left else OrderState.FILLED

    def _known(self, order_id: str) -> Held:
        if order_id not in self.book:
            raise BrokerError(f"no order {order_id}")
        return self.book[order_id]
