"""The fault server as a user has it: what it prints, what it refuses, what it counts."""

import asyncio
import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx2
import pytest
from click.testing import CliRunner

from mahler_agents.errors import InputError
from mahler_agents.testing.fault_server import FaultServer, main
from mahler_agents.testing.faults import FAULTS, parse_script
from mahler_agents.testing.scripted import ScriptedReply, ScriptedRequest

SCHEMA = {
    "type": "object",
    "properties": {"summary": {"type": "string"}},
    "required": ["summary"],
    "additionalProperties": False,
}
FORM = {"type": "json_schema", "json_schema": {"name": "greeks", "strict": True, "schema": SCHEMA}}
BODY: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "?"}], "response_format": FORM}


def without(name: str) -> dict[str, Any]:
    """Return the body without one of its fields."""
    return {key: value for key, value in BODY.items() if key != name}


def schema(**changes: Any) -> dict[str, Any]:
    """Return the body with another schema."""
    described = {**FORM["json_schema"], "schema": SCHEMA | changes}  # type: ignore[dict-item]
    return BODY | {"response_format": {"type": "json_schema", "json_schema": described}}


async def send(body: object, *, path: str = "/chat/completions", key: str | None = None) -> httpx2.Response:
    """Send one request to a server of its own."""
    async with FaultServer() as server, httpx2.AsyncClient(base_url=server.base_url) as client:
        headers = {"authorization": f"Bearer {key or server.environ['OPENAI_API_KEY']}"} if key != "" else {}
        return await client.post(server.base_url + path, json=body, headers=headers)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ([], "not a JSON object"),
        (without("model"), "model parameter"),
        (without("messages"), "'messages'"),
        (BODY | {"messages": []}, "non-empty"),
        (BODY | {"messages": [{"role": "bot", "content": "?"}]}, "invalid role"),
        (without("response_format"), "'response_format'"),
        (BODY | {"confidence": 1}, "Unrecognized request argument supplied: confidence"),
        (schema(additionalProperties=True), "'additionalProperties' must be false"),
        (schema(required=[]), "'required' must list every key"),
        (schema(properties={"summary": {"type": "string", "maxLength": 5}}), "'maxLength'"),
    ],
)
def test_a_malformed_request_gets_the_400_that_a_provider_would_send(body: object, words: str) -> None:
    response = asyncio.run(send(body))
    assert response.status_code == 400
    assert words in response.json()["error"]["message"]


def test_another_route_and_a_missing_or_wrong_key_are_refused() -> None:
    assert asyncio.run(send(BODY)).status_code == 200
    assert asyncio.run(send(BODY, path="/embeddings")).status_code == 404
    assert asyncio.run(send(BODY, key="")).status_code == 401
    assert asyncio.run(send(BODY, key="sk-else")).status_code == 401


def test_bytes_that_are_no_http_end_the_connection_and_nothing_else() -> None:
    async def garbled() -> int:
        async with FaultServer() as server:
            port = int(server.base_url.split(":")[2].split("/")[0])
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"\x16\x03\x01 hello\r\n\r\n")
            assert await reader.read() == b""
            writer.close()
            async with httpx2.AsyncClient() as client:
                headers = {"authorization": f"Bearer {server.environ['OPENAI_API_KEY']}"}
                answer = await client.post(f"{server.base_url}/chat/completions", json=BODY, headers=headers)
            return answer.status_code

    assert asyncio.run(garbled()) == 200


def asked(role: str, attempt: int) -> ScriptedRequest:
    """Return a request of a role."""
    return ScriptedRequest(role=role, messages=(), attempt=attempt, schema=SCHEMA, body=BODY, headers={})


def test_a_script_gives_each_role_its_faults_by_attempt_and_the_rest_to_the_others() -> None:
    script = parse_script(["greeks=server_error,ok", "overloaded"])

    def status(role: str, attempt: int) -> int:
        behaviour = script(asked(role, attempt))
        assert isinstance(behaviour, ScriptedReply)
        return behaviour.status

    assert [status("greeks", attempt) for attempt in (1, 2, 3)] == [500, 200, 200]
    assert status("technical", 1) == 503
    assert parse_script([])(asked("technical", 1)) == parse_script(["greeks=auth"])(asked("technical", 1))


def test_an_unknown_fault_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match="unknown fault `slow`; use: ok, timeout, rate_limited"):
        parse_script(["greeks=slow"])
    told = CliRunner().invoke(main, ["--script", "slow"])
    assert (told.exit_code, "unknown fault `slow`" in told.output) == (2, True)


def test_the_page_names_every_fault_and_its_example_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "fault-server.md").read_text(encoding="utf-8")
    assert [name for name in FAULTS if f"`{name}`" not in page] == []
    [example] = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "fault-server.md", "exec"), {})  # noqa: S102 - our own example
    told = capsys.readouterr().out.splitlines()
    assert told[0].endswith(" requests")
    assert told[1] == "greeks truncated the reply was cut at 40 tokens"


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_a_user_starts_it_points_a_desk_at_it_and_is_told_who_asked(end: signal.Signals) -> None:
    command = [sys.executable, "-m", "mahler_agents.testing.fault_server", "--script", "greeks=prose"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            lines = [process.stdout.readline().strip() for _ in range(2)]
            environ = dict(line.removeprefix("export ").split("=", 1) for line in lines)
            headers = {"authorization": f"Bearer {environ['OPENAI_API_KEY']}"}
            url = f"{environ['OPENAI_BASE_URL']}/chat/completions"
            content = httpx2.post(url, json=BODY, headers=headers).json()["choices"][0]["message"]["content"]
            assert content == "I would take this trade."
        finally:
            process.send_signal(end)
        told = process.stdout.read()
    assert process.returncode == 0
    assert told.splitlines()[-1] == "requests: 1; greeks: 1"
    assert json.dumps("# faults: ok, timeout")[1:-1] in told
