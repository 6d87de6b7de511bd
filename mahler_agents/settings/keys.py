"""Settings, the keys: a model's fields come in, every key with its variable, range, default and meaning goes out."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache, cached_property
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError

from mahler_agents.allowed import allowed, is_secret, plain_of
from mahler_agents.llm.roles import parse_model_for

SHORT_VARIABLES = {
    "desk.debate_rounds": "MAHLER_DEBATE_ROUNDS",
    "calls.requests_per_minute": "MAHLER_REQUESTS_PER_MINUTE",
}
"""Variables that are older than sections."""


@dataclass(frozen=True, kw_only=True)
class Key:
    """One key of `mahler.toml`."""

    name: str
    """Dotted, such as `limits.max_portfolio_heat_pct`."""
    annotation: Any
    """With its constraints."""
    default: Any
    """A plain value, as JSON has it."""
    doc: str
    """What it means, on one line."""
    table: str | None = None
    """The dotted name of the table of all regimes that it stands in: the rest of it keeps its defaults."""

    @property
    def section(self) -> str:
        """The section; empty for a key above the first one."""
        return self.name.partition(".")[0] if "." in self.name else ""

    @property
    def variable(self) -> str:
        """Its environment variable."""
        if self.section == "alpaca":
            return f"MAHLER_{self.name.replace('.', '_').upper()}"
        return SHORT_VARIABLES.get(self.name) or f"MAHLER_{self.name.replace('.', '__').upper()}"

    @property
    def option(self) -> str:
        """Its command-line option, where a verb has one."""
        return "--" + self.name.rpartition(".")[2].replace("_", "-")

    @property
    def allowed(self) -> str:
        """What may be written, in words."""
        return allowed(self.annotation)

    @property
    def secret(self) -> bool:
        """Whether its value is never shown."""
        return is_secret(self.annotation)

    @property
    def is_path(self) -> bool:
        """Whether a file means it relative to its own folder."""
        return plain_of(self.annotation) is Path

    @cached_property
    def _adapter(self) -> TypeAdapter[Any]:
        return TypeAdapter(self.annotation)

    def of_toml(self, value: Any) -> Any:
        """Return a file's value if it is allowed, by type too: `"5"` is no number, `true` neither.

        Raises `ValidationError`.
        """
        return self._adapter.validate_json(json.dumps(value, default=str), strict=True)

    def of_text(self, text: str) -> Any:
        """Return a variable's value if it is allowed. Raises `ValidationError`, or `InputError` for a broken list."""
        plain = get_origin(plain_of(self.annotation))
        if plain is tuple:
            return self._list_of_text(text)
        if isinstance(plain, type) and issubclass(plain, Mapping):
            parts = [part for part in text.split(",") if part.strip()]
            return self._adapter.validate_python(parse_model_for(parts, where=self.variable))
        return self._adapter.validate_python(text)

    def _list_of_text(self, text: str) -> Any:
        """Return a list as the field itself reads a text, and if it reads none, of what stands between commas."""
        try:
            return self._adapter.validate_python(text)
        except ValidationError as error:
            if error.errors(include_input=False)[0]["type"] != "tuple_type":
                raise
        return self._adapter.validate_python([part.strip() for part in text.split(",") if part.strip()])

    def of_option(self, value: Any) -> Any:
        """Return an option's value if it is allowed. Raises `ValidationError`."""
        return self._adapter.validate_python(value)


@cache
def keys_of(model: type[BaseModel]) -> Mapping[str, Key]:
    """Return every key of a model by its dotted name, in the order of the fields."""
    return {key.name: key for key in _keys(model, "", model.model_construct(), None)}


def _keys(model: type[BaseModel], prefix: str, house: BaseModel, table: str | None) -> Iterator[Key]:
    for name, field in model.model_fields.items():
        doc = " ".join((field.description or "").split())
        annotation = field.rebuild_annotation()
        yield from _of(f"{prefix}{name}", annotation, getattr(house, name), doc, table)


def _of(name: str, annotation: Any, default: Any, doc: str, table: str | None) -> Iterator[Key]:
    """Yield the keys of one field: itself, those of the model in it, or those of each member of a closed table."""
    plain = plain_of(annotation)
    arguments = get_args(plain)
    if isinstance(plain, type) and issubclass(plain, BaseModel):
        yield from _keys(plain, f"{name}.", default, table)
    elif _is_table(plain) and isinstance(arguments[0], type) and issubclass(arguments[0], Enum):
        for member in arguments[0]:
            yield from _of(f"{name}.{member.value}", arguments[1], default[member], doc, table or name)
    else:
        yield Key(
            name=name,
            annotation=annotation,
            default=TypeAdapter(annotation).dump_python(default, mode="json"),
            doc=doc,
            table=table,
        )


def _is_table(annotation: Any) -> bool:
    origin = get_origin(annotation)
    return isinstance(origin, type) and issubclass(origin, Mapping)
