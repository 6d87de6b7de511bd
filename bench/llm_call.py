"""(f) CPU of one LLM call: this layer against a bare AsyncOpenAI call, `bind`, and `with_structured_output`."""

import asyncio
import gc
import json
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median
from time import process_time

import httpx2
import openai
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

from bench.reviews import RUN_ID, Recorded, ground
from mahler_agents.analysts import ANALYSTS, Terms
from mahler_agents.clock import SystemClock
from mahler_agents.exits import ExitParams
from mahler_agents.llm.client import Answer, ChatClient
from mahler_agents.llm.models import Endpoint
from mahler_agents.llm.schema import response_format, strict_schema
from mahler_agents.llm.transport import CallContext
from mahler_agents.testing.protocol import example_of
from mahler_agents.testing.scripted import reply

ROUNDS, CALLS = 30, 10
"""CPU clocks tick in milliseconds on some systems, so ten calls are timed together."""
URL, KEY, MODEL = "http://instant.invalid/v1", "instant-key", "instant"
GREEKS = ANALYSTS[0]
FORM = response_format(GREEKS.name, strict_schema(GREEKS.reply))
Call = Callable[[], Awaitable[object]]


class Instant(httpx2.AsyncBaseTransport):
    """Replies at once, and always the same: what is left is the client's own work."""

    def __init__(self, content: str) -> None:
        self._body = reply(content).body.encode()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Return the reply."""
        await request.aread()
        headers = {"content-type": "application/json"}
        return httpx2.Response(200, headers=headers, content=self._body, request=request)


def run() -> dict[str, float]:
    """Return the CPU milliseconds of a call in each way, each with the reply read as its type, measured in turn."""
    return asyncio.run(_run())


async def _run() -> dict[str, float]:
    on = await ground()
    terms = Terms(exits=ExitParams(), commission_per_contract_and_leg=1.0)
    brief = GREEKS.brief(on.snapshot, on.candidates[0], terms)
    prompt, facts = on.prompts[GREEKS.name], brief.facts()
    messages = prompt.messages(facts)
    transport = Instant(json.dumps(example_of(FORM["json_schema"]["schema"])))
    how = {"temperature": prompt.front.temperature, "max_tokens": prompt.front.max_tokens}
    endpoint = Endpoint(model=MODEL, base_url=URL, api_key=KEY, transport=transport)
    number = iter(range(10**9))

    with tempfile.TemporaryDirectory() as folder, Recorded(Path(folder) / "bench.db", on) as recorded:
        recorded.recording.prompt(prompt)
        recorded.recording.brief(GREEKS.name, brief)
        candidate_id = recorded.candidate(on.candidates[0], 0)
        logged = ChatClient(endpoint, clock=SystemClock(), log=recorded.recording)
        silent = ChatClient(endpoint, clock=SystemClock())
        async with logged, silent, httpx2.AsyncClient(transport=transport) as http:
            bare = openai.AsyncOpenAI(base_url=URL, api_key=KEY, max_retries=0, http_client=http)
            chat = ChatOpenAI(model=MODEL, base_url=URL, api_key=_key, max_retries=0, http_async_client=http, **how)
            bound = chat.bind(response_format=FORM)
            structured = chat.with_structured_output(GREEKS.reply, method="json_schema", strict=True)

            def asking(client: ChatClient) -> Call:
                async def ask() -> object:
                    span = f"{candidate_id}.{next(number)}"
                    where = CallContext(
                        run_id=RUN_ID, candidate_id=candidate_id, span_id=span, brief_hash=brief.content_hash
                    )
                    said = await client.ask(
                        role=GREEKS.name, prompt=prompt, facts=facts, reply=GREEKS.reply, context=where
                    )
                    assert isinstance(said, Answer)
                    return said

                return ask

            async def sdk() -> BaseModel:
                completion = await bare.chat.completions.create(
                    model=MODEL, messages=messages, response_format=FORM, **how
                )
                return GREEKS.reply.model_validate_json(completion.choices[0].message.content or "")

            async def langchain() -> BaseModel:
                return GREEKS.reply.model_validate_json(str((await bound.ainvoke(messages)).content))

            async def with_structured_output() -> object:
                return await structured.ainvoke(messages)

            ways: dict[str, Call] = {
                "ours_recorded": asking(logged),
                "ours": asking(silent),
                "bind": langchain,
                "structured": with_structured_output,
                "async_openai": sdk,
            }
            return await _in_turn(ways)


async def _key() -> str:
    return KEY


async def _in_turn(ways: dict[str, Call]) -> dict[str, float]:
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS + 2):
        for name, call in ways.items():
            gc.collect()
            since = process_time()
            for _ in range(CALLS):
                await call()
            times[name].append((process_time() - since) / CALLS)
    kept = {name: taken[2:] for name, taken in times.items()}
    figures = {f"{name}_ms": round(median(taken) * 1e3, 2) for name, taken in kept.items()}
    above = [ours - theirs for ours, theirs in zip(kept["ours_recorded"], kept["bind"], strict=True)]
    share = [ours / theirs for ours, theirs in zip(kept["ours_recorded"], kept["structured"], strict=True)]
    return figures | {
        "above_bind_ms": round(median(above) * 1e3, 2),
        "to_structured": round(median(share), 2),
    }
