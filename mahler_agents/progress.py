"""Progress: what a scan tells whoever watches it, as it happens."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Stage(StrEnum):
    """The stages that report; each carries the result named here."""

    SNAPSHOT = "snapshot"
    """`Snapshot`."""
    SCREEN = "screen"
    """`(ScreenReport, reviewed candidates)`."""
    ANALYST = "analyst"
    """`Opinion` or `Failure`."""
    FUND_MANAGER = "fund_manager"
    """`Verdict` or `Failure`."""
    ADVISORY = "advisory"
    """`Advice`."""
    SIZE = "size"
    """`Sizing`."""
    EXECUTE = "execute"
    """`Execution`."""
    REVIEW = "review"
    """`Review`: the candidate is done."""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """One stage that ended."""

    stage: Stage
    result: Any
    rank: int | None = None
    """Place of the candidate among those reviewed, from 1; None for the scan's own stages."""


Watcher = Callable[[Progress], None]


def unwatched(progress: Progress) -> None:
    """Ignore progress: for scans that nobody watches."""
    del progress
