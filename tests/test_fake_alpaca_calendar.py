"""The fake Alpaca's clock and calendar, as alpaca-py's own client and models read them."""

import datetime as dt

import pytest
from alpaca.trading.client import TradingClient
from alpaca.trading.models import Calendar
from alpaca.trading.models import Clock as ClockModel
from alpaca.trading.requests import GetCalendarRequest
from fake_orders import ask

from mahler_agents.clock import NEW_YORK
from mahler_agents.testing.fake_alpaca import FakeAlpaca


def client_of(fake: FakeAlpaca) -> TradingClient:
    keys = fake.environ
    return TradingClient(keys["APCA_API_KEY_ID"], keys["APCA_API_SECRET_KEY"], url_override=fake.url)


@pytest.mark.parametrize(
    ("local", "is_open", "next_open", "next_close"),
    [
        ("2026-03-17T10:00", True, "2026-03-18T09:30", "2026-03-17T16:00"),
        ("2026-03-17T09:29:59", False, "2026-03-17T09:30", "2026-03-17T16:00"),
        ("2026-03-17T09:30", True, "2026-03-18T09:30", "2026-03-17T16:00"),
        ("2026-03-17T16:00", False, "2026-03-18T09:30", "2026-03-18T16:00"),
        ("2026-11-27T12:59", True, "2026-11-30T09:30", "2026-11-27T13:00"),
        ("2026-11-27T13:00", False, "2026-11-30T09:30", "2026-11-30T16:00"),
        ("2026-07-03T12:00", False, "2026-07-06T09:30", "2026-07-06T16:00"),
    ],
)
def test_the_clock_knows_sessions_half_days_and_holidays(
    local: str, *, is_open: bool, next_open: str, next_close: str
) -> None:
    def at(text: str) -> dt.datetime:
        return dt.datetime.fromisoformat(text).replace(tzinfo=NEW_YORK)

    with FakeAlpaca(start=at(local)) as fake:
        clock = client_of(fake).get_clock()
    assert isinstance(clock, ClockModel)
    assert (clock.timestamp, clock.is_open) == (at(local), is_open)
    assert (clock.next_open, clock.next_close) == (at(next_open), at(next_close))


def test_the_calendar_tells_sessions_with_their_hours_in_new_york_time() -> None:
    asked = GetCalendarRequest(start=dt.date(2026, 11, 25), end=dt.date(2026, 11, 30))
    with FakeAlpaca() as fake:
        days = client_of(fake).get_calendar(asked)
    assert all(isinstance(day, Calendar) for day in days)
    assert [(day.date.day, day.open.hour, day.close.hour) for day in days] == [(25, 9, 16), (27, 9, 13), (30, 9, 16)]


def test_a_calendar_that_ends_before_it_starts_is_empty() -> None:
    asked = GetCalendarRequest(start=dt.date(2026, 12, 1), end=dt.date(2026, 11, 30))
    with FakeAlpaca() as fake:
        assert client_of(fake).get_calendar(asked) == []


def test_a_day_that_is_none_is_refused() -> None:
    with FakeAlpaca() as fake:
        answer = ask(fake, "GET", "/v2/calendar?start=2026-02-30")
    assert (answer.status, answer.json["message"]) == (422, "invalid start date: 2026-02-30")
