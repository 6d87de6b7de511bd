"""Progress: what a scan tells whoever watches it, as it happens."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

_LOG = logging.getLogger(__name__)


class Stage(StrEnum):
    """The stages that report; each carries the result named here."""

    START = "start"
    """`(Identity, Standing)`: where the desk trades, and its trading state."""
    SNAPSHOT = "snapshot"
    """`Snapshot`."""
    SCREEN = "screen"
    """`(ScreenReport, reviewed candidates)`."""
    ANALYST = "analyst"
    """`Opinion` or `Failure`."""
    DEBATE = "debate"
    """`Argument` or `Failure`."""
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
    place: int | None = None
    """Place of the candidate among those reviewed, from 1; None for the scan's own stages."""


Watcher = Callable[[Progress], None]


def guarded(watch: Watcher) -> Watcher:
    """Return a watcher that goes silent at its first error: who looks on must not change what is traded."""
    broken = False

    def tell(progress: Progress) -> None:
        nonlocal broken
        if broken:
            return
        try:
            watch(progress)
        except Exception:  # noqa: BLE001 - the edge to code that is not ours: logged, and told nothing more
            broken = True
            _LOG.exception("the watcher of the scan failed at %s; it is told nothing more", progress.stage)

    return tell


def unwatched(progress: Progress) -> None:
    """Ignore progress: for scans that nobody watches."""
    del progress
