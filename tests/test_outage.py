"""The provider's breaker: when calls stop, in which words, when one goes out again, and what a dead provider costs."""

import asyncio
import socket
from dataclasses import dataclass
from time import perf_counter

import pytest
from asking import CONTEXT, START, question

from mahler_agents.clock import SystemClock
from mahler_agents.llm.attempts import CallLimits
from mahler_agents.llm.client import Answer, ChatClient
from mahler_agents.llm.failures import Failure, FailureKind
from mahler_agents.llm.models import Endpoint
from mahler_agents.llm.outage import COUNTED, INCURABLE, OutageBreaker, OutageRule
from mahler_agents.llm.provider import Provider
from mahler_agents.llm.replies import Fault
from mahler_agents.testing import virtual_time
from mahler_agents.testing.scripted import (
    CallList,
    Script,
    ScriptedModel,
    connection_error,
    favourable,
    http_error,
    never,
)
from mahler_agents.testing.virtual_time import VirtualClock

ONCE = CallLimits(max_attempts=1, outage_failures=3, outage_seconds=30, attempt_seconds=10)


def fault(kind: FailureKind = FailureKind.CONNECTION) -> Fault:
    """Return a fault of this kind."""
    return Fault(kind=kind, detail="it broke")


@pytest.mark.parametrize("kind", sorted(COUNTED))
def test_it_opens_at_the_last_of_so_many_faults_in_a_row(kind: FailureKind) -> None:
    breaker = OutageBreaker(OutageRule(failures=3))
    for second in range(3):
        assert breaker.admit(second) is None
        breaker.heard(fault(kind), second)
    blocked = breaker.admit(3)
    assert blocked is not None
    assert (blocked.kind, blocked.unsent) == (kind, True)
    assert blocked.detail == "not asked, since the provider is out (3 faults in a row, the last: it broke)"


@pytest.mark.parametrize("kind", sorted(INCURABLE))
def test_it_opens_at_once_for_what_no_other_call_can_escape(kind: FailureKind) -> None:
    breaker = OutageBreaker(OutageRule())
    breaker.heard(fault(kind), 0)
    blocked = breaker.admit(1)
    assert blocked is not None
    assert blocked.detail == "not asked, since the provider refuses this key (it broke)"


@pytest.mark.parametrize("kind", [None, *sorted(set(FailureKind) - COUNTED - INCURABLE)])
def test_anything_else_that_comes_back_is_no_outage_and_starts_the_count_again(kind: FailureKind | None) -> None:
    breaker = OutageBreaker(OutageRule(failures=2))
    for _ in range(5):
        breaker.heard(fault(), 0)
        breaker.heard(kind and fault(kind), 0)
        assert breaker.admit(0) is None


def test_one_call_a_cool_down_goes_out_and_a_reply_to_it_closes_the_breaker() -> None:
    breaker = OutageBreaker(OutageRule(failures=1, cool_down_seconds=30))
    breaker.heard(fault(), 0)
    assert breaker.admit(29.9) is not None
    assert breaker.admit(30) is None
    assert breaker.admit(30) is not None
    breaker.heard(fault(), 31)
    assert breaker.admit(60.9) is not None
    assert breaker.admit(61) is None
    breaker.heard(None, 62)
    assert breaker.admit(62) is None
    assert breaker.admit(62) is None


def spoiled(*roles: str, kind: FailureKind = FailureKind.TIMEOUT) -> list[str | None]:
    """Return why greeks and fund_manager are not asked by a provider at which these roles' calls failed, in turn."""

    async def heard() -> list[str | None]:
        provider = Provider(ONCE)
        for role in roles:
            provider.heard("m", role, fault(kind))
        return [
            blocked and blocked.detail for one in ("greeks", "fund_manager") for blocked in [provider.admit("m", one)]
        ]

    return virtual_time.run(heard())


def test_a_role_that_alone_meets_outages_is_out_alone() -> None:
    alone = "not asked, since the provider is out for this role (3 faults in a row, the last: it broke)"
    assert spoiled(*["greeks"] * 3) == [alone, None]
    everyone = "not asked, since the provider is out (3 faults in a row, the last: it broke)"
    assert spoiled("greeks", "technical", "greeks") == [everyone, everyone]


def test_a_refused_key_and_a_missing_model_are_said_to_be_just_that() -> None:
    refused = "not asked, since the provider refuses this key (it broke)"
    assert spoiled("greeks", kind=FailureKind.AUTH) == [refused, refused]
    missing = "not asked, since the provider has no such model (it broke)"
    assert spoiled("greeks", kind=FailureKind.MODEL_NOT_FOUND) == [missing, missing]


@dataclass(frozen=True, kw_only=True)
class Panel:
    """What came of many questions at once."""

    results: list[Answer | Failure]  # type: ignore[type-arg]
    requests: int
    seconds: float
    """Virtual."""


def put(script: Script, *, questions: int, limits: CallLimits) -> Panel:
    """Put questions at once to a scripted model, in virtual time."""
    model = ScriptedModel(script)

    async def at_once() -> Panel:
        loop = asyncio.get_running_loop()
        async with ChatClient(model.endpoint, clock=VirtualClock(START, loop), limits=limits) as client:
            results = await asyncio.gather(*(question(client, rate=number) for number in range(questions)))
        return Panel(results=list(results), requests=len(model.requests), seconds=loop.time())

    return virtual_time.run(at_once())


def test_a_refusing_provider_costs_a_few_seconds_and_requests_for_fifty_questions() -> None:
    panel = put(lambda _: connection_error(), questions=50, limits=CallLimits())
    assert {one.kind for one in panel.results if isinstance(one, Failure)} == {FailureKind.CONNECTION}
    assert panel.requests <= CallLimits().max_in_flight
    assert panel.seconds <= CallLimits().backoff_seconds


def test_a_silent_provider_costs_one_time_out_for_fifty_questions() -> None:
    limits = CallLimits()
    panel = put(lambda _: never(), questions=50, limits=limits)
    assert {one.kind for one in panel.results if isinstance(one, Failure)} == {FailureKind.TIMEOUT}
    assert panel.requests <= limits.max_in_flight
    # Without the breaker: 50 questions x 3 attempts of 45 s, 16 at a time, are 7 minutes.
    assert panel.seconds <= limits.attempt_seconds + limits.backoff_seconds


def test_a_wrong_key_is_told_to_the_provider_once_for_each_call_in_flight() -> None:
    panel = put(lambda _: http_error(401), questions=50, limits=CallLimits(max_in_flight=4))
    assert panel.requests <= 4
    assert all(isinstance(one, Failure) and one.kind is FailureKind.AUTH for one in panel.results)


def test_a_provider_that_comes_back_is_asked_again_after_the_cool_down() -> None:
    dead = True
    model = ScriptedModel(lambda one: connection_error() if dead else favourable(one))

    async def outage() -> list[str]:
        nonlocal dead
        ended: list[str] = []
        clock = VirtualClock(START, asyncio.get_running_loop())
        async with ChatClient(model.endpoint, clock=clock, limits=ONCE) as client:
            for number in range(7):
                result = await question(client, rate=number)
                sent = len(model.requests)
                ended.append(f"{sent} {result.kind if isinstance(result, Failure) else 'answer'}")
                if number == 4:
                    dead = False
                    await asyncio.sleep(30)
        return ended

    failed = "connection"
    expected = [f"1 {failed}", f"2 {failed}", f"3 {failed}", f"3 {failed}", f"3 {failed}", "4 answer", "5 answer"]
    assert virtual_time.run(outage()) == expected


def test_a_call_that_was_not_made_is_on_no_record_and_is_not_repeated() -> None:
    model, log = ScriptedModel(lambda _: http_error(500)), CallList()

    async def twice() -> Answer | Failure:  # type: ignore[type-arg]
        limits = ONCE.model_copy(update={"max_attempts": 3})
        async with ChatClient(model.endpoint, clock=SystemClock(), log=log, limits=limits) as client:
            await question(client)
            return await question(client, rate=1)

    result = virtual_time.run(twice())
    assert isinstance(result, Failure)
    assert (result.kind, result.brief_hash) == (FailureKind.SERVER_ERROR, CONTEXT.brief_hash)
    assert result.detail.startswith(
        "not asked, since the provider is out for this role (3 faults in a row, the last: HTTP 500"
    )
    assert len(model.requests) == len(log.started) == 3


def test_a_dead_port_costs_real_seconds_at_most() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound and not listening: nobody else gets the port, and nobody answers
        port = unused.getsockname()[1]

        async def fifty() -> list[Answer | Failure]:  # type: ignore[type-arg]
            endpoint = Endpoint(model="m", base_url=f"http://127.0.0.1:{port}/v1", api_key="none")
            async with ChatClient(endpoint, clock=SystemClock()) as client:
                return list(await asyncio.gather(*(question(client, rate=number) for number in range(50))))

        since = perf_counter()
        results = asyncio.run(fifty())
    assert all(isinstance(one, Failure) and one.kind is FailureKind.CONNECTION for one in results)
    assert perf_counter() - since < 20  # about 2 s; without the breaker 150 requests and their waits
