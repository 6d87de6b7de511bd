"""Stage 8, execute: orders that are worked together; each one's way in, how each ended out, in an order of events that
depends on nothing but their instants and their rank.
"""

import datetime as dt
import heapq
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, aclosing

from mahler_agents.errors import JobError, MahlerError
from mahler_agents.execution.working import Wait


async def in_lock_step(
    ways: Sequence[AsyncGenerator[dt.datetime]], *, start: dt.datetime, wait: Wait
) -> AsyncGenerator[tuple[int, MahlerError | None]]:
    """Go all ways from `start` on, one step of one at a time; yields each one's place and error when it has ended.

    A way yields the instant that it waits for. Those that wait for the same one go on in their order, after one wait:
    so none keeps another waiting, and which answer of a broker comes first changes nothing. The error of one ends that
    one alone, whatever it is: what nobody foresaw is told as a `JobError`.
    """
    due = [(start, place) for place in range(len(ways))]
    now = start
    async with AsyncExitStack() as stack:
        for way in ways:
            await stack.enter_async_context(aclosing(way))
        while due:
            instant, place = heapq.heappop(due)
            if instant > now:
                await wait(instant)
                now = instant
            try:
                heapq.heappush(due, (await anext(ways[place]), place))
            except StopAsyncIteration:
                yield place, None
            except MahlerError as error:
                yield place, error
            except Exception as error:  # noqa: BLE001 - the edge of one order: told and recorded; it stays pending
                yield place, JobError(f"{type(error).__name__}: {error}")
