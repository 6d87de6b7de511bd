"""Below stage 1, Alpaca: how many requests a minute, on the injected clock."""

from collections import deque
from datetime import timedelta

from mahler_agents.clock import Clock

_WINDOW_SECONDS = 60.0
_KEPT_FOR_ORDERS = 0.1
"""Share of the places that requests for data leave free: an order does not wait for a chain."""


class Pace:
    """Lets through at most so many requests in any 60 seconds.

    Stricter than a bucket that refills (which lets twice as many through around a burst), so that a server that counts
    by the minute has nothing to refuse, whenever its minute begins.
    """

    def __init__(self, requests_per_minute: int, clock: Clock) -> None:
        self._most = requests_per_minute
        self._most_for_data = max(1, round(requests_per_minute * (1 - _KEPT_FOR_ORDERS)))
        self._clock = clock
        self._sent: deque[float] = deque()

    async def place(self, *, for_order: bool) -> None:
        """Return when one more request may go out, which it then must."""
        most = self._most if for_order else self._most_for_data
        while True:
            now = self._clock.seconds()
            while self._sent and self._sent[0] <= now - _WINDOW_SECONDS:
                self._sent.popleft()
            if len(self._sent) < most:
                self._sent.append(now)  # no await since the check: no other task was between
                return
            due = self._sent[len(self._sent) - most] + _WINDOW_SECONDS
            await self._clock.sleep_until(self._clock.now() + timedelta(seconds=max(due - now, 0.001)))
