"""Stage 4, LLM calls: the JSON schema that is sent with a request, made from the reply's own type."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

_BOUNDS = frozenset(
    {
        "minLength",
        "maxLength",
        "pattern",
        "format",
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "multipleOf",
        "minItems",
        "maxItems",
        "uniqueItems",
    }
)
"""What a provider's strict mode may refuse: these are checked on our side."""

_NOT_SENT = frozenset({"title", "default", "$defs"})


def strict_schema(reply: type[BaseModel]) -> dict[str, Any]:
    """Return the reply's JSON schema in the subset that strict mode takes: all fields required, no bounds, no refs.

    Raises TypeError if the reply has a field that strict mode cannot express, such as a dict with free keys.
    """
    return _object(reply, drop=_NOT_SENT | _BOUNDS)


def constrained_schema(reply: type[BaseModel], *, max_tokens: int) -> dict[str, Any]:
    """Return the reply's JSON schema for a decoder that is held to it, token by token, such as llama.cpp's.

    It keeps the bounds, since a small model writes until something stops it: all texts together stay below
    `max_tokens` less 60, so that the reply ends before the limit. Numbers from 0 to 1 become hundredths, since a
    grammar cannot compare.
    """
    schema = _object(reply, drop=_NOT_SENT)
    properties: dict[str, dict[str, Any]] = schema["properties"]
    texts = [field for field in properties.values() if field.get("type") == "string" and "enum" not in field]
    for text in texts:
        text["maxLength"] = min(text.get("maxLength", max_tokens), max(1, (max_tokens - 60) // len(texts)))
    for field in properties.values():
        if field.get("type") == "number" and (field.get("minimum"), field.get("maximum")) == (0, 1):
            field.clear()
            field["enum"] = [hundredths / 100 for hundredths in range(101)]
    return schema


def response_format(role: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the request's `response_format`; the schema's name is the role's."""
    return {"type": "json_schema", "json_schema": {"name": role, "strict": True, "schema": schema}}


def _object(reply: type[BaseModel], *, drop: frozenset[str]) -> dict[str, Any]:
    schema = reply.model_json_schema()
    schema.pop("description", None)  # the class's docstring speaks to us, not to the model
    return _plain(schema, schema.get("$defs", {}), drop)


def _plain(node: Mapping[str, Any], definitions: Mapping[str, Any], drop: frozenset[str]) -> dict[str, Any]:
    if "$ref" in node:
        target = definitions[str(node["$ref"]).rpartition("/")[2]]
        return _plain({key: value for key, value in target.items() if key != "description"}, definitions, drop)
    plain = {key: value for key, value in node.items() if key not in drop and key not in _NESTED}
    for key in _NESTED.intersection(node):
        plain[key] = _NESTED_READERS[key](node[key], definitions, drop)
    if node.get("type") == "object":
        if "properties" not in node:
            raise TypeError("a reply's field may not be a dict with free keys: strict schemas cannot express it")
        plain |= {"required": list(node["properties"]), "additionalProperties": False}
    return plain


def _fields(value: Mapping[str, Any], definitions: Mapping[str, Any], drop: frozenset[str]) -> dict[str, Any]:
    return {name: _plain(field, definitions, drop) for name, field in value.items()}


def _choices(value: list[Any], definitions: Mapping[str, Any], drop: frozenset[str]) -> list[Any]:
    return [_plain(choice, definitions, drop) for choice in value]


_NESTED_READERS: dict[str, Any] = {"properties": _fields, "items": _plain, "anyOf": _choices}
_NESTED = frozenset(_NESTED_READERS)
