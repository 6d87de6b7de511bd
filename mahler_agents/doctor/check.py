"""Doctor, check: the form of one check, and its docstring as the columns of the documentation's table."""

import inspect
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from mahler_agents.doctor.findings import Group, Said
from mahler_agents.doctor.situation import Situation

Answer: TypeAlias = Said | Sequence[Said]
Look: TypeAlias = Callable[[Situation], Answer] | Callable[[Situation], Awaitable[Answer]]
"""Looks at one thing; a plain function may block, and is called in a thread of its own."""

WARN, FAIL = "Warn:", "Fail:"
"""Begin the lines of a look's docstring that say when it warns and fails."""


def always(_: Situation) -> bool:
    """Return that a check is for every desk."""
    return True


def nobody(_: Situation) -> bool:
    """Return that a check asks nobody."""
    return False


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing that is looked at."""

    name: str
    group: Group
    look: Look
    needs: tuple[str, ...] = ()
    """Checks before it, without whose `ok` or `warn` it is skipped: what they found would only be found again."""
    asks: Callable[[Situation], bool] = nobody
    """Whether it asks somebody over the network, so that it is left out offline."""
    applies: Callable[[Situation], bool] = always
    """Whether a desk has what it looks at; if not there is no line of it."""

    @property
    def about(self) -> str:
        """What it looks at: the first line of its docstring."""
        return self._paragraphs()[0].rstrip(".")

    @property
    def warns(self) -> str:
        """When it warns; empty if it never does."""
        return self._told(WARN)

    @property
    def fails(self) -> str:
        """When it fails; empty if it never does."""
        return self._told(FAIL)

    def _told(self, mark: str) -> str:
        found = (one.removeprefix(mark).strip() for one in self._paragraphs() if one.startswith(mark))
        return " ".join(found).rstrip(".")

    def _paragraphs(self) -> list[str]:
        lines = (inspect.getdoc(self.look) or self.name).splitlines()
        whole: list[str] = []
        for line in lines:
            if not whole or line.startswith((WARN, FAIL)) or not line.strip():
                whole.append(line.strip())
            else:
                whole[-1] = f"{whole[-1]} {line.strip()}".strip()
        return [one for one in whole if one]
