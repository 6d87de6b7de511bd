"""The chat model that sends: the request is the one of LangChain's own class, of the same fields and values."""

import asyncio
from typing import Any

import httpx2
import pytest
from asking import MacroReply, prompt
from langchain_openai import ChatOpenAI

from mahler_agents.llm.chat import PlainChat
from mahler_agents.llm.schema import response_format, strict_schema
from mahler_agents.testing.scripted import ScriptedModel, favourable


async def _sent(chat: type[ChatOpenAI], model: str, **more: Any) -> dict[str, Any]:
    """Return the body that a class sends for one question."""
    scripted = ScriptedModel(favourable)
    async with httpx2.AsyncClient(transport=scripted) as http:
        asked = chat(model=model, base_url="http://x.invalid/v1", api_key="k", max_retries=0, http_async_client=http)
        form = response_format("macro", strict_schema(MacroReply))
        bound = asked.bind(temperature=0.2, max_tokens=300, response_format=form, **more)
        reply = await bound.ainvoke(prompt().messages({"rate": 4.25, "spread": "SPY"}))
    assert MacroReply.model_validate_json(str(reply.content)).confidence > 0
    return dict(scripted.requests[0].body)


@pytest.mark.parametrize("model", ["gpt-4o-mini", "o3-mini"])
@pytest.mark.parametrize("more", [{}, {"seed": 1, "extra_body": {"reasoning_effort": "low"}}])
def test_it_sends_what_langchain_s_own_class_sends(model: str, more: dict[str, Any]) -> None:
    theirs, ours = (asyncio.run(_sent(chat, model, **more)) for chat in (ChatOpenAI, PlainChat))
    assert ours == theirs
    assert len(ours["messages"]) == 4
    assert ours["response_format"]["json_schema"]["strict"] is True
