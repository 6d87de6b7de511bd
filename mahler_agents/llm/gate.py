"""Stage 4, LLM calls: first come, first served: so many requests in flight, and so many in any minute."""

import asyncio
from collections import deque
from types import TracebackType

_MINUTE = 60.0


class Gate:
    """An async context manager around one request: entered when a place is free and the minute has room for it.

    One queue for both, so that whoever waits for the minute holds no place. A sliding window: no 60 seconds see more
    than `requests_per_minute`, where a leaky bucket (aiolimiter's) lets twice as many through in its first minute. Time
    is the loop's.
    """

    def __init__(self, *, max_in_flight: int, requests_per_minute: int | None = None) -> None:
        self._free = max_in_flight
        self._per_minute = requests_per_minute
        self._entered: deque[float] = deque()
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._alarm: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> None:
        """Wait for one's turn."""
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        self._admit()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._leave()
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the place to the next in the queue."""
        self._leave()

    def _leave(self) -> None:
        self._free += 1
        self._admit()

    def _admit(self) -> None:
        """Let in as many as may enter now, and come back when the minute has room for the next."""
        now = asyncio.get_running_loop().time()
        while self._waiting and self._free > 0:
            if self._waiting[0].done():  # cancelled while it waited
                self._waiting.popleft()
                continue
            if (wait := self._wait(now)) > 0:
                self._come_back(now + wait)
                return
            self._free -= 1
            if self._per_minute is not None:
                self._entered.append(now)
            self._waiting.popleft().set_result(None)

    def _wait(self, now: float) -> float:
        """Return the seconds until the minute has room."""
        while self._entered and self._entered[0] + _MINUTE <= now:
            self._entered.popleft()
        if self._per_minute is None or len(self._entered) < self._per_minute:
            return 0.0
        return self._entered[0] + _MINUTE - now

    def _come_back(self, at: float) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = asyncio.get_running_loop().call_at(at, self._admit)
