"""Notify: how a slot's job ended in, its notices out, whatever it was: what the daemon and one-shots tell; pure."""

import datetime as dt
from typing import Protocol

from mahler_agents.monitor import MonitorResult
from mahler_agents.notify.jobs import notice_of_day, notice_of_failure
from mahler_agents.notify.notice import Notice
from mahler_agents.notify.passes import notices_of_pass
from mahler_agents.notify.scans import notices_of_scan
from mahler_agents.scan_parts import ScanResult
from mahler_agents.schedule import Slot
from mahler_agents.summary.day import DaySummary


class Ended(Protocol):
    """A job that has ended; `jobs.Outcome` is one."""

    @property
    def slot(self) -> Slot:
        """Whose job it was."""
        ...

    @property
    def result(self) -> object:
        """What it returned; None if it raised."""
        ...

    @property
    def error(self) -> Exception | None:
        """What it raised, or what in its result failed."""
        ...

    @property
    def retry_at(self) -> dt.datetime | None:
        """When it is tried again."""
        ...


def notices_of_outcome(outcome: Ended) -> tuple[Notice, ...]:
    """Return the notices of a scan, a pass or a day's summary, or of the error that ended it.

    A job that is tried again is told of once, and so is what came of it in the end.
    """
    slot, result = outcome.slot, outcome.result
    if isinstance(result, ScanResult):
        return notices_of_scan(result)
    if isinstance(result, MonitorResult):
        return notices_of_pass(result)
    if isinstance(result, DaySummary):
        return (notice_of_day(result, at=slot.due_at),)
    if outcome.error is None:
        return ()
    return (notice_of_failure(slot.job.value, slot.name, outcome.error, at=slot.due_at, next_at=outcome.retry_at),)
