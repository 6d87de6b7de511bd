"""The gate before a provider: places, the minute's requests, and the order of the queue, in virtual time."""

import asyncio
from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest
from asking import START, question
from hypothesis import given
from hypothesis import strategies as st

from mahler_agents.llm.attempts import CallLimits
from mahler_agents.llm.client import Answer, ChatClient
from mahler_agents.llm.failures import Failure, FailureKind
from mahler_agents.llm.gate import Gate
from mahler_agents.testing import virtual_time
from mahler_agents.testing.scripted import ScriptedModel
from mahler_agents.testing.virtual_time import VirtualClock


def entries(gate: Callable[[], Gate], holds: Sequence[float]) -> list[tuple[int, float]]:
    """Return who entered when, if visitors come at once and stay so long."""

    async def visit() -> list[tuple[int, float]]:
        entered: list[tuple[int, float]] = []
        shared, loop = gate(), asyncio.get_running_loop()

        async def one(number: int, hold: float) -> None:
            async with shared:
                entered.append((number, loop.time()))
                await asyncio.sleep(hold)

        await asyncio.gather(*(one(number, hold) for number, hold in enumerate(holds)))
        return entered

    return virtual_time.run(visit())


@given(
    holds=st.lists(st.floats(0.01, 90), min_size=1, max_size=40),
    places=st.integers(1, 8),
    per_minute=st.none() | st.integers(1, 10),
)
def test_no_more_are_inside_than_places_nor_enter_in_any_minute_than_allowed_and_all_in_order(
    holds: list[float], places: int, per_minute: int | None
) -> None:
    entered = entries(lambda: Gate(max_in_flight=places, requests_per_minute=per_minute), holds)
    assert [number for number, _ in entered] == list(range(len(holds)))
    for _, at in entered:
        inside = [1 for number, since in entered if since <= at < since + holds[number] - 1e-6]
        assert len(inside) <= places
        minute = [1 for _, other in entered if at <= other < at + 60 - 1e-6]
        assert per_minute is None or len(minute) <= per_minute


def test_thirty_calls_at_ten_a_minute_take_two_minutes() -> None:
    entered = entries(lambda: Gate(max_in_flight=50, requests_per_minute=10), [1.0] * 30)
    assert [at for _, at in entered] == pytest.approx([0.0] * 10 + [60.0] * 10 + [120.0] * 10)


def test_who_waits_for_the_minute_holds_no_place() -> None:
    # One place: if the second visitor held it while waiting, the first could not be gone by then; both would hang.
    entered = entries(lambda: Gate(max_in_flight=1, requests_per_minute=1), [5.0, 5.0, 5.0])
    assert [later - earlier for (_, earlier), (_, later) in pairwise(entered)] == pytest.approx([60, 60])


def test_a_cancelled_visitor_leaves_no_trace_in_the_queue() -> None:
    async def visit() -> float:
        gate, loop = Gate(max_in_flight=1), asyncio.get_running_loop()

        async def stay(seconds: float) -> None:
            async with gate:
                await asyncio.sleep(seconds)

        first, second, third = (asyncio.create_task(stay(10)) for _ in range(3))
        await asyncio.sleep(1)
        second.cancel()
        await asyncio.sleep(1)
        first.cancel()  # inside: its place is the third's now
        await third
        assert (first.cancelled(), second.cancelled()) == (True, True)
        return loop.time()

    assert virtual_time.run(visit()) == pytest.approx(12)


def test_a_visitor_cancelled_in_the_instant_of_its_turn_passes_it_on() -> None:
    async def visit() -> float:
        gate, loop = Gate(max_in_flight=1), asyncio.get_running_loop()

        async def stay(seconds: float) -> None:
            async with gate:
                await asyncio.sleep(seconds)

        async with gate:
            second, third = (asyncio.create_task(stay(10)) for _ in range(2))
            await asyncio.sleep(1)
        second.cancel()  # its turn has come, and it has not run yet
        await third
        return loop.time()

    assert virtual_time.run(visit()) == pytest.approx(11)


def test_a_client_asks_no_more_often_than_its_limits_say() -> None:
    model = ScriptedModel.always()

    async def twelve() -> float:
        loop = asyncio.get_running_loop()
        limits = CallLimits(requests_per_minute=4)
        async with ChatClient(model.endpoint, clock=VirtualClock(START, loop), limits=limits) as client:
            await asyncio.gather(*(question(client, rate=number) for number in range(12)))
        return loop.time()

    assert virtual_time.run(twelve()) == pytest.approx(120)


def test_a_call_that_the_deadline_finds_in_the_queue_says_so() -> None:
    model = ScriptedModel.always()

    async def two() -> list[object]:
        limits = CallLimits(requests_per_minute=1)
        clock = VirtualClock(START, asyncio.get_running_loop())
        async with ChatClient(model.endpoint, clock=clock, limits=limits, deadline=30) as client:
            return list(await asyncio.gather(*(question(client, rate=number) for number in range(2))))

    answer, failed = virtual_time.run(two())
    assert isinstance(answer, Answer)
    assert isinstance(failed, Failure)
    assert (failed.kind, len(model.requests)) == (FailureKind.TIMEOUT, 1)
    assert failed.detail == "the deadline for all calls passed while this one waited for its turn"
