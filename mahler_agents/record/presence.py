"""Record: who else is at work on the same file, told by a lock that the system takes back when a process dies."""

import fcntl
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from mahler_agents.errors import RecordError


@contextmanager
def alone(path: Path) -> Generator[None]:
    """Be the only one present on the record for the length of the block, once all others have ended."""
    descriptor = _open(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def alone_now(path: Path) -> Generator[bool]:
    """Tell whether nobody else is present; if so, be the only one for the length of the block. Never waits."""
    descriptor = _open(path)
    try:
        yield _taken(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def present(path: Path, when_alone: Callable[[], object]) -> Generator[None]:
    """Be present for the length of the block; if nobody else is, call `when_alone` first, with all others kept out.

    It blocks while somebody else is in their `when_alone`.
    """
    descriptor = _open(path)
    try:
        if _taken(descriptor):
            when_alone()
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)


def somebody_at_work(path: Path) -> bool:
    """Tell whether anybody is present on the record. Makes no file, and holds the lock for no time at all.

    Only who comes in that very instant takes it for a process at work, and puts nothing right that once.
    """
    try:
        descriptor = os.open(f"{path}.lock", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise RecordError(f"{path}.lock: {error.strerror}") from error
    try:
        return not _taken(descriptor)
    finally:
        os.close(descriptor)


@asynccontextmanager
async def at_work(path: Path, when_alone: Callable[[], Awaitable[object]]) -> AsyncGenerator[None]:
    """Be present on the record for the length of the block; if nobody else is, await `when_alone` first.

    The lock is on a file of its own beside the record (`NAME.lock`), never on the record: closing a descriptor of that
    would take SQLite's own locks away. It holds nobody up: others who come while `when_alone` runs wait for it alone.
    """
    import asyncio  # 50 ms, for which verbs that only read the record do not wait

    descriptor = _open(path)
    try:
        if _taken(descriptor):
            await when_alone()
        # In a thread: whoever holds the other lock may be a task of this very loop.
        await asyncio.to_thread(fcntl.flock, descriptor, fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)


def _taken(descriptor: int) -> bool:
    """Return whether the lock for one only was free, and is now held."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _open(path: Path) -> int:
    try:
        return os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise RecordError(f"{path}.lock: {error.strerror} (the record's folder must be writable)") from error
