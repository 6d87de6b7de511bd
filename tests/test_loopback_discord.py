"""The Discord on loopback refuses what Discord refuses, so that a test against it can fail."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from mahler_agents.testing.discord import TOKEN, WEBHOOK_ID, Fault, LoopbackDiscord, judge


@pytest.fixture
def discord() -> Iterator[LoopbackDiscord]:
    with LoopbackDiscord() as server:
        yield server


def post(discord: LoopbackDiscord, payload: object, path: str = f"/api/webhooks/{WEBHOOK_ID}/{TOKEN}") -> Any:
    """Return status, body and headers of the answer."""
    request = urllib.request.Request(  # noqa: S310 - loopback
        discord.url + path, json.dumps(payload).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310
            return answer.status, answer.read(), answer.headers
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read()), error.headers


def embed(**fields: Any) -> dict[str, Any]:
    return {"embeds": [{"title": "t", **fields}]}


def field(name: str = "n", value: str = "v") -> dict[str, str]:
    return {"name": name, "value": value}


AT_THE_LIMIT: dict[str, tuple[Any, Any]] = {
    "content of 2,000": ({"content": "x" * 2_000}, {"content": "x" * 2_001}),
    "content counted in UTF-16 units": ({"content": "\U0001f600" * 1_000}, {"content": "\U0001f600" * 1_001}),
    "title of 256": (embed(title="x" * 256), embed(title="x" * 257)),
    "description of 4,096": (embed(description="x" * 4_096), embed(description="x" * 4_097)),
    "25 fields": (embed(fields=[field()] * 25), embed(fields=[field()] * 26)),
    "field name of 256": (embed(fields=[field(name="x" * 256)]), embed(fields=[field(name="x" * 257)])),
    "field value of 1,024": (embed(fields=[field(value="x" * 1_024)]), embed(fields=[field(value="x" * 1_025)])),
    "footer of 2,048": (embed(footer={"text": "x" * 2_048}), embed(footer={"text": "x" * 2_049})),
    "author of 256": (embed(author={"name": "x" * 256}), embed(author={"name": "x" * 257})),
    "10 embeds": ({"embeds": [{"title": "t"}] * 10}, {"embeds": [{"title": "t"}] * 11}),
    "6,000 in all": (
        {"embeds": [{"description": "x" * 3_000}] * 2},
        {"embeds": [{"description": "x" * 3_000}, {"description": "x" * 3_001}]},
    ),
    "username of 80": ({"content": "x", "username": "x" * 80}, {"content": "x", "username": "x" * 81}),
    "a field's value is there": (embed(fields=[field()]), embed(fields=[field(value=" ")])),
    "a color of 24 bits": (embed(color=0xFFFFFF), embed(color=0x1000000)),
    "an author's address": (embed(author={"name": "n", "url": "https://x.org"}), embed(author={"url": "javascript:1"})),
    "an embed that says something": ({"embeds": [{"title": "t"}]}, {"embeds": [{"title": " "}]}),
    "text is text": ({"content": "1"}, {"content": 1}),
}


@pytest.mark.parametrize("limit", AT_THE_LIMIT)
def test_what_is_at_a_limit_is_taken_and_what_is_beyond_it_refused(limit: str) -> None:
    within, beyond = AT_THE_LIMIT[limit]
    assert judge(within) is None
    refusal = judge(beyond)
    assert refusal is not None
    assert (refusal.status, refusal.body["code"]) == (400, 50035)


def test_a_refusal_names_the_place_as_discord_does(discord: LoopbackDiscord) -> None:
    status, body, _ = post(discord, embed(fields=[field(), field(value="x" * 1_025)]))
    error = body["errors"]["embeds"]["0"]["fields"]["1"]["value"]["_errors"][0]
    assert (status, error["message"]) == (400, "Must be 1024 or fewer in length.")


@pytest.mark.parametrize("payload", [{}, {"content": ""}, {"content": " \n"}, {"embeds": []}])
def test_an_empty_message_is_refused(discord: LoopbackDiscord, payload: object) -> None:
    status, body, _ = post(discord, payload)
    assert (status, body) == (400, {"message": "Cannot send an empty message", "code": 50006})


def test_another_webhook_is_unknown(discord: LoopbackDiscord) -> None:
    status, body, _ = post(discord, {"content": "x"}, "/api/webhooks/1/other")
    assert (status, body["code"]) == (404, 10015)


def test_over_the_rate_limit_it_says_when_to_come_back(discord: LoopbackDiscord) -> None:
    discord.always = Fault.RATE_LIMITED
    status, body, headers = post(discord, {"content": "x"})
    assert (status, body["retry_after"], headers["Retry-After"]) == (429, 0.3, "1")
    assert discord.received == []


def test_what_it_takes_it_keeps_with_the_fields_that_discord_would_ignore(discord: LoopbackDiscord) -> None:
    status, _, _ = post(discord, {"content": "x", "urgency": 3})
    assert (status, discord.received[0].payload["content"], discord.received[0].unknown) == (204, "x", ("urgency",))
