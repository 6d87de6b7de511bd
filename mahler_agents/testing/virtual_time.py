"""For tests and simulations: an event loop whose clock jumps to the next timer, so that waiting costs nothing.

The order of events is that of their times, whatever the machine does. Work in threads is waited for before the clock
moves, one piece after another. Real sockets and threads that the loop did not start are waited for only when no timer
is set: use it with parts that have none.
"""

import asyncio
import datetime as dt
import selectors
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")

_THREAD_PATIENCE = 30.0
"""Real seconds for which the loop stands still while a thread works: longer, and the thread may need the loop."""

_SILENCE = 5.0
"""Real seconds, with nothing left to do, after which nobody else's thread is expected to wake the loop."""


class DeadlockError(RuntimeError):
    """Nothing is ready, no timer is set and no thread works: the loop would wait for ever."""


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop with its own time, which begins at 0 and moves only when there is nothing else to do."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        # One thread, so that what is handed over together also ends in that order.
        self._threads = ThreadPoolExecutor(max_workers=1, thread_name_prefix="virtual-time")
        super().__init__(self._jumping)
        self.set_default_executor(self._threads)
        # asyncio adds this to the time to see which timers are due. Its own nanosecond is lost in the rounding of a
        # float that counts months in seconds, and a timer that is due would never be run.
        self._clock_resolution = 1e-6

    def time(self) -> float:
        """Return the virtual seconds since the loop was made."""
        return self._jumping.seconds

    def run_in_executor(self, executor: Executor | None, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:
        """Run `func` in a thread; virtual time stands still until it has returned."""
        work = (executor or self._threads).submit(func, *args)
        future = asyncio.wrap_future(work, loop=self)
        done = threading.Event()
        # Added after wrap_future's own callback, so that the result is on its way to the loop when this is set.
        work.add_done_callback(lambda _: done.set())
        self._jumping.threads.append(done)
        return future


class _JumpingSelector(selectors.DefaultSelector):
    """The system's selector, which moves the clock instead of waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds = 0.0
        self.threads: list[threading.Event] = []

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is ready; if nothing is, move the clock by `timeout`, at which the next timer is due."""
        for done in self.threads:
            done.wait(_THREAD_PATIENCE)
        self.threads = [done for done in self.threads if not done.is_set()]
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if self.threads:
            return super().select(0.01)
        if timeout is not None:
            self.seconds += timeout
            return []
        # No timer: only a thread that this loop did not start, such as the record's writer, can go on from here.
        if not (ready := super().select(_SILENCE)):
            raise DeadlockError("nothing is ready, no timer is set and no thread has woken the loop")
        return ready


class VirtualClock:
    """A clock that shows a virtual loop's time as instants from `start` on."""

    flows = True

    def __init__(self, start: dt.datetime, loop: asyncio.AbstractEventLoop) -> None:
        self._start = start.astimezone(dt.UTC)
        self._loop = loop

    def now(self) -> dt.datetime:
        """Return the instant, in UTC."""
        return self._start + dt.timedelta(seconds=self._loop.time())

    def seconds(self) -> float:
        """Return the loop's seconds, for durations."""
        return self._loop.time()

    async def sleep_until(self, instant: dt.datetime) -> None:
        """Wait, in virtual time, until `instant`."""
        await asyncio.sleep(max(0.0, (instant - self.now()).total_seconds()))


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end in virtual time, as `asyncio.run` does in real time."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(coroutine)
