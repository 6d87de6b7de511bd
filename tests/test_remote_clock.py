"""The clock of a fake Alpaca: its time, waiting that moves it on, and the settings that choose it."""

import asyncio
import datetime as dt

import pytest

from mahler_agents import Desk
from mahler_agents.clock import SystemClock
from mahler_agents.errors import ConfigError, JobError
from mahler_agents.market.sample import DEFAULT_AS_OF
from mahler_agents.remote_clock import RemoteClock, clock_from
from mahler_agents.testing.fake_alpaca import FakeAlpaca

LATER = DEFAULT_AS_OF + dt.timedelta(minutes=3, microseconds=1)


def test_it_tells_the_server_s_time_and_waiting_moves_the_server_on() -> None:
    with FakeAlpaca() as fake:
        clock = clock_from(fake.environ)
        assert isinstance(clock, RemoteClock)
        assert clock.now() == DEFAULT_AS_OF
        asyncio.run(clock.sleep_until(LATER))
        assert clock.now() == fake.now == LATER
        asyncio.run(clock.sleep_until(DEFAULT_AS_OF))
        assert clock.now() == fake.now == LATER
        assert clock.seconds() == LATER.timestamp()


def test_two_clocks_of_one_server_tell_one_time() -> None:
    with FakeAlpaca() as fake:
        one, other = RemoteClock(fake.url), RemoteClock(fake.url)
        asyncio.run(one.sleep_until(LATER))
        assert other.now() == LATER


def test_without_the_setting_the_clock_is_the_machine_s() -> None:
    assert isinstance(clock_from({}), SystemClock)
    assert isinstance(clock_from({"MAHLER_CLOCK_URL": "  "}), SystemClock)


@pytest.mark.parametrize(
    "url", ["http://example.com:80", "https://127.0.0.1:80", "127.0.0.1:80", "http://127.0.0.1", "http://127.0.0.1:x"]
)
def test_a_clock_that_is_not_on_this_machine_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="MAHLER_CLOCK_URL"):
        clock_from({"MAHLER_CLOCK_URL": url})


def test_a_server_that_is_gone_is_named() -> None:
    with FakeAlpaca() as fake:
        clock = RemoteClock(fake.url)
    with pytest.raises(JobError, match=clock.url):
        clock.now()


def test_a_desk_takes_the_clock_that_its_settings_name() -> None:
    with pytest.raises(ConfigError, match="MAHLER_CLOCK_URL"):
        Desk(model="none", environ={"MAHLER_CLOCK_URL": "http://example.com:80"})
