"""Jobs: a slot of the schedule in, its job done once and the outcome out; what a daemon and one-shots have in common.

A slot is claimed in the record before anything else, so that whoever runs it, daemon or cron, it runs once. A job that
fails before it had begun waits for another try; one that failed later is over: what it did is in the record.
"""

import asyncio
import datetime as dt
import logging
from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from mahler_agents.clock import Clock, new_york_text, utc_text
from mahler_agents.desk import Desk
from mahler_agents.errors import HaltedError, InputError, JobError, MahlerError
from mahler_agents.logs import within
from mahler_agents.market import calendar
from mahler_agents.market.sample import SampleMarket
from mahler_agents.monitor import MonitorResult
from mahler_agents.notify import Notice, Notifier, notice_of_failure, notices_of_outcome
from mahler_agents.progress import Watcher, unwatched
from mahler_agents.record import open_database
from mahler_agents.record.slots import SlotBook, SlotRow, SlotStatus, ended_run, run_of, this_process
from mahler_agents.redaction import Redactor
from mahler_agents.remote_clock import clock_from
from mahler_agents.scan import ScanResult
from mahler_agents.schedule import MINUTE, Job, Plan, ScheduleSettings, Slot, due_slots, plan, too_late
from mahler_agents.settings import Settings
from mahler_agents.summary import DaySummary, chosen_account, day_summary
from mahler_agents.threads import entered_in_thread, to_the_end

LEASE = 30 * MINUTE
"""A claim is not taken over sooner, unless its process is known to be dead: no job takes as long."""

LOOK_BACK = dt.timedelta(days=30)
"""What was due earlier is not told as missed any more."""

_WORDS = {
    SlotStatus.DONE: "is done",
    SlotStatus.FAILED: "has failed",
    SlotStatus.MISSED: "was missed",
    SlotStatus.RETRYING: "has failed",
}

_log = logging.getLogger(__name__)

Result = ScanResult | MonitorResult | DaySummary


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a slot's job ended in this process."""

    slot: Slot
    status: SlotStatus
    """Done, failed, or retrying."""
    result: Result | None = None
    error: Exception | None = None
    """What it raised."""
    detail: str | None = None
    """Why it failed or was refused, in words."""
    retry_at: dt.datetime | None = None

    @property
    def text(self) -> str:
        """Say how it ended, in a line."""
        why = f": {self.detail}" if self.detail else ""
        again = f"; it is tried again at {new_york_text(self.retry_at)}" if self.retry_at is not None else ""
        return f"{self.slot.name} {_WORDS[self.status]}{why}{again}"


@dataclass(frozen=True, kw_only=True)
class Taken:
    """A slot that this process did not run, since it has ended or is another's."""

    slot: Slot
    row: SlotRow

    @property
    def text(self) -> str:
        """Say so."""
        row = self.row
        if row.status is SlotStatus.RUNNING:
            return f"{self.slot.name} is at work in {row.owner}, since {_instant(row.claimed_at)}"
        if row.status is SlotStatus.RETRYING:
            return f"{self.slot.name} failed ({row.detail}); it is tried again at {_instant(row.lease_until)}"
        why = f": {row.detail}" if row.detail else ""
        by = f" by {row.owner}" if row.owner else ""
        return f"{self.slot.name} {_WORDS[row.status]}{by} at {_instant(row.ended_at)}{why}"


Told = Callable[[Outcome | None], Awaitable[None]]
"""Is told how a job ended, or None where nothing was run: there may be news all the same, such as a slot missed."""


async def _untold(outcome: Outcome | None) -> None:
    del outcome


class _EndedBeforeError(JobError):
    """The scan of a slot had ended in a process that died before it could say so: another would trade once more."""

    def __init__(self, run_id: str, status: str) -> None:
        super().__init__(f"its process died once run {run_id} had ended ({status}): `mahler trace show {run_id}`")
        self.done = status == "done"


@dataclass(frozen=True, kw_only=True)
class Jobs:
    """Runs slots, each on a desk of its own that is opened for it: nothing is kept from one to the next."""

    desk_of: Callable[[Job], Desk]
    """Makes the desk of a job, not opened yet."""
    book: SlotBook
    clock: Clock
    owner: str
    times: ScheduleSettings
    told: Told = _untold
    """Is told how each job ended, once the record has it; whatever it does must not raise."""

    def due(self, job: Job) -> Plan:
        """Return what to do about a job's slots that are due now and have not ended, but for those that another has.

        What was missed is written down. It blocks: call it in a thread. Raises `RecordError`.
        """
        now = self.clock.now()
        with self.book.holding_claims():  # gives back what a dead process had claimed
            unended = [row for row in self.book.unended() if row.job == job and row.due_at <= utc_text(now)]
        left = [row for row in unended if row.free_at(utc_text(now))]
        fallen_due = due_slots(calendar, self._since(job, now), now, self.times, [job])
        decided = plan(calendar, (*map(slot_of, left), *fallen_due), now, self.times)
        if decided.missed:
            self.book.miss([(one.slot.key, one.why) for one in decided.missed], at=utc_text(now))
            last = decided.missed[-1]
            before = f" and {len(decided.missed) - 1} before it" if len(decided.missed) > 1 else ""
            _log.warning("%s%s missed: %s", last.slot.name, before, last.why)
        return decided

    def _since(self, job: Job, now: dt.datetime) -> dt.datetime:
        """Return after when slots are looked for: the job's last one on record; its schedule has just begun if none is.

        What is still in its grace then is run late, and a summary is made of any day that the record tells of.
        """
        last = self.book.last(job.value, at=utc_text(now))
        if last is not None:
            return max(dt.datetime.fromisoformat(last.due_at), now - LOOK_BACK)
        if job is Job.SUMMARY:
            first = self.book.first_due()
            return now if first is None else max(dt.datetime.fromisoformat(first), now - LOOK_BACK)
        return now - MINUTE * (self.times.scan_grace_minutes if job is Job.SCAN else self.times.monitor_every_minutes)

    async def run(self, slot: Slot, watch: Watcher = unwatched) -> Outcome | Taken:
        """Run a slot's job unless it has been, or is, another's; never raises what the job raised: see `Outcome.error`.

        Cancelled, it gives the claim back: who comes next goes on with what is left. Raises `RecordError` if the claim
        could not be read or written.
        """
        with within(job=slot.job.value, slot=slot.name):
            return await self._run(slot, watch)

    async def _run(self, slot: Slot, watch: Watcher) -> Outcome | Taken:
        async with entered_in_thread(self.book.holding_claims):
            try:
                if (taken := await to_the_end(self._claim, slot)) is not None:
                    return Taken(slot=slot, row=taken)
                outcome = await self._tried(slot, watch)
            except asyncio.CancelledError:
                await asyncio.to_thread(self._end, slot, {"lease_until": None})
                raise
            await asyncio.to_thread(self._ended, outcome)
        await self.told(outcome)
        return outcome

    async def _tried(self, slot: Slot, watch: Watcher) -> Outcome:
        try:
            result = await self._result(slot, watch)
        except HaltedError as error:  # what the kill switch is for: the slot has run
            return Outcome(slot=slot, status=SlotStatus.DONE, error=error, detail=str(error))
        except _EndedBeforeError as error:
            status = SlotStatus.DONE if error.done else SlotStatus.FAILED
            return Outcome(slot=slot, status=status, error=error, detail=str(error))
        except Exception as error:  # noqa: BLE001 - the edge of one job: recorded and told; the next slot runs
            return await self._failed(slot, error)
        failed = () if isinstance(result, DaySummary) else result.failed
        if failed:
            detail = "; ".join(failed)
            return Outcome(slot=slot, status=SlotStatus.FAILED, result=result, error=JobError(detail), detail=detail)
        return Outcome(slot=slot, status=SlotStatus.DONE, result=result)

    async def _result(self, slot: Slot, watch: Watcher) -> Result:
        if slot.job is Job.SUMMARY:
            return await asyncio.to_thread(self._summary, slot.date)
        if slot.job is Job.SCAN and (ended := await asyncio.to_thread(ended_run, self.book.path, slot.name)):
            raise _EndedBeforeError(*ended)
        async with self.desk_of(slot.job) as desk:
            at = await desk.present()
            if slot.job is Job.SCAN:
                return await desk.scan(as_of=at, slot=slot.name, watch=watch)
            return await desk.monitor(at=at, slot=slot.name)

    def _summary(self, date: dt.date) -> DaySummary:
        account = chosen_account(self.book.path, None)
        if account is None:
            raise JobError(f"{self.book.path} holds no account yet: there is no day to sum up")
        return day_summary(self.book.path, account, date)

    async def _failed(self, slot: Slot, error: Exception) -> Outcome:
        known = isinstance(error, MahlerError)
        detail = str(error) if known else f"{type(error).__name__}: {error}"
        if not known:  # whoever runs the job says what it raised; of a defect the log keeps where
            _log.error("%s failed: %s", slot.name, detail, exc_info=error)
        retry_at = await self._retry_at(slot)
        status = SlotStatus.FAILED if retry_at is None else SlotStatus.RETRYING
        return Outcome(slot=slot, status=status, error=error, detail=detail, retry_at=retry_at)

    async def _retry_at(self, slot: Slot) -> dt.datetime | None:
        """Return when a job that failed is tried again; None if it had begun, or once there is no time for it."""
        if await asyncio.to_thread(run_of, self.book.path, slot.name) is not None:
            return None
        if await asyncio.to_thread(self.book.attempts, slot.key) >= self.times.max_attempts:
            return None
        retry_at = self.clock.now() + self.times.retry_minutes * MINUTE
        return None if too_late(calendar, slot, retry_at, self.times) else retry_at

    def _claim(self, slot: Slot) -> SlotRow | None:
        now = self.clock.now()
        return self.book.claim(
            slot.key,
            owner=self.owner,
            at=utc_text(now),
            lease_until=utc_text(now + LEASE),
            attempts=self.times.max_attempts,
        )

    def _ended(self, outcome: Outcome) -> None:
        run_id = run_of(self.book.path, outcome.slot.name)
        values: dict[str, str | None] = {
            "status": outcome.status.value,
            "detail": outcome.detail,
            "run_id": run_id,
            "lease_until": outcome.retry_at and utc_text(outcome.retry_at),
            "ended_at": utc_text(self.clock.now()) if outcome.retry_at is None else None,
        }
        if not self._end(outcome.slot, values):
            _log.warning("%s had been taken over by another process when it ended here", outcome.slot.name)

    def _end(self, slot: Slot, values: Mapping[str, str | None]) -> bool:
        return self.book.end(slot.key, owner=self.owner, values=values)


def through_channels(notifier: Notifier) -> Told:
    """Return what tells the user how a job ended, and tries what could not be told before."""

    async def told(outcome: Outcome | None) -> None:
        await notifier.tell(() if outcome is None else _notices(outcome))

    return told


def _notices(outcome: Outcome) -> tuple[Notice, ...]:
    slot = outcome.slot
    try:
        return notices_of_outcome(outcome)
    except Exception as error:  # noqa: BLE001 - the job was done: a defect in its wording must not end the daemon
        _log.exception("%s cannot be told of", slot.name)
        untold = JobError(f"{outcome.text}, and what it did cannot be told: {type(error).__name__}: {error}")
        return (notice_of_failure(slot.job.value, slot.name, untold, at=slot.due_at),)


@contextmanager
def opened_jobs(settings: Settings, *, told: Told | None = None, clock: Clock | None = None) -> Generator[Jobs]:
    """Give the jobs of the desk that the settings name, with its record open for claims for the length of the block.

    How each ended is told through the settings' channels, unless somebody else is `told`.

    Raises `InputError` or `ConfigError` for settings that are no desk, `RecordError` for a record that is none.
    """
    clock = clock or clock_from(settings.environ)

    def desk_of(job: Job) -> Desk:
        return Desk(**settings.desk_arguments(rules_only=job is not Job.SCAN), clock=clock)

    desk = desk_of(Job.SCAN)
    if not desk.market.live and not isinstance(desk.market, SampleMarket):
        raise InputError(f"the market {settings.market} has no present: schedule alpaca, or sample as a rehearsal")
    open_database(desk.database, create=True)
    told = told or through_channels(Notifier(settings.notify, desk.database, clock=clock, environ=settings.environ))
    with SlotBook(desk.database, redact=Redactor.of(settings.environ)) as book:
        yield Jobs(desk_of=desk_of, book=book, clock=clock, owner=this_process(), times=settings.schedule, told=told)


def slot_of(row: SlotRow) -> Slot:
    """Return the slot of a row."""
    return Slot(job=Job(row.job), due_at=dt.datetime.fromisoformat(row.due_at))


def _instant(text: str | None) -> str:
    return "a time that is not known" if text is None else new_york_text(dt.datetime.fromisoformat(text))
