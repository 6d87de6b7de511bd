"""Stage 8, execute: the tickets of a scan in, worked together once all of them are in; their executions out."""

import asyncio
from collections.abc import Awaitable, Callable

from mahler_agents.errors import MahlerError
from mahler_agents.execution.execute import Trading, execute
from mahler_agents.execution.orders import Execution, OrderTicket
from mahler_agents.types import Reason


class OrderWorker:
    """Works all orders of a scan in one task of its own; whoever handed a ticket in awaits what becomes of it.

    So no order waits minutes for another one, and the desk's quotes, prices and requests are the same whichever review
    ended first. Tickets are worked in the order in which they were handed in, which is that of the turns.
    """

    def __init__(self, trading: Trading) -> None:
        self._trading = trading
        self._tickets: list[OrderTicket] = []
        self._ends: dict[str, asyncio.Future[Execution]] = {}
        self._done = asyncio.Event()

    def add(self, ticket: OrderTicket) -> None:
        """Hand in a ticket whose intent is committed."""
        self._tickets.append(ticket)
        self._ends[ticket.client_order_id] = asyncio.get_running_loop().create_future()

    async def execution(self, ticket: OrderTicket) -> Execution:
        """Return how a ticket ended that was handed in. Raises what kept it from its end; see `execute`."""
        return await asyncio.shield(self._ends[ticket.client_order_id])

    async def done(self) -> None:
        """Return once all orders have ended."""
        await self._done.wait()

    async def work(self, all_in: Callable[[], Awaitable[None]]) -> None:
        """Work the tickets that are handed in until `all_in` returns, at their decision time.

        Cancelled before that, it closes their intents: nothing was sent. Cancelled later, it works on to the end first:
        an order without its booking is a ghost.
        """
        try:
            try:
                await all_in()
                if self._tickets:
                    await self._trading.wait(max(ticket.decided_at for ticket in self._tickets))
            except asyncio.CancelledError:
                await _to_its_end(self._withdraw())
                raise
            await _to_its_end(self._work())
        finally:
            for end in self._ends.values():
                end.cancel()
            self._done.set()

    async def _work(self) -> None:
        async for ticket, ended in execute(self._tickets, self._trading):
            future = self._ends[ticket.client_order_id]
            if isinstance(ended, MahlerError):
                future.set_exception(ended)
                future.exception()  # it is told to whoever awaits it; a review that was cancelled does not
            else:
                future.set_result(ended)

    async def _withdraw(self) -> None:
        ledger = self._trading.ledger
        for ticket in self._tickets:
            if await asyncio.to_thread(ledger.execution, ticket) is None:
                await asyncio.to_thread(ledger.cancel, ticket.client_order_id, Reason.ABANDONED, None)


async def _to_its_end(job: Awaitable[None]) -> None:
    """Do a job; if cancelled meanwhile, however often, let it end first."""
    task = asyncio.ensure_future(job)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
    task.result()
