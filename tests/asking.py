"""Shared by the tests of the LLM layer: one prompt, one reply type, and a question put in virtual time."""

import asyncio
import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any

from pydantic import Field

from mahler_agents.analysts.base import AnalystReply
from mahler_agents.llm.attempts import CallLimits
from mahler_agents.llm.client import Answer, ChatClient
from mahler_agents.llm.failures import Failure
from mahler_agents.llm.models import Endpoint
from mahler_agents.llm.prompts import Prompt, parse_prompt
from mahler_agents.llm.transport import CallContext
from mahler_agents.testing import virtual_time
from mahler_agents.testing.scripted import CallList, Script, ScriptedModel
from mahler_agents.testing.virtual_time import VirtualClock

START = dt.datetime(2026, 3, 16, 14, 0, tzinfo=dt.UTC)
CONTEXT = CallContext(run_id="run", candidate_id="run/1", span_id="run/1/macro", brief_hash="b" * 64)

PROMPT_TEXT = """\
---
name: macro
description: Judges the rates.
model_role: analyst
temperature: 0.2
max_tokens: 300
variables: [rate, spread]
examples:
  - brief: {rate: 4.5, spread: SPY 540/535 put spread}
    reply: {summary: Rates of 4.5 are calm., confidence: 0.6, p_profit: 0.7, stance: neutral}
---
# System
You judge rates.

# User
{{ spread }}: the rate is {{ rate }}.
"""

GOOD = {"summary": "Rates are calm.", "confidence": 0.85, "p_profit": 0.8, "stance": "favourable"}


class MacroReply(AnalystReply):
    """An analyst's reply as a user would add one."""

    summary: Annotated[str, Field(min_length=1, max_length=200)]


@cache
def prompt(text: str = PROMPT_TEXT) -> Prompt:
    """Return the macro analyst's prompt."""
    return parse_prompt(text, path="prompts/macro.md")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What came of one question."""

    result: Answer[MacroReply] | Failure
    model: ScriptedModel
    log: CallList
    seconds: float
    """Virtual."""


async def question(client: ChatClient, *, context: CallContext = CONTEXT, **facts: Any) -> Answer[MacroReply] | Failure:
    """Ask the macro analyst."""
    shown = {"rate": 4.25, "spread": "QQQ 480/475 put spread"} | facts
    return await client.ask(role="macro", prompt=prompt(), facts=shown, reply=MacroReply, context=context)


def ask(
    script: Script,
    *,
    limits: CallLimits | None = None,
    deadline: float | None = None,
    endpoint: Callable[[ScriptedModel], Endpoint] = lambda model: model.endpoint,
) -> Asked:
    """Put one question to a scripted model, in virtual time."""
    model, log = ScriptedModel(script), CallList()

    async def once() -> Asked:
        loop = asyncio.get_running_loop()
        clock = VirtualClock(START, loop)
        async with ChatClient(endpoint(model), clock=clock, log=log, limits=limits, deadline=deadline) as client:
            return Asked(result=await question(client), model=model, log=log, seconds=loop.time())

    return virtual_time.run(once())
