"""Record: a recorded call in, what its chat asked and what the model wrote out."""

import json
from typing import TypedDict

from mahler_agents.record.trace_rows import CallRow


class ChatMessage(TypedDict):
    """One message of a recorded request."""

    role: str
    content: str


def messages_of(call: CallRow) -> list[ChatMessage]:
    """Return the messages of the request, in order; none if it is no chat completion's."""
    try:
        return json.loads(call.request)["messages"]
    except (ValueError, LookupError, TypeError):
        return []


def reply_of(call: CallRow) -> str | None:
    """Return the text that the model wrote; None if the response is no chat completion, or holds no text."""
    try:
        return json.loads(call.response or "")["choices"][0]["message"]["content"]
    except (ValueError, LookupError, TypeError):
        return None
