"""Stage 8, execute: an order and its prices in, what the ledger says of it in the end; everything told is booked.

The order is worked at one price after another, 30 seconds each, on the times that begin at the decision time and never
on when answers happen to come. Each price is an attempt, a limit order of its own at the broker: it is in the ledger
before the broker hears of it, and the next one follows only when it is certain that it has ended, for what is then
left. So no two orders of one intent are ever live. A process that dies in between leaves a pending order, whose end the
next one finds out and books (`reconcile`). Where an answer is lost nothing is assumed: the broker is asked for the
attempt, by its id.
"""

import asyncio
import datetime as dt
from collections.abc import AsyncGenerator
from typing import Protocol

from mahler_agents.clock import Clock
from mahler_agents.errors import BrokerError
from mahler_agents.execution.broker import Broker
from mahler_agents.execution.ledger import Ledger
from mahler_agents.execution.orders import Attempt, OrderState, OrderUpdate, Ticket
from mahler_agents.market.snapshot import Market
from mahler_agents.types import Frozen, SpreadQuote

STEP = dt.timedelta(seconds=30)
"""How long an order is worked at one price."""

ON_TIME = dt.timedelta(seconds=1)
"""What is at most so late is on time: plans need not follow every answer."""


class Wait(Protocol):
    """Returns once quotes of an instant can be had."""

    async def __call__(self, instant: dt.datetime) -> None:
        """Return once that is so."""
        ...


async def at_once(instant: dt.datetime) -> None:
    """Wait for nothing: the market has the quotes of every instant already."""


class Present(Protocol):
    """Tells which instant it really is when a planned one has come."""

    def __call__(self, planned: dt.datetime) -> dt.datetime:
        """Return it: the planned one, or a later one."""
        ...


def as_planned(planned: dt.datetime) -> dt.datetime:
    """Return the planned instant: what is asked and answered takes no time."""
    return planned


def present_of(market: Market, clock: Clock) -> Present:
    """Return how to tell what time it really is: a live market goes on while a broker or a review is slow."""

    def present(planned: dt.datetime) -> dt.datetime:
        now = clock.now()
        return now if now - planned > ON_TIME else planned

    return present if market.live else as_planned


def wait_for(market: Market, clock: Clock) -> Wait:
    """Return how to wait for an instant of a market: on the clock if it is live, else not at all."""
    return clock.sleep_until if market.live else at_once


class Worked(Frozen):
    """What is to be worked: an order whose intent is committed, on which quotes, and its prices."""

    ticket: Ticket
    quote: SpreadQuote
    prices: tuple[float, ...]
    """Credits per share, falling; below zero where it is paid."""


def looks(since: dt.datetime, grace: dt.timedelta) -> list[dt.datetime]:
    """Return when to ask again about what gave no certain answer: after 1, 2, 4, 8... seconds, and after the grace."""
    after, instants = dt.timedelta(seconds=1), list[dt.datetime]()
    while after < grace:
        instants.append(since + after)
        after *= 2
    return [*instants, since + grace]


async def work(
    order: Worked, *, broker: Broker, ledger: Ledger, grace: dt.timedelta, present: Present
) -> AsyncGenerator[dt.datetime]:
    """Work an order to its end; yields the instants that it waits for, and goes on when they have come.

    A broker that has filled, rejected or expired it ends the work early; else what is left is canceled 30 seconds after
    the last price. Where it begins late or answers are slow, what is left to do moves on: each price has its time. One
    that a process left is gone on with where it was: an attempt that has not ended is sent again, under its id. Raises
    `BrokerError`, `MarketError` or `RecordError` with the order pending.
    """
    at = start = present(order.ticket.decided_at)
    made, live = await asyncio.to_thread(ledger.attempts_made, order.ticket)
    for step, price in enumerate(order.prices, 1):
        last = step == len(order.prices)
        if step < made or (step == made and live is None):
            at = start + step * STEP
            continue
        left = live if step == made else None  # its process may have sent it, and died before the answer
        attempt = left or await asyncio.to_thread(
            ledger.attempt, order.ticket, limit_credit=price, at=at, quote=order.quote
        )
        if attempt is None:  # halted meanwhile
            return
        one = LiveAttempt(
            attempt, broker=broker, ledger=ledger, grace=grace, present=present, sent_before=left is not None
        )
        # Canceled by others than us, it is not to be worked on; what was left half-way we may have canceled ourselves.
        async for instant in one.submitted(over=last or left is None):
            yield instant
        if not one.ended:
            start += present(one.at) - one.at
            yield (at := max(one.at, start + step * STEP))
            await one.found(at)
            async for instant in one.canceled(at, over=last):
                yield instant
        if (await asyncio.to_thread(ledger.status, order.ticket.client_order_id)).ended:
            return
        at = max(one.at, start + step * STEP)


class LiveAttempt:
    """One attempt on its way at the broker, to its certain end; what is told of it is booked at once."""

    def __init__(
        self,
        attempt: Attempt,
        *,
        broker: Broker,
        ledger: Ledger,
        grace: dt.timedelta,
        present: Present,
        sent_before: bool = False,
    ) -> None:
        self.attempt = attempt
        self.at = attempt.at
        """The instant of the last request."""
        self.told: OrderUpdate | None = None
        """What the broker said last."""
        self._broker, self._ledger, self._grace, self._present = broker, ledger, grace, present
        self._lost: BrokerError | None = None
        self._sent_before = sent_before

    @property
    def ended(self) -> bool:
        """Whether the broker has said that nothing of it can fill any more."""
        return self.told is not None and self.told.ended

    async def submitted(self, *, over: bool = True) -> AsyncGenerator[dt.datetime]:
        """Send it, and return when it is certain what became of it; yields the instants to wait for.

        Without a certain answer it is asked for by its id through the grace; what is not found is sent once more, under
        the same id, and asked for again. Raises `BrokerError` if nothing is known then: it stays `UNKNOWN`. A refusal
        of the second sending ends it, in doubt: the first may come to the broker late.
        """
        for again in (False, True):
            if again and (barred := await asyncio.to_thread(self._ledger.barred, self.attempt.ticket)) is not None:
                raise BrokerError(
                    f"order {self.attempt.order_id} got no certain answer ({self._lost}) and is not sent again"
                    f" ({barred.value}): it counts as risk until it is known"
                ) from self._lost
            if await self._submit(over=over):
                return
            await asyncio.to_thread(self._ledger.mark_unknown, self.attempt)
            for instant in self._looks():
                yield instant
                if await self.found(instant):
                    return
        raise BrokerError(
            f"{self._broker.name} gives no certain answer about order {self.attempt.order_id} ({self._lost}): it may"
            " yet be filled, and counts as risk until it is known"
        ) from self._lost

    async def canceled(self, at: dt.datetime, *, over: bool) -> AsyncGenerator[dt.datetime]:
        """Cancel what is left of it, and return when it has ended; yields the instants to wait for.

        `over`: no other attempt follows. Raises `BrokerError` if it has not ended after the grace.
        """
        if self.ended:
            return
        await self._cancel(at, over=over)
        for instant in self._looks():
            if self.ended:
                return
            yield instant
            await self._cancel(instant, over=over)
        if not self.ended:
            state = "unknown" if self.told is None else self.told.state.value
            why = f" ({self._lost})" if self._lost is not None else ""
            raise BrokerError(
                f"{self._broker.name} was asked to cancel order {self.attempt.order_id}, which is {state} still{why}"
            ) from self._lost

    def _looks(self) -> list[dt.datetime]:
        """Return when to ask again: the grace begins once the request has failed, which may have taken its time."""
        return looks(self._present(self.at), self._grace)

    async def look(self, at: dt.datetime) -> bool:
        """Ask for the attempt and book what is told; return whether the broker knows it. Raises `BrokerError`."""
        self.at = at
        update = await self._broker.find(self.attempt.order_id, at=at)
        if update is not None:
            await self._book(update, over=True)  # canceled by others than us: they do not want it to be worked
        return update is not None

    async def found(self, at: dt.datetime) -> bool:
        """Ask for the attempt and book what is told; return whether the broker said that it has it."""
        try:
            return await self.look(at)
        except BrokerError as error:
            self._lost = error
            return False

    async def _submit(self, *, over: bool) -> bool:
        """Send the attempt; return whether there was a certain answer."""
        one, again = self.attempt, self._sent_before
        self._sent_before = True
        try:
            update = await self._broker.submit(
                one.ticket, number=one.number, contracts=one.contracts, limit_credit=one.limit_credit, at=self.at
            )
        except BrokerError as error:
            self._lost = error
            return False
        if again and update.state is OrderState.REJECTED and not update.broker_order_id:
            update = update.model_copy(update={"broker_order_id": None})
        await self._book(update, over=over)
        return True

    async def _cancel(self, at: dt.datetime, *, over: bool) -> None:
        """Ask for what is left to be canceled; if the answer is lost, how the attempt stands."""
        self.at = at
        try:
            update = await self._broker.cancel(self.attempt.order_id, at=at)
        except BrokerError as error:
            self._lost = error
            return
        await self._book(update, over=over)

    async def _book(self, update: OrderUpdate, *, over: bool) -> None:
        if update != self.told:
            await asyncio.to_thread(self._ledger.book, self.attempt, update, over=over)
        self.told = update
