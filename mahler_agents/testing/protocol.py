"""For tests: what a real chat-completions endpoint asks of a request with a strict JSON schema, and a valid reply."""

import json
from collections.abc import Mapping
from typing import Any

_PARAMETERS = frozenset(
    {
        "model",
        "messages",
        "temperature",
        "max_tokens",
        "max_completion_tokens",
        "response_format",
        "seed",
        "stop",
        "n",
        "top_p",
        "user",
        "stream",
        "metadata",
        "reasoning_effort",
    }
)
_ROLES = frozenset({"system", "developer", "user", "assistant"})
_SCHEMA_WORDS = frozenset(
    {"type", "properties", "required", "additionalProperties", "description", "enum", "const", "items", "anyOf"}
)
"""What every provider's strict mode takes; a bound or a default is an error at some."""


class MalformedRequestError(Exception):
    """A request that the real endpoint would refuse, with its status."""

    def __init__(self, message: str, *, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


def checked_body(method: str, path: str, headers: Mapping[str, str], content: bytes) -> dict[str, Any]:
    """Return the body of a well-formed request; raises MalformedRequestError."""
    _require(method == "POST" and path.endswith("/chat/completions"), f"no such route: {method} {path}", status=404)
    _require(headers.get("authorization", "").startswith("Bearer "), "you didn't provide an API key", status=401)
    try:
        body = json.loads(content)
    except ValueError as error:
        raise MalformedRequestError(f"the body is not JSON: {error}") from error
    _require(isinstance(body, dict), "the body is not a JSON object")
    for name in body:
        _require(name in _PARAMETERS, f"Unrecognized request argument supplied: {name}")
    _require(bool(body.get("model")) and isinstance(body["model"], str), "you must provide a model parameter")
    _check_messages(body.get("messages"))
    _check_format(body.get("response_format"))
    return body


def example_of(schema: Mapping[str, Any]) -> Any:
    """Return a value that fits a strict schema: the first of each enum, true, 0.8, 1, a word about this text."""
    if "enum" in schema:
        return schema["enum"][0]
    if "anyOf" in schema:
        return example_of(schema["anyOf"][0])
    match schema["type"]:
        case "object":
            return {name: example_of(field) for name, field in schema["properties"].items()}
        case "array":
            return [example_of(schema["items"])]
        case kind:
            return {"string": "A scripted reply.", "number": 0.8, "integer": 1, "boolean": True, "null": None}[kind]


def _check_messages(messages: object) -> None:
    if not isinstance(messages, list) or not messages:
        raise MalformedRequestError("'messages' must be a non-empty array")
    for position, message in enumerate(messages):
        where = f"messages[{position}]"
        _require(isinstance(message, dict) and message.get("role") in _ROLES, f"{where}: invalid role")
        _require(isinstance(message.get("content"), str), f"{where}: content must be a string")
    _require(messages[-1]["role"] == "user", "the last message must be the user's")


def _check_format(wanted: object) -> None:
    if not isinstance(wanted, dict) or wanted.get("type") != "json_schema":
        raise MalformedRequestError("'response_format' must be of type json_schema")
    described = wanted.get("json_schema")
    if not isinstance(described, dict) or not described.get("name"):
        raise MalformedRequestError("missing response_format.json_schema.name")
    _require(described.get("strict") is True, "response_format.json_schema.strict must be true")
    _check_schema(described.get("schema"), described["name"])


def _check_schema(schema: Any, where: str) -> None:
    _require(isinstance(schema, dict), f"Invalid schema for response_format '{where}': not an object")
    refused = sorted(set(schema) - _SCHEMA_WORDS)
    _require(not refused, f"Invalid schema for response_format '{where}': {refused[:1]} is not permitted")
    for choice in schema.get("anyOf", []):
        _check_schema(choice, where)
    if "items" in schema:
        _check_schema(schema["items"], where)
    if schema.get("type") == "object":
        names = list(schema.get("properties", {}))
        _require(schema.get("additionalProperties") is False, f"'{where}': 'additionalProperties' must be false")
        _require(sorted(schema.get("required", [])) == sorted(names), f"'{where}': 'required' must list every key")
        for name in names:
            _check_schema(schema["properties"][name], f"{where}.{name}")


def _require(holds: bool, message: str, *, status: int = 400) -> None:  # noqa: FBT001 - reads as an assertion
    if not holds:
        raise MalformedRequestError(message, status=status)
