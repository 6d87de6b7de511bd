"""Every way in which a model or a provider fails, over real HTTP: its kind, its requests, its time, its raw reply."""

import asyncio
import json
from dataclasses import dataclass
from time import perf_counter

import pytest
from asking import MacroReply, question

from mahler_agents.clock import SystemClock
from mahler_agents.llm.attempts import CallLimits
from mahler_agents.llm.client import Answer, ChatClient
from mahler_agents.llm.failures import Failure, FailureKind
from mahler_agents.llm.models import Endpoint
from mahler_agents.testing.fault_server import FaultServer
from mahler_agents.testing.faults import FAULTS, in_turn
from mahler_agents.testing.scripted import CallList

ATTEMPT = 1.0
"""Seconds: a machine that is busy must not fail by its own slowness."""
LIMITS = CallLimits(attempt_seconds=ATTEMPT, max_attempts=3, backoff_seconds=0.02, max_retry_after_seconds=0.1)
MOST_SECONDS = 3 * 3 * ATTEMPT
"""Three times what three attempts may take: a bound on a slow machine, far below any default time-out."""

VALID = {"summary": "A scripted reply.", "confidence": 0.8, "p_profit": 0.8, "stance": "favourable"}
TEXT = json.dumps(VALID)


def confident(literal: str) -> str:
    """Return the valid reply's text with its confidence written as `literal`."""
    return json.dumps({**VALID, "confidence": "?"}).replace('"?"', literal)


@dataclass(frozen=True, kw_only=True)
class Case:
    """What must come of a fault; `kind` None is an answer, `raw` None is that the model wrote nothing."""

    kind: FailureKind | None
    requests: int
    raw: str | None = None
    outcome: str = "replied"
    """Of every attempt on record, but a last one that was answered."""
    response: str = ""
    """Some of what the record of the first attempt must hold."""


def provider(kind: FailureKind, *, requests: int, response: str = "", outcome: str = "http_error") -> Case:
    """Return the case of a provider that says no."""
    return Case(kind=kind, requests=requests, response=response, outcome=outcome)


def wrong(raw: str, kind: FailureKind = FailureKind.SCHEMA_VIOLATION) -> Case:
    """Return the case of a reply that is shown to its writer, comes again, and is kept."""
    return Case(kind=kind, requests=2, raw=raw, response="choices")


CASES: dict[str, Case] = {
    "ok": Case(kind=None, requests=1, raw=TEXT, response="fp_scripted"),
    "timeout": provider(FailureKind.TIMEOUT, requests=3, outcome="cancelled"),
    "rate_limited": provider(FailureKind.RATE_LIMITED, requests=3, response="rate_limit_exceeded"),
    "retry_after_seconds": provider(FailureKind.RATE_LIMITED, requests=3),
    "retry_after_date": provider(FailureKind.RATE_LIMITED, requests=3),
    "quota": provider(FailureKind.QUOTA, requests=1, response="insufficient_quota"),
    "auth": provider(FailureKind.AUTH, requests=1, response="invalid_api_key"),
    "model_not_found": provider(FailureKind.MODEL_NOT_FOUND, requests=1, response="does not exist"),
    "server_error": provider(FailureKind.SERVER_ERROR, requests=3),
    "overloaded": provider(FailureKind.SERVER_ERROR, requests=3),
    "html_page": provider(FailureKind.SERVER_ERROR, requests=3, response="<h1>504 Gateway Time-out</h1>"),
    "echoing_page": provider(FailureKind.SERVER_ERROR, requests=3, response="Bearer [redacted]"),
    "context_overflow": provider(FailureKind.CONTEXT_OVERFLOW, requests=1),
    "connection": provider(FailureKind.CONNECTION, requests=3, outcome="broken"),
    "reset_mid_body": provider(FailureKind.CONNECTION, requests=3, outcome="broken", response='{"id": "chatcmpl-'),
    "drip": provider(FailureKind.TIMEOUT, requests=3, outcome="cancelled", response='{"id'),
    "refused": Case(kind=FailureKind.REFUSED, requests=1, raw="I can't help with that."),
    "truncated": Case(kind=FailureKind.TRUNCATED, requests=1, raw=TEXT[:20], response='"finish_reason": "length"'),
    "length_that_parses": Case(kind=FailureKind.TRUNCATED, requests=1, raw=TEXT),
    "content_filtered": Case(kind=FailureKind.CONTENT_FILTERED, requests=1, raw=TEXT[:6]),
    "empty": Case(kind=FailureKind.EMPTY, requests=1, raw=""),
    "no_choices": Case(kind=FailureKind.EMPTY, requests=1, response='{"choices": []}'),
    "prose": wrong("I would take this trade.", FailureKind.NOT_JSON),
    "fenced": wrong(f"```json\n{TEXT}\n```", FailureKind.NOT_JSON),
    "around": wrong(f"Here is my opinion: {TEXT} I hope this helps.", FailureKind.NOT_JSON),
    "twice": wrong(TEXT + TEXT, FailureKind.NOT_JSON),
    "cut_json": wrong(TEXT[:-9], FailureKind.NOT_JSON),
    "extra_field": wrong(TEXT[:-1] + ', "contracts": 100}'),
    "missing_field": wrong('{"summary": "Calm."}'),
    "percent": wrong(confident('"85%"')),
    "85": wrong(confident("85")),
    "1.7": wrong(confident("1.7")),
    "true": wrong(confident("true")),
    "nan": wrong(confident("NaN")),
    "huge": wrong(json.dumps({**VALID, "summary": "calm " * 400_000})),
    # a fault, and then not: retried or repaired, as the kind has it
    "timeout,ok": Case(kind=None, requests=2, raw=TEXT, outcome="cancelled"),
    "retry_after_seconds,ok": Case(kind=None, requests=2, raw=TEXT, outcome="http_error"),
    "retry_after_date,ok": Case(kind=None, requests=2, raw=TEXT, outcome="http_error"),
    "server_error,connection,ok": Case(kind=None, requests=3, raw=TEXT, outcome=""),
    "reset_mid_body,ok": Case(kind=None, requests=2, raw=TEXT, outcome="broken"),
    "85,ok": Case(kind=None, requests=2, raw=TEXT),
    "fenced,timeout,ok": Case(kind=None, requests=3, raw=TEXT, outcome=""),
    "prose,auth": Case(
        kind=FailureKind.AUTH, requests=2, raw="I would take this trade.", outcome="", response="take this trade"
    ),
}


@dataclass(frozen=True, kw_only=True)
class Heard:
    """What came of one question."""

    result: Answer[MacroReply] | Failure
    log: CallList
    received: int
    seconds: float


async def put(server: FaultServer, endpoint: Endpoint) -> Heard:
    """Put one question to the server."""
    log, before, since = CallList(), server.received, perf_counter()
    async with ChatClient(endpoint, clock=SystemClock(), log=log, limits=LIMITS) as client:
        result = await question(client)
    return Heard(result=result, log=log, received=server.received - before, seconds=perf_counter() - since)


def hear(names: str) -> Heard:
    """Put one question to a server that meets its attempts with these faults."""

    async def once() -> Heard:
        async with FaultServer(in_turn(*names.split(","))) as server:
            return await put(server, server.endpoint())

    return asyncio.run(once())


def test_every_fault_has_a_case() -> None:
    assert set(FAULTS) <= set(CASES)


@pytest.mark.parametrize("names", CASES)
def test_a_fault_ends_as_its_kind_in_its_time_with_every_word_on_record(names: str) -> None:
    case, heard = CASES[names], hear(names)
    result = heard.result
    kind = result.kind if isinstance(result, Failure) else None
    assert kind is case.kind, result
    assert (result.raw_reply if isinstance(result, Failure) else result.raw_text) == case.raw
    assert heard.seconds < MOST_SECONDS
    assert heard.received == len(heard.log.started) == len(heard.log.finished) == case.requests
    first = heard.log.finished[0]
    assert case.response in (first.response_text or "")
    faulty = heard.log.finished if isinstance(result, Failure) else heard.log.finished[:-1]
    assert not case.outcome or {call.outcome for call in faulty} <= {case.outcome}
    if case.raw and "choices" in case.response:
        replies = [json.loads(call.response_text or "") for call in heard.log.finished]
        assert {one["choices"][0]["message"]["content"] for one in replies} == {case.raw}


def test_a_wait_that_the_provider_asks_for_is_kept_to_up_to_the_cap() -> None:
    # Both ask for two seconds; the cap is a tenth of one, twice.
    for names in ("retry_after_seconds", "retry_after_date"):
        assert hear(names).seconds >= 0.2


def test_a_wrong_key_and_a_wrong_model_id_are_told_apart() -> None:
    async def both() -> list[Heard]:
        async with FaultServer(models=["gpt-known"]) as server:
            wrong_key = await put(server, server.endpoint("gpt-known", api_key="sk-wrong-key"))
            wrong_model = await put(server, server.endpoint("gpt-knwon"))
            return [wrong_key, wrong_model, await put(server, server.endpoint("gpt-known"))]

    wrong_key, wrong_model, right = asyncio.run(both())
    assert isinstance(wrong_key.result, Failure)
    assert (wrong_key.result.kind, wrong_key.received) == (FailureKind.AUTH, 1)
    assert isinstance(wrong_model.result, Failure)
    assert (wrong_model.result.kind, wrong_model.received) == (FailureKind.MODEL_NOT_FOUND, 1)
    assert "gpt-knwon" in wrong_model.result.detail
    assert isinstance(right.result, Answer)


def test_a_port_where_nobody_listens_is_a_connection_failure() -> None:
    async def once() -> Heard:
        async with FaultServer() as server:
            endpoint = server.endpoint()
        return await put(server, endpoint)

    heard = asyncio.run(once())
    assert isinstance(heard.result, Failure)
    assert heard.result.kind is FailureKind.CONNECTION
    assert len(heard.log.finished) == 3
