"""The scripted model: replies as chosen, for any role's schema, and as strict as the real endpoint."""

import asyncio
import json
from typing import Any

import httpx2
import pytest
from asking import GOOD, START, MacroReply, ask, question
from openai import AsyncOpenAI

from mahler_agents.analysts import ANALYSTS
from mahler_agents.analysts.fund_manager import VerdictReply
from mahler_agents.clock import SimulatedClock
from mahler_agents.llm.client import Answer, ChatClient
from mahler_agents.llm.schema import constrained_schema, response_format, strict_schema
from mahler_agents.testing import virtual_time
from mahler_agents.testing.scripted import ScriptedModel, ScriptedReply, ScriptedRequest, favourable, reply

GOOD_BODY: dict[str, Any] = {
    "model": "any",
    "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}],
    "response_format": response_format("macro", strict_schema(MacroReply)),
}


def send(body: object, *, path: str = "/v1/chat/completions", headers: dict[str, str] | None = None) -> httpx2.Response:
    """Send a raw request to a favourable model."""

    async def once() -> httpx2.Response:
        async with httpx2.AsyncClient(transport=ScriptedModel(favourable)) as http:
            content = body if isinstance(body, str) else json.dumps(body)
            sent = {"authorization": "Bearer key"} if headers is None else headers
            return await http.post(f"http://scripted.invalid{path}", content=content, headers=sent)

    return virtual_time.run(once())


def with_schema(**changes: object) -> dict[str, Any]:
    """Return the good request with its schema changed."""
    return GOOD_BODY | {"response_format": response_format("macro", {**strict_schema(MacroReply), **changes})}


@pytest.mark.parametrize("role", [*ANALYSTS, VerdictReply], ids=lambda role: getattr(role, "name", "fund_manager"))
def test_the_favourable_reply_is_valid_for_every_role(role: Any) -> None:
    wanted = getattr(role, "reply", role)
    response = send(GOOD_BODY | {"response_format": response_format("any", strict_schema(wanted))})
    content = json.loads(response.text)["choices"][0]["message"]["content"]
    valid = wanted.model_validate_json(content)
    assert (valid.confidence, valid.p_profit) == (0.8, 0.8)


def test_always_sets_the_fields_that_a_reply_has_and_leaves_the_others() -> None:
    result = ask(ScriptedModel.always(confidence=0.3, approved=False)._script).result
    assert isinstance(result, Answer)
    assert result.reply.confidence == 0.3


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("{", "the body is not JSON"),
        ([], "the body is not a JSON object"),
        (GOOD_BODY | {"model": ""}, "must provide a model"),
        (GOOD_BODY | {"messages": []}, "'messages' must be a non-empty array"),
        (GOOD_BODY | {"messages": [{"role": "boss", "content": "u"}]}, "messages[0]: invalid role"),
        (GOOD_BODY | {"messages": [{"role": "user", "content": None}]}, "messages[0]: content must be a string"),
        (GOOD_BODY | {"messages": [{"role": "assistant", "content": "a"}]}, "the last message must be the user's"),
        (GOOD_BODY | {"id_slot": 1}, "Unrecognized request argument supplied: id_slot"),
        (GOOD_BODY | {"response_format": {"type": "text"}}, "'response_format' must be of type json_schema"),
        (GOOD_BODY | {"response_format": {"type": "json_schema"}}, "missing response_format.json_schema.name"),
        (with_schema(additionalProperties=True), "'additionalProperties' must be false"),
        (with_schema(required=["summary"]), "'required' must list every key"),
        (with_schema(title="x"), "['title'] is not permitted"),
        (
            GOOD_BODY | {"response_format": response_format("m", constrained_schema(MacroReply, max_tokens=300))},
            "Invalid schema for response_format 'm.summary'",
        ),
    ],
)
def test_a_malformed_request_gets_the_error_of_a_real_endpoint(body: object, words: str) -> None:
    response = send(body)
    assert response.status_code == 400
    error = json.loads(response.text)["error"]
    assert error["type"] == "invalid_request_error"
    assert words in error["message"]


def test_a_missing_key_and_an_unknown_path_get_their_own_errors() -> None:
    assert send(GOOD_BODY, headers={}).status_code == 401
    assert send(GOOD_BODY, path="/v1/completions").status_code == 404


def test_the_sdk_itself_reads_what_the_model_sends() -> None:
    async def once() -> Any:
        http = httpx2.AsyncClient(transport=ScriptedModel(lambda _: reply(GOOD, completion_tokens=7)))
        async with AsyncOpenAI(api_key="key", base_url="http://scripted.invalid/v1", http_client=http) as client:
            return await client.chat.completions.create(**GOOD_BODY)

    completion = virtual_time.run(once())
    assert json.loads(completion.choices[0].message.content) == GOOD
    assert completion.choices[0].finish_reason == "stop"
    assert completion.usage.total_tokens == 107


def test_attempts_count_repeats_and_repairs_of_one_question_and_not_other_questions() -> None:
    attempts: list[tuple[str, int]] = []

    def script(one: ScriptedRequest) -> ScriptedReply:
        attempts.append((one.role, one.attempt))
        return reply("prose") if one.attempt == 1 else favourable(one)

    async def two() -> None:
        async with ChatClient(ScriptedModel(script).endpoint, clock=SimulatedClock(START)) as client:
            await question(client, rate=1)
            await question(client, rate=2)

    virtual_time.run(two())
    assert attempts == [("macro", 1), ("macro", 2), ("macro", 1), ("macro", 2)]


def test_delays_take_virtual_time_only_and_order_the_replies() -> None:
    async def race() -> tuple[list[float], float]:
        ended: list[float] = []
        model = ScriptedModel(lambda one: reply(GOOD, delay=float(one.messages[-1]["content"].split()[-1][:-1])))
        async with ChatClient(model.endpoint, clock=SimulatedClock(START)) as client:

            async def one(rate: float) -> None:
                await question(client, rate=rate)
                ended.append(rate)

            await asyncio.gather(*(one(rate) for rate in (30.0, 10.0, 20.0)))
        return ended, asyncio.get_running_loop().time()

    assert virtual_time.run(race()) == ([10.0, 20.0, 30.0], 30.0)
