"""Below all stages: what is heard before a run has its row in, the same out in its order, to whoever keeps it."""

import threading
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import Generic, TypeVar

T = TypeVar("T")


class Tape(Generic[T]):
    """Takes down what it is told while it rolls; it waits until somebody keeps it, and is then kept at once.

    A scan reads the market before it has a run to record that under. It may be told things from several threads.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rolling = False
        self._keep: Callable[[T], None] | None = None
        self._flush: Callable[[], Awaitable[None]] | None = None
        self._waiting: list[T] = []

    def tell(self, heard: T) -> None:
        """Take one thing down; nothing if the tape does not roll."""
        with self._lock:
            if self._keep is not None:
                self._keep(heard)
            elif self._rolling:
                self._waiting.append(heard)

    @contextmanager
    def rolling(self) -> Generator[None]:
        """Roll for the length of the block; nothing of before is on the tape, and nothing is kept after it."""
        self._turn(on=True)
        try:
            yield
        finally:
            self._turn(on=False)

    async def kept(self) -> None:
        """Return once what was told is kept for good, if somebody keeps it."""
        if (flush := self._flush) is not None:
            await flush()

    def keep_with(self, keep: Callable[[T], None], flush: Callable[[], Awaitable[None]] | None = None) -> None:
        """Give what has waited, in its order, and all that is told from now on, to `keep`; `flush` makes it last."""
        with self._lock:
            for heard in self._waiting:
                keep(heard)
            self._waiting.clear()
            self._keep, self._flush = keep, flush

    def _turn(self, *, on: bool) -> None:
        with self._lock:
            self._rolling, self._keep, self._flush = on, None, None
            self._waiting.clear()
