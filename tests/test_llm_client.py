"""The LLM client against scripted faults: each ends as an answer or a named failure, with its requests on record."""

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import httpx2
import pytest
from asking import CONTEXT, GOOD, START, Asked, MacroReply, ask, prompt, question
from conftest import at_scale
from hypothesis import given, settings
from hypothesis import strategies as st

from mahler_agents.clock import SimulatedClock
from mahler_agents.errors import RecordError
from mahler_agents.llm.attempts import CallLimits
from mahler_agents.llm.client import Answer, ChatClient
from mahler_agents.llm.failure_kinds import RETRYABLE
from mahler_agents.llm.failures import Failure, FailureKind
from mahler_agents.llm.transport import CallStarted, NullCallLog
from mahler_agents.testing import virtual_time
from mahler_agents.testing.scripted import (
    ScriptedModel,
    ScriptedReply,
    ScriptedRequest,
    connection_error,
    favourable,
    http_body,
    http_error,
    never,
    reply,
)
from mahler_agents.testing.virtual_time import VirtualTimeLoop

LIMITS = CallLimits(attempt_seconds=10, max_attempts=3, backoff_seconds=1, max_retry_after_seconds=20)
GOOD_TEXT = json.dumps(GOOD)
KEY = "sk-canary-4711-never-on-record"


def with_field(name: str, literal: str) -> str:
    """Return the good reply's text with one field's value written as `literal`."""
    return json.dumps({**GOOD, name: "?"}).replace('"?"', literal)


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A provider's behaviour, and what must come of it."""

    script: Callable[[ScriptedRequest], ScriptedReply | Exception]
    kind: FailureKind
    requests: int
    raw: str | None = None
    detail: str = ""


def always(behaviour: ScriptedReply | Exception) -> Callable[[ScriptedRequest], ScriptedReply | Exception]:
    """Return a script that does the same every time."""
    return lambda _: behaviour


def wrong(text: str, kind: FailureKind = FailureKind.SCHEMA_VIOLATION, detail: str = "") -> Fault:
    """Return the fault of a model that insists on `text`: it is asked again once, shown its error, and fails."""
    return Fault(script=always(reply(text)), kind=kind, requests=2, raw=text, detail=detail)


FAULTS = {
    "a model that never replies": Fault(script=always(never()), kind=FailureKind.TIMEOUT, requests=3),
    "a read timeout": Fault(script=always(httpx2.ReadTimeout("slow")), kind=FailureKind.TIMEOUT, requests=3),
    "a refused connection": Fault(
        script=always(connection_error()), kind=FailureKind.CONNECTION, requests=3, detail="ConnectError: scripted"
    ),
    "a reset connection": Fault(
        script=always(httpx2.ReadError("reset by peer")),
        kind=FailureKind.CONNECTION,
        requests=3,
        detail="reset by peer",
    ),
    "too many requests": Fault(script=always(http_error(429)), kind=FailureKind.RATE_LIMITED, requests=3),
    "an exhausted quota": Fault(
        script=always(http_error(429, code="insufficient_quota")), kind=FailureKind.QUOTA, requests=1
    ),
    "payment required": Fault(script=always(http_error(402)), kind=FailureKind.QUOTA, requests=1),
    "a wrong key": Fault(script=always(http_error(401)), kind=FailureKind.AUTH, requests=1),
    "a forbidden model": Fault(script=always(http_error(403)), kind=FailureKind.AUTH, requests=1),
    "a wrong model id": Fault(
        script=always(http_error(404, "The model `gpt-x` does not exist", code="model_not_found")),
        kind=FailureKind.MODEL_NOT_FOUND,
        requests=1,
        detail="HTTP 404: The model `gpt-x` does not exist",
    ),
    "a server error": Fault(script=always(http_error(500)), kind=FailureKind.SERVER_ERROR, requests=3),
    "an overloaded server": Fault(script=always(http_error(503)), kind=FailureKind.SERVER_ERROR, requests=3),
    "an HTML error page": Fault(
        script=always(http_body("<html><h1>Bad\n gateway</h1></html>", status=502)),
        kind=FailureKind.SERVER_ERROR,
        requests=3,
        detail="HTTP 502: <html><h1>Bad gateway</h1></html>",
    ),
    "a login page with status 200": Fault(
        script=always(http_body("<html>Log in</html>")), kind=FailureKind.SERVER_ERROR, requests=3, detail="Log in"
    ),
    "an error with status 200": Fault(
        script=always(http_body(json.dumps({"error": {"code": 429, "message": "slow down"}}))),
        kind=FailureKind.RATE_LIMITED,
        requests=3,
        detail="slow down",
    ),
    "a redirect": Fault(script=always(http_error(307)), kind=FailureKind.BAD_REQUEST, requests=1),
    "a refused parameter": Fault(
        script=always(http_error(400, "Unsupported value: 'temperature'")),
        kind=FailureKind.BAD_REQUEST,
        requests=1,
        detail="temperature",
    ),
    "too long a prompt": Fault(
        script=always(http_error(400, "too long", code="context_length_exceeded")),
        kind=FailureKind.CONTEXT_OVERFLOW,
        requests=1,
    ),
    "too long a prompt for llama.cpp": Fault(
        script=always(http_error(400, error_type="exceed_context_size_error")),
        kind=FailureKind.CONTEXT_OVERFLOW,
        requests=1,
    ),
    "a refusal": Fault(
        script=always(reply(None, refusal="I can't help with that.")),
        kind=FailureKind.REFUSED,
        requests=1,
        raw="I can't help with that.",
    ),
    "a filtered reply": Fault(
        script=always(reply('{"summ', finish_reason="content_filter")),
        kind=FailureKind.CONTENT_FILTERED,
        requests=1,
        raw='{"summ',
    ),
    "a reply cut at the limit": Fault(
        script=always(reply('{"summary": "Ra', finish_reason="length", completion_tokens=300)),
        kind=FailureKind.TRUNCATED,
        requests=1,
        raw='{"summary": "Ra',
        detail="300 tokens",
    ),
    "a reply cut at the limit that still parses": Fault(
        script=always(reply(GOOD_TEXT, finish_reason="length")), kind=FailureKind.TRUNCATED, requests=1, raw=GOOD_TEXT
    ),
    "no text": Fault(script=always(reply("")), kind=FailureKind.EMPTY, requests=1, raw=""),
    "white space": Fault(script=always(reply(" \n")), kind=FailureKind.EMPTY, requests=1, raw=" \n"),
    "null": Fault(script=always(reply(None)), kind=FailureKind.EMPTY, requests=1),
    "no choices": Fault(script=always(http_body('{"choices": []}')), kind=FailureKind.EMPTY, requests=1),
    "null for choices": Fault(script=always(http_body('{"choices": null}')), kind=FailureKind.SERVER_ERROR, requests=3),
    "a choice without a message": Fault(
        script=always(http_body('{"choices": [{"index": 0}]}')), kind=FailureKind.EMPTY, requests=1
    ),
    "JSON nested too deep to read": Fault(
        script=always(http_body("[" * 100_000)), kind=FailureKind.SERVER_ERROR, requests=3
    ),
    "prose": wrong("I would take this trade.", FailureKind.NOT_JSON),
    "fenced JSON": wrong(f"```json\n{GOOD_TEXT}\n```", FailureKind.NOT_JSON),
    "two JSON objects": wrong(GOOD_TEXT + GOOD_TEXT, FailureKind.NOT_JSON),
    "truncated JSON": wrong(GOOD_TEXT[:40], FailureKind.NOT_JSON),
    "an array": wrong(f"[{GOOD_TEXT}]"),
    "an extra field": wrong(json.dumps({**GOOD, "contracts": 100}), detail="contracts"),
    "a missing field": wrong(json.dumps({"summary": "Calm."}), detail="confidence"),
    "a percentage": wrong(with_field("confidence", '"85%"'), detail="confidence"),
    "a number in quotes": wrong(with_field("confidence", '"0.85"'), detail="confidence"),
    "85": wrong(with_field("confidence", "85"), detail="less than or equal to 1"),
    "1.7": wrong(with_field("confidence", "1.7"), detail="less than or equal to 1"),
    "true": wrong(with_field("confidence", "true"), detail="confidence"),
    "NaN": wrong(with_field("confidence", "NaN"), detail="confidence"),
    "Infinity": wrong(with_field("p_profit", "Infinity"), detail="p_profit"),
    "an unknown stance": wrong(with_field("stance", '"bullish"'), detail="stance"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_ends_as_its_kind_with_its_requests_and_raw_reply_on_record(name: str) -> None:
    fault = FAULTS[name]
    asked = ask(fault.script, limits=LIMITS)
    assert isinstance(asked.result, Failure), asked.result
    assert asked.result.kind is fault.kind
    assert asked.result.retryable == (fault.kind in RETRYABLE)
    assert fault.detail in asked.result.detail
    assert "\n" not in asked.result.detail
    assert asked.result.raw_reply == fault.raw
    assert (asked.result.brief_hash, asked.result.role) == (CONTEXT.brief_hash, "macro")
    assert len(asked.model.requests) == fault.requests
    check_log(asked)


def check_log(asked: Asked) -> None:
    """Check that each request has a row before and a row after it, numbered from 1."""
    ids = [f"{CONTEXT.span_id}.{number}" for number in range(1, len(asked.model.requests) + 1)]
    assert [call.call_id for call in asked.log.started] == ids
    assert [call.call_id for call in asked.log.finished] == ids
    assert [json.loads(call.request_json) for call in asked.log.started] == [one.body for one in asked.model.requests]


def test_a_good_reply_is_an_answer_with_what_it_took() -> None:
    asked = ask(lambda _: reply(GOOD, completion_tokens=33))
    assert asked.result == Answer(
        reply=MacroReply.model_validate_json(GOOD_TEXT),
        model="scripted-1",
        raw_text=GOOD_TEXT,
        prompt_tokens=100,
        completion_tokens=33,
        attempts=1,
        repaired=False,
    )
    (call,) = asked.log.finished
    assert (call.outcome, call.http_status, call.finish_reason) == ("replied", 200, "stop")
    assert (call.resolved_model, call.system_fingerprint) == ("scripted-1", "fp_scripted")
    assert GOOD_TEXT in json.loads(call.response_text or "")["choices"][0]["message"]["content"]


def test_retry_after_is_honoured_and_then_the_answer_counts() -> None:
    asked = ask(lambda one: http_error(429, headers={"retry-after": "7"}) if one.attempt == 1 else favourable(one))
    assert isinstance(asked.result, Answer)
    assert asked.result.attempts == 2
    assert asked.seconds == pytest.approx(7)


@pytest.mark.parametrize(
    ("until", "seconds"),
    [("Mon, 16 Mar 2026 14:00:07 GMT", 7), ("Mon, 16 Mar 2026 13:00:00 GMT", 0), ("Fri, 16 Mar 2125 14:00:00 GMT", 20)],
)
def test_a_retry_after_that_is_a_date_counts_from_the_response_s_own_date(until: str, seconds: float) -> None:
    headers = {"date": "Mon, 16 Mar 2026 14:00:00 GMT", "retry-after": until}
    limits = LIMITS.model_copy(update={"backoff_seconds": 0})
    asked = ask(lambda one: http_error(429, headers=headers) if one.attempt == 1 else favourable(one), limits=limits)
    assert isinstance(asked.result, Answer)
    assert asked.seconds == pytest.approx(seconds)


def test_retry_after_is_honoured_only_up_to_the_cap() -> None:
    asked = ask(lambda _: http_error(429, headers={"retry-after": "86400"}), limits=LIMITS)
    assert asked.seconds == pytest.approx(2 * LIMITS.max_retry_after_seconds)


@pytest.mark.parametrize("header", ["soon", "nan", "-5", "inf", "Wed, 21 Oct 2026 07:28:00 GMT", "Wed, 99 Oct"])
def test_a_retry_after_that_is_no_number_of_seconds_leaves_the_backoff(header: str) -> None:
    asked = ask(lambda one: http_error(503, headers={"retry-after": header}) if one.attempt == 1 else favourable(one))
    assert isinstance(asked.result, Answer)
    assert asked.seconds <= CallLimits().backoff_seconds


def test_backoff_doubles_at_most_and_never_exceeds_its_cap() -> None:
    limits = CallLimits(max_attempts=6, backoff_seconds=1, max_backoff_seconds=4, outage_failures=7)
    asked = ask(lambda _: connection_error(), limits=limits)
    assert len(asked.model.requests) == 6
    assert 0 < asked.seconds <= 1 + 2 + 4 + 4 + 4


def test_a_wait_beyond_the_deadline_is_not_begun() -> None:
    asked = ask(lambda _: http_error(429, headers={"retry-after": "15"}), limits=LIMITS, deadline=12)
    assert isinstance(asked.result, Failure)
    assert asked.result.kind is FailureKind.RATE_LIMITED
    assert (asked.seconds, len(asked.model.requests)) == (0, 1)


def test_the_deadline_ends_a_call_in_flight() -> None:
    asked = ask(lambda _: never(), limits=LIMITS, deadline=4)
    assert isinstance(asked.result, Failure)
    assert (asked.result.kind, asked.seconds) == (FailureKind.TIMEOUT, 4)
    assert [call.outcome for call in asked.log.finished] == ["cancelled"]


def test_after_the_deadline_no_request_is_sent() -> None:
    asked = ask(favourable, deadline=0)
    assert isinstance(asked.result, Failure)
    assert asked.result.kind is FailureKind.TIMEOUT
    assert asked.model.requests == []


def test_a_reply_that_comes_too_late_is_not_waited_for() -> None:
    asked = ask(lambda _: reply(GOOD, delay=10.5), limits=LIMITS.model_copy(update={"max_attempts": 1}))
    assert isinstance(asked.result, Failure)
    assert (asked.result.kind, asked.seconds) == (FailureKind.TIMEOUT, 10)
    assert asked.result.detail == "no whole reply in 10 s"


def test_the_repair_shows_the_model_its_reply_and_its_error() -> None:
    asked = ask(lambda one: reply(with_field("confidence", "1.7")) if one.attempt == 1 else reply(GOOD))
    assert isinstance(asked.result, Answer)
    assert asked.result.repaired
    assert asked.result.prompt_tokens == 200
    first, second = asked.model.requests
    assert second.messages[:-2] == first.messages
    assert second.messages[-2] == {"role": "assistant", "content": with_field("confidence", "1.7")}
    assert "confidence: Input should be less than or equal to 1" in second.messages[-1]["content"]


def test_a_repair_that_the_network_breaks_keeps_the_first_raw_reply() -> None:
    asked = ask(lambda one: reply("prose") if one.attempt == 1 else http_error(401))
    assert isinstance(asked.result, Failure)
    assert (asked.result.kind, asked.result.raw_reply) == (FailureKind.AUTH, "prose")


def test_what_is_sent_is_the_prompt_with_its_parameters_and_a_strict_schema() -> None:
    body = ask(favourable).model.requests[0].body
    assert [message["role"] for message in body["messages"]] == ["system", "user", "assistant", "user"]
    assert body["messages"][-1]["content"] == "QQQ 480/475 put spread: the rate is 4.25."
    assert (body["model"], body["temperature"], body["max_completion_tokens"]) == ("scripted", 0.2, 300)
    schema = body["response_format"]["json_schema"]
    assert (schema["name"], schema["strict"]) == ("macro", True)
    assert schema["schema"]["properties"]["summary"] == {"type": "string"}


def test_a_brief_that_the_prompt_cannot_show_is_a_failure_without_a_request() -> None:
    model = ScriptedModel(favourable)

    async def without_a_rate() -> Any:
        async with ChatClient(model.endpoint, clock=SimulatedClock(START)) as client:
            facts = {"spread": "SPY"}
            return await client.ask(role="macro", prompt=prompt(), facts=facts, reply=MacroReply, context=CONTEXT)

    result = virtual_time.run(without_a_rate())
    assert isinstance(result, Failure)
    assert result.kind is FailureKind.BAD_PROMPT
    assert "prompts/macro.md" in result.detail
    assert "'rate'" in result.detail
    assert model.requests == []


def test_no_more_requests_are_in_flight_than_permitted() -> None:
    in_flight = {"now": 0, "most": 0}

    class Counting(ScriptedModel):
        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            in_flight["now"] += 1
            in_flight["most"] = max(in_flight.values())
            try:
                return await super().handle_async_request(request)
            finally:
                in_flight["now"] -= 1

    model = Counting(lambda one: replace(favourable(one), delay=1.0))

    async def twelve() -> float:
        limits = CallLimits(max_in_flight=3)
        async with ChatClient(model.endpoint, clock=SimulatedClock(START), limits=limits) as client:
            await asyncio.gather(*(question(client, rate=rate) for rate in range(12)))
        return asyncio.get_running_loop().time()

    assert virtual_time.run(twelve()) == pytest.approx(4)
    assert in_flight["most"] == 3


def test_a_wait_for_the_next_attempt_holds_no_permit() -> None:
    def script(one: ScriptedRequest) -> ScriptedReply:
        limited = "rate is 0." in one.messages[-1]["content"] and one.attempt == 1
        return http_error(429, headers={"retry-after": "20"}) if limited else favourable(one)

    async def two() -> list[float]:
        ended: list[float] = []
        limits = CallLimits(max_in_flight=1)
        async with ChatClient(ScriptedModel(script).endpoint, clock=SimulatedClock(START), limits=limits) as client:

            async def one(rate: int) -> None:
                await question(client, rate=rate)
                ended.append(asyncio.get_running_loop().time())

            await asyncio.gather(one(0), one(1))
        return ended

    assert virtual_time.run(two()) == pytest.approx([0, 20])


def test_cancellation_goes_through() -> None:
    async def cancelled() -> str:
        model = ScriptedModel(lambda _: never())
        async with ChatClient(model.endpoint, clock=SimulatedClock(START)) as client:
            task = asyncio.create_task(question(client))
            await asyncio.sleep(1)
            task.cancel()
            try:
                await task
            except asyncio.CancelledError:
                return "cancelled"
        return "swallowed"

    assert virtual_time.run(cancelled()) == "cancelled"


def test_a_defect_below_the_client_is_named_and_sent_once(caplog: pytest.LogCaptureFixture) -> None:
    def broken(_: ScriptedRequest) -> ScriptedReply:
        raise KeyError("script")

    asked = ask(broken)
    assert isinstance(asked.result, Failure)
    assert (asked.result.kind, asked.result.detail) == (FailureKind.INTERNAL, "KeyError: 'script'")
    assert len(asked.model.requests) == 1
    assert "asking macro" in caplog.text


def test_an_error_of_the_record_is_raised_and_not_taken_for_the_networks() -> None:
    class FullDisk(NullCallLog):
        def call_started(self, call: CallStarted) -> None:
            raise RecordError(f"cannot record {call.call_id}: disk full")

    model = ScriptedModel(favourable)

    async def once() -> None:
        async with ChatClient(model.endpoint, clock=SimulatedClock(START), log=FullDisk()) as client:
            await question(client)

    with pytest.raises(RecordError, match="disk full"):
        virtual_time.run(once())
    assert model.requests == []


def test_the_api_key_is_on_no_record_even_if_the_provider_repeats_it() -> None:
    scripts = [favourable, lambda _: http_error(401, f"Incorrect API key provided: {KEY}")]
    scripts += [lambda _: reply(f"your key is {KEY}"), lambda _: httpx2.ConnectError(f"Bearer {KEY}")]
    for script in scripts:
        asked = ask(script, limits=LIMITS, endpoint=lambda model: replace(model.endpoint, api_key=KEY))
        assert asked.model.requests
        assert KEY not in repr((asked.result, asked.log.started, asked.log.finished))


def test_a_client_works_only_inside_its_context() -> None:
    client = ChatClient(ScriptedModel(favourable).endpoint, clock=SimulatedClock(START))

    async def opened() -> None:
        async with client:
            await question(client)

    with pytest.raises(RuntimeError, match="inside its context"):
        virtual_time.run(question(client))
    virtual_time.run(opened())
    with pytest.raises(RuntimeError, match="inside its context"):
        virtual_time.run(question(client))


def test_one_client_a_loop_serves_two_runs_in_one_process() -> None:
    model = ScriptedModel(favourable)

    async def once() -> Any:
        async with ChatClient(model.endpoint, clock=SimulatedClock(START)) as client:
            return await question(client)

    assert isinstance(asyncio.run(once()), Answer)
    assert isinstance(asyncio.run(once()), Answer)


def edited(text: str) -> st.SearchStrategy[str]:
    """Return the text with up to three edits: characters taken out, put in, replaced or repeated."""
    places = st.integers(0, len(text))
    inserted = st.text(max_size=6) | st.sampled_from(['"', "\\", "{", "}", ",", "null", "1e999", "\\ud800", "\x00"])

    def apply(edits: list[tuple[int, int, str]]) -> str:
        changed = text
        for start, length, new in edits:
            changed = changed[:start] + new + changed[start + length :]
        return changed

    return st.lists(st.tuples(places, st.integers(0, 12), inserted), min_size=1, max_size=3).map(apply)


def any_body() -> st.SearchStrategy[str]:
    """Whole HTTP bodies: anything at all, and a real completion with edits."""
    return any_reply() | edited(reply(GOOD).body)


def any_reply() -> st.SearchStrategy[str]:
    """Texts, JSON of any shape, and mutations of the good reply."""
    scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
    values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)
    changed = st.dictionaries(st.sampled_from([*GOOD, "contracts"]), values, max_size=3)
    mutated = changed.map(lambda fields: json.dumps({**GOOD, **fields}))
    cut = st.integers(0, len(GOOD_TEXT)).map(lambda at: GOOD_TEXT[:at])
    return st.text(st.characters()) | values.map(json.dumps) | mutated | cut | edited(GOOD_TEXT)


class Standing:
    """One open client, asked again and again: opening one costs more than a question."""

    def __init__(self, runner: asyncio.Runner) -> None:
        self._runner = runner
        self._number = 0
        self._script: Callable[[ScriptedRequest], ScriptedReply | Exception] = favourable
        model = ScriptedModel(self._behave)
        # No cool-down, so that no fault keeps the next question from being asked.
        limits = CallLimits(max_attempts=1, outage_seconds=0)
        self.client = ChatClient(model.endpoint, clock=SimulatedClock(START), limits=limits)
        self.model = model

    def ask(self, script: Callable[[ScriptedRequest], ScriptedReply | Exception]) -> Answer[MacroReply] | Failure:
        """Put a new question to the script."""
        self._script = script
        self._number += 1
        return self._runner.run(question(self.client, rate=self._number))

    def _behave(self, request: ScriptedRequest) -> ScriptedReply | Exception:
        return self._script(request)


@pytest.fixture(scope="module")
def standing() -> Iterator[Standing]:
    """A client that stays open for the module."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        standing = Standing(runner)
        runner.run(standing.client.__aenter__())
        yield standing
        runner.run(standing.client.__aexit__(None, None, None))


@settings(max_examples=at_scale(10_000))
@given(
    replies=st.tuples(any_reply(), any_reply()) | any_body(),
    status=st.sampled_from([200, 200, 200, 204, 301, 400, 404, 429, 500, 599]),
)
def test_any_text_is_an_answer_or_a_failure_and_never_an_exception(
    standing: Standing, replies: tuple[str, str] | str, status: int
) -> None:
    def script(one: ScriptedRequest) -> ScriptedReply:
        if isinstance(replies, str):
            return http_body(replies, status=status)
        return reply(replies[min(one.attempt, 2) - 1])

    standing.model.requests.clear()
    result = standing.ask(script)
    assert standing.model.requests
    if isinstance(result, Answer):
        assert 0 <= result.reply.confidence <= 1
        assert 0 <= result.reply.p_profit <= 1
        assert json.loads(result.raw_text) == result.reply.model_dump(mode="json")
    else:
        assert result.kind is not FailureKind.INTERNAL
        result.model_dump_json().encode()
