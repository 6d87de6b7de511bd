"""Scheduler: the daemon: waits on the clock, runs what is due, says that it is alive, and stops when told.

It keeps nothing in memory: what is due is worked out anew at every turn from the calendar, the clock and the record, so
that a restart, a second daemon or a clock that jumps neither doubles a slot nor loses one.
"""

import asyncio
import datetime as dt
import logging
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field

from mahler_agents.clock import Clock, utc_text
from mahler_agents.jobs import Jobs, Outcome, Taken
from mahler_agents.market import calendar
from mahler_agents.record.slots import Heartbeat
from mahler_agents.schedule import MINUTE, Job, next_slots
from mahler_agents.version import __version__

BEAT_EVERY = MINUTE
"""How often a daemon says that it is alive, if the clock flows."""

_log = logging.getLogger(__name__)

Ping = Callable[[], Coroutine[None, None, None]]


async def no_ping() -> None:
    """Tell nobody."""


@dataclass(kw_only=True)
class Daemon:
    """Runs the schedule until it is told to stop."""

    jobs: Jobs
    only: Sequence[Job] = tuple(Job)
    """The jobs that it runs; others are cron's, perhaps."""
    ping: Ping = no_ping
    """Is called with every heartbeat, and not waited for; must not raise."""
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    """Set: nothing more is begun, and what is at work is finished."""
    _at_work: dict[Job, asyncio.Task[Outcome | Taken]] = field(default_factory=dict[Job, asyncio.Task[Outcome | Taken]])
    _started: dt.datetime | None = None
    _ping: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Run until `stopping` is set and what was begun by then has ended.

        Cancelled, it cancels what is at work: an order is booked first, and a scan is left to be resumed. Raises
        `RecordError` if the record cannot be read or written, which nothing can be done without.
        """
        self._started = self._clock.now()
        _log.info("%s runs %s", self.jobs.owner, ", ".join(self.only))
        try:
            while not self.stopping.is_set():
                await self._turn()
            await self._finish()
        finally:
            await self._cancel()
            await self._beat(stopped=True)
            _log.info("%s has stopped", self.jobs.owner)

    @property
    def _clock(self) -> Clock:
        return self.jobs.clock

    async def _turn(self) -> None:
        now = self._clock.now()
        self._reap()
        for job in self.only:
            if job in self._at_work or self.stopping.is_set():
                continue
            for slot in (await asyncio.to_thread(self.jobs.due, job)).run:
                self._at_work[job] = asyncio.create_task(self.jobs.run(slot), name=slot.name)
                if not self._clock.flows:  # one after another: to wait on such a clock moves it under those at work
                    await asyncio.wait([self._at_work[job]])
                    self._reap()
        await self._beat()
        await self._wait(now)

    def _reap(self) -> None:
        """Forget tasks that have ended; what a job raised is in its outcome: a task raises `RecordError` only."""
        for job, task in tuple(self._at_work.items()):
            if task.done():
                del self._at_work[job]
                ended = task.result()
                failed = isinstance(ended, Outcome) and ended.error is not None
                _log.log(logging.WARNING if failed else logging.INFO, "%s", ended.text)

    async def _wait(self, now: dt.datetime) -> None:
        """Return when something is due or has ended, it is time for a sign of life, or the daemon is told to stop."""
        told = asyncio.create_task(self.stopping.wait())
        waits: set[asyncio.Task[object]] = {told, *self._at_work.values()}
        if not any(task.done() for task in self._at_work.values()):
            waits.add(asyncio.create_task(self._clock.sleep_until(self._wake_at(now))))
        ended, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits - ended - set(self._at_work.values()):
            wait.cancel()
        await asyncio.gather(*(waits - set(self._at_work.values())), return_exceptions=True)

    def _wake_at(self, now: dt.datetime) -> dt.datetime:
        upcoming = [slot.due_at for slot in next_slots(calendar, now, self.jobs.times, self.only)]
        retries = [
            dt.datetime.fromisoformat(row.lease_until)
            for row in self.jobs.book.unended()
            if row.lease_until is not None and row.lease_until > utc_text(now)
        ]
        beat = [now + BEAT_EVERY] if self._clock.flows else []
        return min([*upcoming, *retries, *beat])

    async def _finish(self) -> None:
        if self._at_work:
            _log.info("stopping once %s ended", " and ".join(task.get_name() for task in self._at_work.values()))
            await asyncio.wait(self._at_work.values())
            self._reap()

    async def _cancel(self) -> None:
        for task in self._at_work.values():
            task.cancel()
        await asyncio.gather(*self._at_work.values(), return_exceptions=True)
        self._at_work.clear()

    async def _beat(self, *, stopped: bool = False) -> None:
        now = self._clock.now()
        upcoming = () if stopped else next_slots(calendar, now, self.jobs.times, self.only)
        heartbeat = Heartbeat(
            owner=self.jobs.owner,
            version=__version__,
            started_at=utc_text(self._started or now),
            at=utc_text(now),
            stopped_at=utc_text(now) if stopped else None,
            doing=", ".join(task.get_name() for task in self._at_work.values()) or None,
            next_job=upcoming[0].name if upcoming else None,
            next_at=utc_text(upcoming[0].due_at) if upcoming else None,
        )
        await asyncio.to_thread(self.jobs.book.beat, heartbeat)
        if self._ping is None or self._ping.done():  # a watcher that is slow holds nothing up
            self._ping = asyncio.ensure_future(self.ping())
        if stopped:
            await self._ping
