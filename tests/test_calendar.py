"""The exchange calendar: sessions, early closes, daylight saving and the edges of its range."""

import datetime as dt
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mahler_agents.clock import NEW_YORK
from mahler_agents.errors import InputError
from mahler_agents.market import calendar

dates = st.dates(min_value=dt.date(2015, 2, 1), max_value=dt.date(2031, 11, 30))


@pytest.mark.parametrize(
    "closed",
    [
        dt.date(2021, 4, 2),  # Good Friday
        dt.date(2022, 6, 20),  # the first Juneteenth, observed on a Monday
        dt.date(2024, 12, 25),
        dt.date(2025, 1, 9),  # day of mourning: in no rule of holidays
        dt.date(2026, 4, 3),  # Good Friday
        dt.date(2026, 3, 14),  # a Saturday
    ],
)
def test_the_exchange_is_closed_on_holidays_days_of_mourning_and_weekends(closed: dt.date) -> None:
    assert not calendar.is_session(closed)


@pytest.mark.parametrize(
    ("date", "hour"),
    [
        (dt.date(2024, 12, 24), 13),
        (dt.date(2025, 7, 3), 13),
        (dt.date(2024, 11, 29), 13),
        (dt.date(2026, 11, 27), 13),
        (dt.date(2025, 7, 2), 16),
        (dt.date(2026, 3, 6), 16),  # before and after the change to summer time
        (dt.date(2026, 3, 9), 16),
    ],
)
def test_sessions_open_at_half_past_nine_and_close_at_four_or_at_one_on_half_days(date: dt.date, hour: int) -> None:
    opened, closed = calendar.session(date).open, calendar.session_close(date)
    assert opened.tzinfo is dt.UTC
    assert closed.tzinfo is dt.UTC
    assert opened.astimezone(NEW_YORK) == dt.datetime(date.year, date.month, date.day, 9, 30, tzinfo=NEW_YORK)
    assert closed.astimezone(NEW_YORK) == dt.datetime(date.year, date.month, date.day, hour, tzinfo=NEW_YORK)


def test_opening_in_utc_moves_by_an_hour_with_daylight_saving() -> None:
    assert calendar.session(dt.date(2026, 3, 6)).open.hour == 14
    assert calendar.session(dt.date(2026, 3, 9)).open.hour == 13


def test_a_year_has_its_known_number_of_sessions() -> None:
    for year, count in {2021: 252, 2024: 252, 2025: 250}.items():
        assert len(calendar.sessions(dt.date(year, 1, 1), dt.date(year, 12, 31))) == count


def test_previous_and_next_are_strict_and_skip_what_is_closed() -> None:
    assert calendar.previous_session(dt.date(2025, 1, 10)) == dt.date(2025, 1, 8)
    assert calendar.next_session(dt.date(2025, 1, 8)) == dt.date(2025, 1, 10)
    assert calendar.next_session(dt.date(2026, 4, 3)) == dt.date(2026, 4, 6)


@given(date=dates)
def test_previous_and_next_lead_to_each_other(date: dt.date) -> None:
    before, after = calendar.previous_session(date), calendar.next_session(date)
    assert before < date < after
    between = (date,) if calendar.is_session(date) else ()
    assert calendar.sessions(before, after) == (before, *between, after)


def test_a_closed_day_has_no_hours_and_the_error_names_the_nearest_sessions() -> None:
    with pytest.raises(InputError, match=r"2025-01-09 is not a session.* 2025-01-08 and 2025-01-10"):
        calendar.session(dt.date(2025, 1, 9))


@pytest.mark.parametrize("date", [dt.date(2014, 12, 31), dt.date(2032, 1, 1)])
def test_a_date_outside_the_range_is_refused_and_the_range_named(date: dt.date) -> None:
    for ask in (calendar.is_session, calendar.session, calendar.previous_session, calendar.next_session):
        with pytest.raises(InputError, match="2015-01-01 to 2031-12-31"):
            ask(date)
    with pytest.raises(InputError, match="2015-01-01 to 2031-12-31"):
        calendar.sessions(date, date)


def test_there_is_no_session_beyond_either_edge() -> None:
    with pytest.raises(InputError, match="no session before 2015-01-02"):
        calendar.previous_session(dt.date(2015, 1, 2))
    with pytest.raises(InputError, match="no session after 2031-12-31"):
        calendar.next_session(dt.date(2031, 12, 31))


def test_importing_the_calendar_does_not_import_pandas() -> None:
    program = "import sys, mahler_agents.market.calendar; sys.exit('pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=60).returncode == 0
