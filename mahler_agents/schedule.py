"""Schedule: a calendar, two instants and the user's times in; the slots that fell due between them out.

Everything here is a pure function: times are New York's, sessions are the exchange's, so that daylight saving, holidays
and half-days need nobody's hand. Who waits, and who runs what is due, is `scheduler.py` and `jobs.py`.
"""

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Annotated, Protocol

from pydantic import AfterValidator, Field, SecretStr

from mahler_agents.clock import NEW_YORK, utc_text
from mahler_agents.market.calendar import Session
from mahler_agents.types import Frozen

MINUTE = dt.timedelta(minutes=1)
OPEN, CLOSE = dt.time(9, 30), dt.time(16)
"""Of a full session in New York; the calendar knows those that close earlier."""


class Job(StrEnum):
    """What the schedule runs; of jobs that are due at once those that close come first."""

    MONITOR = "monitor"
    SCAN = "scan"
    SUMMARY = "summary"


class ExchangeCalendar(Protocol):
    """What the schedule asks of a calendar; the module `market.calendar` is one."""

    def is_session(self, date: dt.date) -> bool:
        """Return whether the exchange opens on a date."""
        ...

    def session(self, date: dt.date) -> Session:
        """Return the hours of a session."""
        ...

    def sessions(self, first: dt.date, last: dt.date) -> tuple[dt.date, ...]:
        """Return the sessions from `first` to `last`, both included."""
        ...

    def next_session(self, date: dt.date) -> dt.date:
        """Return the first session after a date."""
        ...


def _distinct_times(times: tuple[dt.time, ...]) -> tuple[dt.time, ...]:
    if not times or len(set(times)) < len(times):
        raise ValueError("name at least one time, and each once")
    if any(one.tzinfo is not None or one.second or one.microsecond for one in times):
        raise ValueError("use whole minutes of New York time such as 10:00, without a zone")
    if any(not OPEN <= one < CLOSE for one in times):
        raise ValueError(
            "use times of the session in New York, from 09:30 and before 16:00: no other is ever scanned at"
        )
    return tuple(sorted(times))


class ScheduleSettings(Frozen):
    """When jobs run, and how late they still may; times are New York's."""

    scan_at: Annotated[tuple[dt.time, ...], AfterValidator(_distinct_times)] = (dt.time(10, 0),)
    """Each session is scanned at these times; one outside a half-day's hours is left out that day."""
    monitor_every_minutes: Annotated[int, Field(ge=1, le=60)] = 5
    """A monitor pass this often, from the open to the close."""
    summary_minutes_after_close: Annotated[int, Field(ge=0, le=360)] = 20
    """The day's summary is written so long after the close; official closes come 16 minutes after it."""
    scan_grace_minutes: Annotated[int, Field(ge=0, le=390)] = 120
    """A scan that was missed is still run so much later, in the same session, on the quotes of then."""
    retry_minutes: Annotated[int, Field(ge=1, le=60)] = 5
    """A job that failed before it had begun (no market, no broker) is tried again so much later."""
    max_attempts: Annotated[int, Field(ge=1, le=10)] = 3
    """Times that one slot is tried, whether its job failed before it had begun or its process died."""
    ping_url: SecretStr | None = None
    """Asked with every heartbeat of the daemon, so that a watcher elsewhere sees them stop; None: nobody is told."""


@dataclass(frozen=True, kw_only=True)
class Slot:
    """One time at which one job is due."""

    job: Job
    due_at: dt.datetime
    """UTC."""

    @property
    def name(self) -> str:
        """The slot in words that sort: job, and New York's time or, of a summary, date."""
        local = self.due_at.astimezone(NEW_YORK)
        return f"{self.job}-{local:%Y-%m-%d}" if self.job is Job.SUMMARY else f"{self.job}-{local:%Y-%m-%dT%H:%M}"

    @property
    def key(self) -> dict[str, str]:
        """What the record knows the slot by."""
        return {"job": self.job.value, "slot": self.name, "due_at": utc_text(self.due_at)}

    @property
    def date(self) -> dt.date:
        """The session's date."""
        return self.due_at.astimezone(NEW_YORK).date()


@dataclass(frozen=True, kw_only=True)
class Missed:
    """A slot that is not run any more."""

    slot: Slot
    why: str


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to do about slots that are due."""

    run: tuple[Slot, ...]
    """At most one of each job, oldest first."""
    missed: tuple[Missed, ...]


def due_slots(
    calendar: ExchangeCalendar,
    after: dt.datetime,
    now: dt.datetime,
    times: ScheduleSettings | None = None,
    jobs: Sequence[Job] = tuple(Job),
) -> tuple[Slot, ...]:
    """Return the slots that fell due later than `after` and not later than `now`, in order.

    Raises `InputError` outside the calendar's range.
    """
    if now <= after:
        return ()
    first, last = (instant.astimezone(NEW_YORK).date() for instant in (after, now))
    found = [
        slot
        for date in calendar.sessions(first, last)
        for slot in session_slots(calendar, date, times or ScheduleSettings())
        if slot.job in jobs and after < slot.due_at <= now
    ]
    return tuple(sorted(found, key=_order))


def next_slots(
    calendar: ExchangeCalendar,
    after: dt.datetime,
    times: ScheduleSettings | None = None,
    jobs: Sequence[Job] = tuple(Job),
) -> tuple[Slot, ...]:
    """Return the next slot of each job after an instant, in order: of the ten sessions that follow at most."""
    date = after.astimezone(NEW_YORK).date() - dt.timedelta(days=1)
    found: dict[Job, Slot] = {}
    for _ in range(10):
        date = calendar.next_session(date)
        for slot in session_slots(calendar, date, times or ScheduleSettings()):
            if slot.job in jobs and slot.due_at > after and slot.job not in found:
                found[slot.job] = slot
        if len(found) == len(jobs):
            break
    return tuple(sorted(found.values(), key=_order))


def session_slots(calendar: ExchangeCalendar, date: dt.date, times: ScheduleSettings) -> tuple[Slot, ...]:
    """Return all slots of one session, in order. Raises `InputError` if the date has none."""
    return tuple(sorted(_slots(calendar.session(date), date, times), key=_order))


def _slots(hours: Session, date: dt.date, times: ScheduleSettings) -> Iterator[Slot]:
    for time in times.scan_at:
        at = dt.datetime.combine(date, time, NEW_YORK).astimezone(dt.UTC)
        if hours.open <= at < hours.close:
            yield Slot(job=Job.SCAN, due_at=at)
    every = times.monitor_every_minutes * MINUTE
    for number in range((hours.close - hours.open) // every + 1):
        yield Slot(job=Job.MONITOR, due_at=hours.open + number * every)
    yield Slot(job=Job.SUMMARY, due_at=hours.close + times.summary_minutes_after_close * MINUTE)


def plan(
    calendar: ExchangeCalendar, due: Sequence[Slot], now: dt.datetime, times: ScheduleSettings | None = None
) -> Plan:
    """Decide what to do about slots that are due and that nobody has run: of each job the newest, if not too late."""
    times = times or ScheduleSettings()
    run: list[Slot] = []
    missed: list[Missed] = []
    for job in Job:
        slots = sorted((slot for slot in due if slot.job is job), key=_order)
        for earlier, later in pairwise(slots):
            missed.append(Missed(slot=earlier, why=f"nothing ran then; {later.name} followed"))
        if slots:
            why = too_late(calendar, slots[-1], now, times)
            if why is None:
                run.append(slots[-1])
            else:
                missed.append(Missed(slot=slots[-1], why=why))
    return Plan(run=tuple(sorted(run, key=_order)), missed=tuple(sorted(missed, key=lambda one: _order(one.slot))))


def too_late(calendar: ExchangeCalendar, slot: Slot, now: dt.datetime, times: ScheduleSettings) -> str | None:
    """Return why a slot is not run any more at an instant, None if it still is.

    A scan is run until its grace ends, a monitor pass until the next one, both within the session; a summary until the
    next session's.
    """
    late = now - slot.due_at
    if slot.job is Job.SUMMARY:
        following = calendar.session(calendar.next_session(slot.date))
        until = following.close + times.summary_minutes_after_close * MINUTE
        return None if now < until else f"{_minutes(late)} late, and the next session's is due"
    if now > calendar.session(slot.date).close:
        return f"{_minutes(late)} late, after the session"
    grace = times.scan_grace_minutes if slot.job is Job.SCAN else times.monitor_every_minutes
    return None if late <= grace * MINUTE else f"{_minutes(late)} late; the grace is {grace} minutes"


def why_none(calendar: ExchangeCalendar, date: dt.date) -> str | None:
    """Return why nothing runs on a date, None if it is a session."""
    if calendar.is_session(date):
        return None
    return "a weekend" if date.weekday() >= 5 else "a holiday of the New York exchange"


def _minutes(late: dt.timedelta) -> str:
    return f"{late // MINUTE:,} minutes"


def _order(slot: Slot) -> tuple[dt.datetime, int]:
    return slot.due_at, tuple(Job).index(slot.job)
