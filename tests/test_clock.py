"""The clock, the ids and the text of an instant."""

import asyncio
import datetime as dt
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mahler_agents.clock import NEW_YORK, Ids, SimulatedClock, SystemClock, utc_text

START = dt.datetime(2026, 3, 16, 14, 0, tzinfo=dt.UTC)
instants = st.integers(946_684_800_000_000, 4_070_908_800_000_000).map(
    lambda microseconds: dt.datetime.fromtimestamp(0, dt.UTC) + dt.timedelta(microseconds=microseconds)
)


def test_an_instant_is_recorded_in_utc_with_milliseconds() -> None:
    assert utc_text(START) == "2026-03-16T14:00:00.000Z"
    assert utc_text(dt.datetime(2026, 3, 16, 10, 0, 0, 123_999, tzinfo=NEW_YORK)) == "2026-03-16T14:00:00.123Z"


def test_the_repeated_hour_of_autumn_is_two_different_instants() -> None:
    first = dt.datetime(2026, 11, 1, 1, 30, tzinfo=NEW_YORK)
    assert (utc_text(first), utc_text(first.replace(fold=1))) == (
        "2026-11-01T05:30:00.000Z",
        "2026-11-01T06:30:00.000Z",
    )


@given(instants, instants, st.sampled_from(["UTC", "America/New_York", "Asia/Kolkata", "Pacific/Apia"]))
def test_the_order_of_texts_is_the_order_of_instants(one: dt.datetime, other: dt.datetime, zone: str) -> None:
    texts = utc_text(one.astimezone(ZoneInfo(zone))), utc_text(other)
    assert (texts[0] <= texts[1]) or one > other
    assert dt.datetime.fromisoformat(texts[1]) == other.replace(microsecond=other.microsecond // 1000 * 1000)


def test_a_time_without_a_zone_is_no_instant() -> None:
    naive = START.replace(tzinfo=None)
    for use in (utc_text, SimulatedClock, SimulatedClock(START).advance_to):
        with pytest.raises(ValueError, match="must be timezone-aware"):
            use(naive)


def test_a_simulated_clock_moves_when_told_to_and_never_back() -> None:
    clock = SimulatedClock(START)
    assert clock.now() == clock.now() == START
    asyncio.run(clock.sleep_until(START + dt.timedelta(minutes=3)))
    clock.advance_to(START)
    assert clock.now() == START + dt.timedelta(minutes=3)
    assert clock.seconds() == START.timestamp() + 180


def test_the_machines_clock_tells_utc_and_does_not_wait_for_the_past() -> None:
    clock = SystemClock()
    assert clock.now().utcoffset() == dt.timedelta(0)
    asyncio.run(clock.sleep_until(clock.now() - dt.timedelta(days=1)))
    assert clock.seconds() <= clock.seconds()


def test_a_run_id_begins_with_the_new_york_date_and_avoids_look_alikes() -> None:
    after_midnight_utc = dt.datetime(2026, 3, 17, 2, 0, tzinfo=dt.UTC)
    day, _, rest = Ids().run_id(after_midnight_utc).partition("-")
    assert day == "20260316"
    assert len(rest) == 6
    assert not set(rest) & set("01loi")


def test_seeded_ids_repeat_and_unseeded_ones_do_not() -> None:
    seeded, again = Ids(7), Ids(7)
    assert [seeded.run_id(START) for _ in range(3)] == [again.run_id(START) for _ in range(3)]
    assert len({Ids().run_id(START) for _ in range(50)}) == 50
