"""Threads: how what blocks is opened and closed beside an event loop, never on it."""

import asyncio
import ctypes
import platform
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager, suppress
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_M_ARENA_MAX = -8
"""Of glibc's malloc.h."""


def share_one_arena() -> None:
    """Let all threads of this process take their memory from one arena, where the C library is glibc.

    It would give each thread one of its own, and every scan's and pass's new threads would leave holes in others: a
    daemon's memory grew by 40 MB in thirty scans, and by 9 MB without. Call it before there are threads.
    """
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


@asynccontextmanager
async def entered_in_thread(make: Callable[[], AbstractContextManager[T, bool | None]]) -> AsyncGenerator[T]:
    """Make and enter a context manager in a thread for the length of the block, and leave it in one.

    Cancelled while it opens or closes, this waits for the end of that, so that nothing is left open.
    """
    stack = ExitStack()
    try:
        yield await to_the_end(lambda: stack.enter_context(make()))
    except BaseException as error:
        await to_the_end(stack.__exit__, type(error), error, error.__traceback__)
        raise
    else:
        await to_the_end(stack.__exit__, None, None, None)


async def to_the_end(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function in a thread; cancelled meanwhile, this waits for its end first."""
    work = asyncio.ensure_future(asyncio.to_thread(function, *args, **kwargs))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        with suppress(Exception):  # whoever cancelled is told so, and nothing else
            await work
        raise
