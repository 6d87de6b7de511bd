"""The embedded model for real: one call to llama.cpp on loopback, and a server that starts and stops quietly."""

import asyncio
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from asking import START, question

from mahler_agents.clock import SimulatedClock
from mahler_agents.errors import ConfigError
from mahler_agents.llm.attempts import CallLimits
from mahler_agents.llm.client import Answer, ChatClient
from mahler_agents.llm.failures import Failure, FailureKind
from mahler_agents.llm.local import EmbeddedServer
from mahler_agents.llm.models import Endpoint, ModelSpec, open_endpoint
from mahler_agents.testing.scripted import CallList


@pytest.fixture(scope="module")
def endpoint(embedded_model: Path) -> Iterator[Endpoint]:
    """The embedded model, served."""
    assert embedded_model.is_file()
    with open_endpoint(ModelSpec(kind="local"), ["macro", "fund_manager"], os.environ) as endpoint:
        yield endpoint


@pytest.mark.model
def test_the_embedded_model_answers_on_the_first_attempt_within_the_schema(
    endpoint: Endpoint, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "OPENAI_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nobody listens there, and loopback needs no proxy

    async def once() -> None:
        async with ChatClient(endpoint, clock=SimulatedClock(START), log=log) as client:
            result = await question(client)
            assert isinstance(result, Answer), result
            assert (result.attempts, result.repaired) == (1, False)

    log = CallList()
    asyncio.run(once())
    (call,) = log.finished
    assert (call.outcome, call.finish_reason, call.resolved_model) == ("replied", "stop", endpoint.model)
    assert '"id_slot":0' in log.started[0].request_json
    assert "/" not in endpoint.model
    assert capfd.readouterr() == ("", "")


@pytest.mark.model
@pytest.mark.usefixtures("embedded_model")
def test_the_server_stops_after_a_call_that_was_cancelled_in_flight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")

    async def impatient(endpoint: Endpoint) -> None:
        limits = CallLimits.embedded().model_copy(update={"attempt_seconds": 0.2, "max_attempts": 1})
        async with ChatClient(endpoint, clock=SimulatedClock(START), limits=limits) as client:
            result = await question(client, spread="SPY " * 60)
            assert isinstance(result, Failure)
            assert result.kind is FailureKind.TIMEOUT

    with open_endpoint(ModelSpec(kind="local"), ["macro"], os.environ) as endpoint:
        asyncio.run(impatient(endpoint))


@pytest.mark.model
@pytest.mark.usefixtures("embedded_model")
def test_a_file_that_is_no_model_is_an_error_that_names_it_and_prints_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "garbage.gguf"
    path.write_text("no model")
    with pytest.raises(ConfigError, match=r"garbage\.gguf: llama\.cpp cannot load"), EmbeddedServer(path, ["macro"]):
        pass
    assert capfd.readouterr() == ("", "")


def test_a_missing_server_is_an_error_that_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    (tmp_path / "any.gguf").touch()
    with (
        pytest.raises(ConfigError, match=r"pip install 'mahler-agents\[local\]'"),
        EmbeddedServer(tmp_path / "any.gguf", ["macro"]),
    ):
        pass


def test_a_missing_model_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.gguf: no such model file"):
        EmbeddedServer(tmp_path / "absent.gguf", ["macro"])
