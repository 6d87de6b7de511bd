"""Verification: did the jobs run when they were due, and did a halt hold? Rows in, `Judged` out; pure."""

import datetime as dt
from collections import Counter
from collections.abc import Collection, Iterator, Sequence

from mahler_agents.clock import NEW_YORK, utc_text
from mahler_agents.errors import InputError
from mahler_agents.market import calendar
from mahler_agents.record.conduct_rows import Conduct, OrderConduct
from mahler_agents.record.slots import SlotRow, SlotStatus
from mahler_agents.record.trace_rows import RunRow
from mahler_agents.schedule import MINUTE, Job, Slot, due_slots
from mahler_agents.text import count, instant, listed
from mahler_agents.verification.finding import Evidence, Judged, Shown

SETTLING = 10 * MINUTE
"""A slot that fell due this recently may be running, or about to be claimed."""
ABOUT_MINUTES = 15
"""Scans whose slots name a date alone may be that far apart on the clock: daylight saving makes it sixty."""
_SCAN = "scan-"


def slots_run(evidence: Evidence) -> Judged:
    """Judge whether every slot that the schedule had, from each job's first on record until now, was run."""
    expected = list(_expected(evidence))
    rows = {row.slot: row for row in evidence.conduct.slots}
    late = utc_text(evidence.now - SETTLING)
    wrong = [Shown(where=slot.name, what=why) for slot in expected if (why := _not_run(rows.get(slot.name), late))]
    jobs = Counter(slot.job.value for slot in expected)
    told = listed(f"{number:,} {job}" for job, number in jobs.items())
    return Judged(
        checked=len(expected),
        of="slots",
        text=f"{count(len(expected), 'slot')} fell due: {told}" if expected else "no schedule has run on this record",
        wrong=tuple(wrong),
        figures={"due": len(expected), "not_run": len(wrong)},
    )


def _expected(evidence: Evidence) -> Iterator[Slot]:
    """Yield the slots of the span, of each job that a schedule has run, and that should have been run by now."""
    conduct = evidence.conduct
    until = min(evidence.now - SETTLING, dt.datetime.fromisoformat(conduct.ends))
    for job, first in conduct.first_due.items():
        since = dt.datetime.fromisoformat(max(first, conduct.begins)) - dt.timedelta(milliseconds=1)
        yield from due_slots(calendar, since, until, evidence.times, [Job(job)])


def _not_run(row: SlotRow | None, late: str) -> str | None:
    if row is None:
        return "nobody has claimed it"
    if row.status is SlotStatus.DONE:
        refused = row.detail is not None  # by the kill switch
        return "done, and it has no run" if row.job == Job.SCAN and row.run_id is None and not refused else None
    if not row.ended and row.lease_until is not None and row.lease_until > late:
        return None  # it is at work, or to be tried again
    return f"{row.status.value}: {row.detail or 'no reason recorded'}"


def scans_on_time(evidence: Evidence) -> Judged:
    """Judge whether every scheduled scan was at its time in New York, on both sides of daylight saving."""
    scheduled = [run for run in evidence.conduct.runs if run.slot.startswith(_SCAN)]
    usual = _usual(scheduled)
    wrong = [Shown(where=run.id, what=why) for run in scheduled if (why := _off(run, usual, evidence))]
    times = Counter(_wall(run) for run in scheduled)
    told = listed(f"{number:,} at {wall}" for wall, number in sorted(times.items()))
    return Judged(
        checked=len(scheduled),
        of="scheduled scans",
        text=f"scheduled scans by New York's time: {told}" if scheduled else "no scan had a slot",
        wrong=tuple(wrong),
    )


def _usual(scheduled: Sequence[RunRow]) -> str:
    """Return the time of the middle one of the scans whose slots name a date alone, as New York's clock has it."""
    walls = sorted(_wall(run) for run in scheduled if "T" not in run.slot and not _at_close(run))
    return walls[len(walls) // 2] if walls else ""


def _off(run: RunRow, usual: str, evidence: Evidence) -> str | None:
    """Return why a scan was not at its time: its slot's, within the grace; without one in it, about the others'."""
    at = dt.datetime.fromisoformat(run.as_of).astimezone(NEW_YORK)
    named = run.slot.removeprefix(_SCAN)
    try:
        due = dt.datetime.fromisoformat(named)
    except ValueError:
        return None  # the user's own name for a slot
    if due.date() != at.date():
        return f"slot {run.slot}, run on {at:%Y-%m-%d %H:%M}"
    if "T" not in named:
        about = _at_close(run) or abs(_minutes(_wall(run)) - _minutes(usual)) <= ABOUT_MINUTES
        return None if about else f"at {_wall(run)} New York, the others at {usual}"
    late = at - due.replace(tzinfo=NEW_YORK)
    if dt.timedelta(0) <= late <= evidence.times.scan_grace_minutes * MINUTE:
        return None
    return f"slot {run.slot}, run at {_wall(run)} New York"


def _wall(run: RunRow) -> str:
    return f"{dt.datetime.fromisoformat(run.as_of).astimezone(NEW_YORK):%H:%M}"


def _minutes(wall: str) -> int:
    hours, minutes = wall.split(":")
    return 60 * int(hours) + int(minutes)


def _at_close(run: RunRow) -> bool:
    """Whether it saw a session's close, as of a file of end-of-day chains, which is early on half-days."""
    at = dt.datetime.fromisoformat(run.as_of)
    date = at.astimezone(NEW_YORK).date()
    return calendar.is_session(date) and calendar.session_close(date) == at


def entries_in_session(evidence: Evidence) -> Judged:
    """Judge whether every entry was decided, sent and filled while the exchange was open.

    A file of end-of-day chains has closes alone: what was decided on one is not judged.
    """
    conduct = evidence.conduct
    of_closes = {run.slot for run in conduct.runs if _at_close(run)}
    entries = [one for one in conduct.orders if one.purpose == "entry" and one.decided_at >= conduct.begins]
    judged = [one for one in entries if one.slot not in of_closes]
    wrong = [Shown(where=one.client_order_id, what=why) for one in judged if (why := _outside(one))]
    days = len({one.decided_at[:10] for one in judged})
    note = f"; {len(entries) - len(judged):,} on closing quotes not judged" if len(judged) < len(entries) else ""
    return Judged(
        checked=len(judged),
        of="entries",
        text=f"{count(len(judged), 'entry', 'entries')} of {count(days, 'day')}, all in the session{note}",
        wrong=tuple(wrong),
    )


def _outside(order: OrderConduct) -> str | None:
    instants = [order.decided_at, *([order.last_attempt_at] if order.last_attempt_at else [])]
    for at in [*instants, *(fill.at for fill in order.fills)]:
        moment = dt.datetime.fromisoformat(at)
        try:
            hours = calendar.session(moment.astimezone(NEW_YORK).date())
        except InputError:
            return f"{instant(at)} New York: the exchange was closed"
        if not hours.open <= moment <= hours.close:
            return f"{instant(at)} New York: open from {instant(hours.open)} to {instant(hours.close)}"
    return None


def scans_ended(evidence: Evidence) -> Judged:
    """Judge whether every scan came to its end."""
    runs = evidence.conduct.runs
    wrong = [
        Shown(where=run.id, what=f"{run.status}: {run.error or 'it has not ended'}")
        for run in runs
        if run.status != "done"
    ]
    return Judged(
        checked=len(runs),
        of="scans",
        text=f"{sum(run.status == 'done' for run in runs):,} of {len(runs):,} scans ended",
        wrong=tuple(wrong),
    )


def halts_hold(evidence: Evidence) -> Judged:
    """Judge whether nothing was sent while the desk was halted, by the user or by the circuit breaker."""
    conduct = evidence.conduct
    spans = [
        (begin, end) for begin, end, state in _trading_spans(conduct) if state != "active" and end > conduct.begins
    ]
    halted = {run.slot: run for run in conduct.runs if run.breaker is not None and run.breaker["halted_by"]}
    entries = [one for one in conduct.orders if one.purpose == "entry" and one.last_attempt_at is not None]
    wrong = [
        Shown(where=one.client_order_id, what=why) for one in entries if (why := _despite(one, spans, halted.keys()))
    ]
    return Judged(
        checked=len(spans) + len(halted),
        of="halts",
        text=f"{len(spans):,} halts of the trading state, {len(halted):,} scans halted by the breaker: no entry in them"
        if spans or halted
        else "nothing was halted",
        wrong=tuple(wrong),
    )


def _despite(order: OrderConduct, spans: Sequence[tuple[str, str]], halted: Collection[str]) -> str | None:
    sent = order.last_attempt_at or ""
    for begin, end in spans:
        if begin < sent < end:
            return f"{order.label} was sent at {sent}, halted since {begin}"
    if order.slot in halted:
        return f"{order.label} was sent by a scan that the breaker had halted"
    return None


def _trading_spans(conduct: Conduct) -> Iterator[tuple[str, str, str]]:
    """Yield from when to when each trading state was in force."""
    changes = conduct.trading
    for place, change in enumerate(changes):
        end = changes[place + 1].at if place + 1 < len(changes) else conduct.ends
        yield change.at, end, change.state
