"""For crash suites: numbers every step of an order's way, with any broker, so that a process can be killed at each.

Steps are the two sides of every commit of the ledger and of every request to the broker, in the order in which they
come: `submit`, `cancel`, `find`. Nothing of an order happens between two of them.
"""

import functools
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import pytest

from mahler_agents.execution import Ledger

COMMITS = ("reserve", "intend_close", "attempt", "mark_unknown", "book", "cancel", "abandon", "book_settlement")
REQUESTS = ("submit", "cancel", "find")

Hook = Callable[[int, str], None]
"""Told the number of a step, from 1, and its name: `before ledger.attempt`, `after broker.submit`, ..."""


@contextmanager
def numbered_steps(hook: Hook, broker: type) -> Generator[None]:
    """Tell `hook` of every step while the block runs, for desks whose broker is of this class."""
    number = 0

    def tell(name: str) -> None:
        nonlocal number
        number += 1
        hook(number, name)

    def commit(name: str) -> Callable[..., Any]:
        original: Callable[..., Any] = getattr(Ledger, name)

        @functools.wraps(original)
        def told(*arguments: Any, **fields: Any) -> Any:
            tell(f"before ledger.{name}")
            result = original(*arguments, **fields)
            tell(f"after ledger.{name}")
            return result

        return told

    def request(name: str) -> Callable[..., Any]:
        original: Callable[..., Any] = getattr(broker, name)

        @functools.wraps(original)
        async def told(*arguments: Any, **fields: Any) -> Any:
            tell(f"before broker.{name}")
            result = await original(*arguments, **fields)
            tell(f"after broker.{name}")
            return result

        return told

    with pytest.MonkeyPatch.context() as patch:
        for name in COMMITS:
            patch.setattr(Ledger, name, commit(name))
        for name in REQUESTS:
            patch.setattr(broker, name, request(name))
        yield
