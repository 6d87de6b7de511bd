"""The schedule as a pure function: a year of slots, what is late, what is missed."""

import datetime as dt
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mahler_agents.clock import NEW_YORK
from mahler_agents.market import calendar
from mahler_agents.schedule import (
    Job,
    ScheduleSettings,
    Slot,
    due_slots,
    next_slots,
    plan,
    session_slots,
    too_late,
    why_none,
)

HOUR = dt.timedelta(hours=1)
MINUTE = dt.timedelta(minutes=1)
TIMES = ScheduleSettings()
BEGIN, END = (dt.datetime(year, 1, 1, tzinfo=NEW_YORK) for year in (2025, 2026))

HOLIDAYS_2025 = {
    dt.date(2025, 1, 1): "New Year",
    dt.date(2025, 1, 9): "day of mourning for a president",
    dt.date(2025, 1, 20): "Martin Luther King",
    dt.date(2025, 2, 17): "Washington",
    dt.date(2025, 4, 18): "Good Friday",
    dt.date(2025, 5, 26): "Memorial Day",
    dt.date(2025, 6, 19): "Juneteenth",
    dt.date(2025, 7, 4): "Independence Day",
    dt.date(2025, 9, 1): "Labor Day",
    dt.date(2025, 11, 27): "Thanksgiving",
    dt.date(2025, 12, 25): "Christmas",
}
"""Of the exchange, as its own page of holidays and hours lists them; not from our calendar's library."""
HALF_DAYS_2025 = {dt.date(2025, 7, 3), dt.date(2025, 11, 28), dt.date(2025, 12, 24)}
SUMMER = (dt.date(2025, 3, 9), dt.date(2025, 11, 2))
"""The days on which New York's clocks went forward and back."""


def new_york(date: dt.date, hour: int, minute: int = 0) -> dt.datetime:
    return dt.datetime.combine(date, dt.time(hour, minute), NEW_YORK)


def expected_year() -> list[tuple[Job, dt.datetime]]:
    """Return the year's slots, worked out in UTC from the exchange's own lists and by hand."""
    found: list[tuple[Job, dt.datetime]] = []
    for number in range(365):
        date = dt.date(2025, 1, 1) + dt.timedelta(days=number)
        if date.weekday() >= 5 or date in HOLIDAYS_2025:
            continue
        offset = 4 if SUMMER[0] <= date < SUMMER[1] else 5
        midnight = dt.datetime.combine(date, dt.time(), dt.UTC) + offset * HOUR
        opened, closed = midnight + 9.5 * HOUR, midnight + (13 if date in HALF_DAYS_2025 else 16) * HOUR
        found += [
            (Job.MONITOR, opened + number * 5 * MINUTE) for number in range((closed - opened) // (5 * MINUTE) + 1)
        ]
        found += [(Job.SCAN, midnight + 10 * HOUR), (Job.SUMMARY, closed + 20 * MINUTE)]
    return sorted(found, key=lambda slot: (slot[1], tuple(Job).index(slot[0])))


def test_a_year_has_exactly_its_slots_through_both_clock_changes_holidays_and_half_days() -> None:
    slots = due_slots(calendar, BEGIN, END, TIMES)
    assert [(slot.job, slot.due_at) for slot in slots] == expected_year()
    assert len({slot.name for slot in slots}) == len(slots)
    assert Counter(slot.job for slot in slots)[Job.SCAN] == 250


def test_a_scan_is_at_ten_in_new_york_whatever_utc_says() -> None:
    scans = [slot for slot in due_slots(calendar, BEGIN, END, TIMES) if slot.job is Job.SCAN]
    assert {slot.due_at.astimezone(NEW_YORK).time() for slot in scans} == {dt.time(10)}
    assert {slot.due_at.astimezone(dt.UTC).time() for slot in scans} == {dt.time(14), dt.time(15)}
    assert scans[0].name == "scan-2025-01-02T10:00"


INSTANTS = st.integers(0, 364 * 24 * 60).map(lambda minutes: BEGIN.astimezone(dt.UTC) + minutes * MINUTE)


@given(INSTANTS, st.lists(st.timedeltas(dt.timedelta(), dt.timedelta(days=4)), min_size=2, max_size=4).map(sorted))
def test_however_often_one_asks_each_slot_falls_due_once(begin: dt.datetime, spans: list[dt.timedelta]) -> None:
    instants = [begin + span for span in spans]
    parts = [due_slots(calendar, a, b, TIMES) for a, b in pairwise(instants)]
    assert [slot for part in parts for slot in part] == list(due_slots(calendar, instants[0], instants[-1], TIMES))


@given(INSTANTS)
def test_the_next_slot_is_the_first_that_falls_due(now: dt.datetime) -> None:
    following = next_slots(calendar, now, TIMES)
    assert {slot.job for slot in following} == set(Job)
    for slot in following:
        assert due_slots(calendar, now, slot.due_at, TIMES, [slot.job]) == (slot,)


def test_a_clock_that_goes_back_makes_nothing_due() -> None:
    now = new_york(dt.date(2025, 3, 10), 10)
    assert due_slots(calendar, now, now - HOUR, TIMES) == ()


def test_a_scan_time_outside_a_half_day_is_left_out_that_day_alone() -> None:
    times = ScheduleSettings(scan_at=(dt.time(10), dt.time(14)))
    half, whole = dt.date(2025, 11, 28), dt.date(2025, 12, 1)
    assert [slot.name for slot in session_slots(calendar, half, times) if slot.job is Job.SCAN] == [
        "scan-2025-11-28T10:00"
    ]
    assert sum(slot.job is Job.SCAN for slot in session_slots(calendar, whole, times)) == 2


# --- Late -------------------------------------------------------------------------------------------------------------

DATE = dt.date(2025, 3, 10)
SCAN = Slot(job=Job.SCAN, due_at=new_york(DATE, 10))
PASS = Slot(job=Job.MONITOR, due_at=new_york(DATE, 10))
LAST_PASS = Slot(job=Job.MONITOR, due_at=new_york(DATE, 16))
SUMMARY = Slot(job=Job.SUMMARY, due_at=new_york(DATE, 16, 20))


@pytest.mark.parametrize(
    ("slot", "now", "why"),
    [
        (SCAN, new_york(DATE, 10), None),
        (SCAN, new_york(DATE, 12), None),
        (SCAN, new_york(DATE, 12, 1), "121 minutes late; the grace is 120 minutes"),
        (SCAN, new_york(DATE, 17), "420 minutes late, after the session"),
        (PASS, new_york(DATE, 10, 5), None),
        (PASS, new_york(DATE, 10, 6), "6 minutes late; the grace is 5 minutes"),
        (LAST_PASS, new_york(DATE, 16), None),
        (LAST_PASS, new_york(DATE, 16, 1), "1 minutes late, after the session"),
        (SUMMARY, new_york(DATE + dt.timedelta(days=1), 9), None),
        (SUMMARY, new_york(DATE + dt.timedelta(days=1), 16, 20), "1,440 minutes late, and the next session's is due"),
    ],
)
def test_how_late_a_slot_still_runs(slot: Slot, now: dt.datetime, why: str | None) -> None:
    assert too_late(calendar, slot, now, TIMES) == why


def test_of_what_was_missed_the_newest_of_each_job_is_run() -> None:
    now = new_york(DATE, 10, 37)
    due = due_slots(calendar, new_york(DATE, 9), now, TIMES)
    decided = plan(calendar, due, now, TIMES)
    assert [slot.name for slot in decided.run] == ["scan-2025-03-10T10:00", "monitor-2025-03-10T10:35"]
    assert {one.slot.job for one in decided.missed} == {Job.MONITOR}
    assert len(decided.missed) == 13
    assert decided.missed[0].why == "nothing ran then; monitor-2025-03-10T09:35 followed"


@given(INSTANTS, st.timedeltas(dt.timedelta(), dt.timedelta(days=4)))
def test_every_slot_that_is_due_is_run_or_missed_never_both(now: dt.datetime, span: dt.timedelta) -> None:
    due = due_slots(calendar, now - span, now, TIMES)
    decided = plan(calendar, due, now, TIMES)
    names = [slot.name for slot in decided.run] + [one.slot.name for one in decided.missed]
    assert sorted(names) == sorted(slot.name for slot in due)
    assert len({slot.job for slot in decided.run}) == len(decided.run)


def test_it_says_why_nothing_runs() -> None:
    assert why_none(calendar, dt.date(2025, 3, 8)) == "a weekend"
    assert why_none(calendar, dt.date(2025, 1, 9)) == "a holiday of the New York exchange"
    assert why_none(calendar, DATE) is None


@pytest.mark.parametrize(
    "settings",
    [
        {"scan_at": ()},
        {"scan_at": (dt.time(10), dt.time(10))},
        {"scan_at": (dt.time(10, 0, 30),)},
        {"scan_at": (dt.time(10, tzinfo=dt.UTC),)},
        {"scan_at": (dt.time(9, 29),)},  # no session has it
        {"scan_at": (dt.time(10), dt.time(16))},
        {"monitor_every_minutes": 0},
        {"scan_grace_minutes": -1},
    ],
)
def test_settings_that_mean_nothing_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"scan_at|monitor_every_minutes|scan_grace_minutes"):
        ScheduleSettings.model_validate(settings)
