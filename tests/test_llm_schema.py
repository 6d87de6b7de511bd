"""The schema that is sent: the strict subset for providers, the bounded one for constrained decoding."""

import json
from typing import Annotated, Any

import pytest
from asking import GOOD, MacroReply
from pydantic import BaseModel, Field

from mahler_agents.analysts.base import AnalystReply
from mahler_agents.analysts.fund_manager import VerdictReply
from mahler_agents.llm.schema import constrained_schema, strict_schema


class Nested(BaseModel):
    """A part of a reply."""

    note: str | None = None
    tags: Annotated[list[str], Field(max_length=3)] = []


class Wide(AnalystReply):
    """A reply with all that strict mode can express."""

    part: Nested
    comment: str


def words(schema: Any) -> set[str]:
    """Return every key in a schema that is not a field's name."""
    if not isinstance(schema, dict):
        return set().union(*map(words, schema)) if isinstance(schema, list) else set()
    inner = [words(field) for field in schema.get("properties", {}).values()]
    return set(schema).union(*inner, *(words(value) for key, value in schema.items() if key != "properties"))


@pytest.mark.parametrize("reply", [MacroReply, VerdictReply, Wide])
def test_the_strict_schema_holds_only_what_every_provider_takes(reply: type[BaseModel]) -> None:
    schema = strict_schema(reply)
    assert words(schema) <= {"type", "properties", "required", "additionalProperties", "enum", "items", "anyOf"}
    assert schema["required"] == list(schema["properties"]) == list(reply.model_fields)
    assert schema["additionalProperties"] is False


def test_parts_of_a_reply_are_written_in_place_and_all_required() -> None:
    assert strict_schema(Wide)["properties"]["part"] == {
        "type": "object",
        "properties": {
            "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
            "tags": {"type": "array", "items": {"type": "string"}},
        },
        "required": ["note", "tags"],
        "additionalProperties": False,
    }


def test_a_dict_with_free_keys_cannot_be_expressed_and_is_refused() -> None:
    class Free(BaseModel):
        scores: dict[str, float]

    with pytest.raises(TypeError, match="free keys"):
        strict_schema(Free)


def test_descriptions_of_fields_are_sent() -> None:
    class Described(BaseModel):
        level: Annotated[int, Field(description="From 1 to 5.", ge=1)]

    assert strict_schema(Described)["properties"]["level"] == {"type": "integer", "description": "From 1 to 5."}


@pytest.mark.parametrize("max_tokens", [64, 120, 300, 4_096])
def test_all_texts_together_stay_below_the_tokens_less_sixty(max_tokens: int) -> None:
    properties = constrained_schema(Wide, max_tokens=max_tokens)["properties"]
    lengths = [properties[name]["maxLength"] for name in ("summary", "comment")]
    assert sum(lengths) <= max_tokens - 60
    assert max(lengths) <= 600 or properties["summary"]["maxLength"] <= 600


def test_constrained_decoding_keeps_enums_and_writes_hundredths() -> None:
    properties = constrained_schema(MacroReply, max_tokens=300)["properties"]
    assert properties["stance"]["enum"] == ["favourable", "neutral", "unfavourable"]
    assert properties["summary"] == {"type": "string", "minLength": 1, "maxLength": 200}
    for value in properties["confidence"]["enum"]:
        MacroReply.model_validate_json(json.dumps({**GOOD, "confidence": value}))
    assert len(properties["confidence"]["enum"]) == 101


def test_a_counts_bounds_are_kept_for_constrained_decoding() -> None:
    contracts = constrained_schema(VerdictReply, max_tokens=300)["properties"]["contracts"]
    assert contracts == {"type": "integer", "minimum": 0, "maximum": 100}
