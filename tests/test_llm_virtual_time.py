"""Virtual time: waiting costs nothing, order follows the clock, and threads are waited for."""

import asyncio
import datetime as dt
import threading

import pytest

from mahler_agents.testing import virtual_time
from mahler_agents.testing.virtual_time import DeadlockError, VirtualClock


def test_a_year_of_sleep_ends_at_once_at_its_own_time() -> None:
    async def sleeper() -> float:
        await asyncio.sleep(365 * 86_400)
        return asyncio.get_running_loop().time()

    assert virtual_time.run(sleeper()) == pytest.approx(365 * 86_400)


def test_sleepers_wake_in_the_order_of_their_times() -> None:
    async def race() -> list[float]:
        woken: list[float] = []

        async def sleeper(seconds: float) -> None:
            await asyncio.sleep(seconds)
            woken.append(seconds)

        await asyncio.gather(*(sleeper(seconds) for seconds in (3, 1, 0.001, 2)))
        return woken

    assert virtual_time.run(race()) == [0.001, 1, 2, 3]


def test_a_timeout_fires_at_its_virtual_instant() -> None:
    async def late() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await asyncio.Event().wait()
        return asyncio.get_running_loop().time()

    assert virtual_time.run(late()) == 5


def test_the_clock_stands_still_while_a_thread_works() -> None:
    async def both() -> list[str]:
        order: list[str] = []
        release = threading.Timer(0.05, gate.set)

        async def timer() -> None:
            await asyncio.sleep(0.01)
            order.append("timer")

        async def thread() -> None:
            release.start()
            await asyncio.to_thread(gate.wait)
            order.append("thread")

        await asyncio.gather(timer(), thread())
        return order

    gate = threading.Event()
    assert virtual_time.run(both()) == ["thread", "timer"]


def test_threads_end_in_the_order_in_which_they_were_begun() -> None:
    async def many() -> list[int]:
        ended: list[int] = []

        async def one(number: int) -> None:
            await asyncio.to_thread(sum, range(50_000 - 1_000 * number))
            ended.append(number)

        await asyncio.gather(*(one(number) for number in range(40)))
        return ended

    assert virtual_time.run(many()) == list(range(40))


def test_a_thread_of_ones_own_may_wake_the_loop_when_no_timer_is_set() -> None:
    async def woken() -> str:
        loop, event = asyncio.get_running_loop(), asyncio.Event()
        threading.Timer(0.02, lambda: loop.call_soon_threadsafe(event.set)).start()
        await event.wait()
        return "woken"

    assert virtual_time.run(woken()) == "woken"


def test_a_wait_that_nothing_can_end_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(virtual_time, "_SILENCE", 0.01)
    with pytest.raises(DeadlockError, match="no timer is set"):
        virtual_time.run(asyncio.Event().wait())


def test_the_virtual_clock_shows_the_loops_time() -> None:
    start = dt.datetime(2026, 3, 16, 14, tzinfo=dt.UTC)

    async def watch() -> tuple[dt.datetime, float]:
        clock = VirtualClock(start, asyncio.get_running_loop())
        await clock.sleep_until(start + dt.timedelta(minutes=3))
        await clock.sleep_until(start)
        return clock.now(), clock.seconds()

    assert virtual_time.run(watch()) == (start + dt.timedelta(minutes=3), 180)
