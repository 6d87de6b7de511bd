"""Processes that are forked and die at a numbered step, by SIGKILL: whatever they had open is as a crash leaves it.

Steps are counted in the whole process: each request to Alpaca before it is sent and when it was answered, each durable
transaction before its commit and after it.
"""

import os
import signal
import threading
import traceback
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from mahler_agents.alpaca.session import ThreadSession
from mahler_agents.record.durable import DurableConnection

LONGEST_LIFE_SECONDS = 120


class Steps:
    """Counts the steps of a process, and kills it at one of them."""

    def __init__(self, fatal: int | None) -> None:
        self.taken = 0
        self._fatal = fatal
        self._lock = threading.Lock()

    def step(self) -> None:
        """Take one."""
        with self._lock:
            self.taken += 1
            if self.taken == self._fatal:
                os.kill(os.getpid(), signal.SIGKILL)

    def arm(self) -> None:
        """Count from now on, in this process, which must be one of its own."""
        request, transaction, step = ThreadSession.request, DurableConnection.transaction, self.step

        def requested(self: ThreadSession, *arguments: Any, **options: Any) -> Any:
            step()
            try:
                return request(self, *arguments, **options)
            finally:
                step()

        @contextmanager
        def transacted(self: DurableConnection) -> Generator[Any]:
            with transaction(self) as opened:
                yield opened
                step()
            step()

        ThreadSession.request = requested
        DurableConnection.transaction = transacted


def forked(job: Callable[[], None], die_at: int | None) -> int | None:
    """Run a job in a forked process that kills itself at a step; return its steps, None if it did.

    Raises `AssertionError` if it ended in any other way than these two.
    """
    reader, writer = os.pipe()
    steps = Steps(die_at)

    def counted() -> None:
        steps.arm()
        job()
        os.write(writer, str(steps.taken).encode())

    child = started(counted)
    os.close(writer)
    _, status = os.waitpid(child, 0)
    with os.fdopen(reader) as told:
        words = told.read()
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return None
    assert os.WEXITSTATUS(status) == 0
    return int(words)


def started(job: Callable[[], None]) -> int:
    """Run a job in a forked process, which ends with it; return its id. What it raises is shown, and exits with 1."""
    child = os.fork()
    if child == 0:
        signal.alarm(LONGEST_LIFE_SECONDS)  # nobody waits for a process that hangs
        status = 1
        try:
            job()
            status = 0
        except BaseException:  # noqa: BLE001 - the process' edge
            traceback.print_exc()
        finally:
            os._exit(status)
    return child
