"""Settings, the sources: options, variables and a file come in; of each, what it tells and where, checked, goes out."""

import json
import re
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Literal

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from mahler_agents.allowed import what_to_use
from mahler_agents.errors import ConfigError, InputError
from mahler_agents.settings.file import ConfigFile, beside
from mahler_agents.settings.keys import Key

Keys = Mapping[str, Key]

OTHER_VARIABLES = (
    "MAHLER_CONFIG",
    "MAHLER_CLOCK_URL",
    "MAHLER_DISCORD_URL",
    "MAHLER_STUDIO",
    "MAHLER_SOAK",
    "MAHLER_TEST_ALPACA",
)
"""Variables of ours that are no key of the file."""
ENVIRONMENT = "ENVIRONMENT"
"""Names the environment where MAHLER_ENVIRONMENT does not, as other systems have it."""

WHERE_KEYS_BELONG = (
    "keys do not belong in this file: set OPENAI_API_KEY, and for Alpaca APCA_API_KEY_ID and APCA_API_SECRET_KEY, as"
    " environment variables (for Alpaca a .env file or the keyring will do)"
)
_LOOKS_SECRET = re.compile(r"apca|openai|api_?key|secret|token|passw", re.IGNORECASE)
_LIKENESS = 0.75


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a value is from."""

    kind: Literal["default", "file", "variable", "option"]
    text: str
    """`default`, `mahler.toml:12`, `MAHLER_DB` or `--db`."""


@dataclass(frozen=True, kw_only=True)
class Told:
    """A value that a source tells."""

    value: Any
    origin: Origin


class Tellings(PydanticBaseSettingsSource):
    """One source, as pydantic-settings merges them."""

    def __init__(self, settings: type[BaseSettings], told: Mapping[str, Any]) -> None:
        """Take dotted keys with their values."""
        super().__init__(settings)
        self._told = told

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Return nothing: all is told at once."""
        del field
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        """Return the values, nested by section."""
        nested: dict[str, Any] = {}
        for name, value in self._told.items():
            *sections, last = name.split(".")
            inner = nested
            for section in sections:
                inner = inner.setdefault(section, {})
            inner[last] = value
        return nested


def of_options(options: Mapping[str, Any], keys: Keys) -> dict[str, Told]:
    """Return what the command line tells; None is an option that was not given."""
    return {
        name: _told(keys[name], value, "option", keys[name].option)
        for name, value in options.items()
        if value is not None
    }


def of_variables(environ: Mapping[str, str], keys: Keys, *, overruled: Container[str] = ()) -> dict[str, Told]:
    """Return what the variables tell; an empty one tells nothing, and an overruled one is not looked at.

    Raises `ConfigError`, for a likely slip in a name too.
    """
    by_variable = {key.variable: key for key in keys.values()}
    told: dict[str, Told] = {}
    for name in sorted(environ):
        if name in by_variable:
            key = by_variable[name]
            if environ[name] and key.name not in overruled:
                told[key.name] = _told(key, environ[name], "variable", name)
        elif name.startswith("MAHLER_") and name not in OTHER_VARIABLES:
            _refuse_slip(name, keys)
    if "environment" in keys and "environment" not in told and environ.get(ENVIRONMENT):
        told["environment"] = _told(keys["environment"], environ[ENVIRONMENT], "variable", ENVIRONMENT)
    return told


def of_file(file: ConfigFile, keys: Keys) -> dict[str, Told]:
    """Return what a file tells. Raises `ConfigError` with the line of an unknown key or a value out of range."""
    told = {name: _told(keys[name], value, "file", file.place(name)) for name, value in _flat(file, keys)}
    return {
        name: Told(value=beside(file.path, one.value), origin=one.origin) if keys[name].is_path else one
        for name, one in told.items()
    }


def _flat(file: ConfigFile, keys: Keys) -> Iterator[tuple[str, Any]]:
    """Yield each dotted key of a file with its value."""
    sections = {".".join(parts[:count]) for parts in map(_parts, keys) for count in range(1, len(parts))}
    pending = list(file.values.items())
    while pending:
        name, value = pending.pop(0)
        if name in keys:
            yield name, value
        elif name in sections and isinstance(value, dict):
            pending = [(f"{name}.{inner}", one) for inner, one in value.items()] + pending
        else:
            raise ConfigError(f"{file.place(name)}: {_unknown(name, keys, section=name in sections)}")


def _parts(name: str) -> list[str]:
    return name.split(".")


def _unknown(name: str, keys: Keys, *, section: bool) -> str:
    """Return what is wrong with a name in a file that is no key."""
    if section:
        return f"{name} is a section: write [{name}], and its keys below"
    if _LOOKS_SECRET.search(name):
        return f"{name}: {WHERE_KEYS_BELONG}"
    inside, _, last = name.rpartition(".")
    if last in keys:
        return f"unknown key {name}: {last} stands above the first [section]"
    elsewhere = [key for key in keys if key.rpartition(".")[2] == last]
    if len(elsewhere) == 1:
        return f"unknown key {name}: did you mean {elsewhere[0]}?"
    known = _within(inside, keys)
    if near := get_close_matches(last, known, n=1, cutoff=_LIKENESS):
        return f"unknown key {name}: did you mean {known[near[0]]}?"
    return f"unknown key {name}: use one of {', '.join(known.values())}"


def _within(section: str, keys: Keys) -> dict[str, str]:
    """Return what may stand in a section, or with an empty name above the first one: each name as it is written."""
    depth = len(_parts(section)) if section else 0
    inside = [_parts(key) for key in keys if not section or key.startswith(f"{section}.")]
    return {
        parts[depth]: ".".join(parts) if len(parts) == depth + 1 else f"[{'.'.join(parts[: depth + 1])}]"
        for parts in inside
    }


def _refuse_slip(name: str, keys: Keys) -> None:
    """Raise `ConfigError` for a variable that is ours by its section, or nearly one of ours by its name.

    Any other is left alone: another program's, or of another version.
    """
    dotted = name.removeprefix("MAHLER_").lower().replace("__", ".")
    if dotted in keys:
        raise ConfigError(f"{name}: the variable of {dotted} is {keys[dotted].variable}")
    known = {key.variable.removeprefix("MAHLER_"): key.variable for key in keys.values()}
    known |= {other.removeprefix("MAHLER_"): other for other in OTHER_VARIABLES}
    if near := get_close_matches(name.removeprefix("MAHLER_"), known, n=1, cutoff=_LIKENESS):
        raise ConfigError(f"{name}: unknown variable: did you mean {known[near[0]]}?")
    sections = {key.section for key in keys.values() if key.section}
    if "." in dotted and (meant := get_close_matches(dotted.partition(".")[0], sections, n=1, cutoff=_LIKENESS)):
        of_section = [key.variable for key in keys.values() if key.section == meant[0]]
        raise ConfigError(f"{name}: unknown variable: use one of {', '.join(of_section)}")


def _told(key: Key, value: Any, kind: Literal["file", "variable", "option"], place: str) -> Told:
    check = {"file": key.of_toml, "variable": key.of_text, "option": key.of_option}[kind]
    origin = Origin(kind=kind, text=place)
    try:
        if key.is_path and not str(value):
            raise ConfigError(f"{_found(key, value, origin)}: use a path, or leave it out")
        return Told(value=check(value), origin=origin)
    except ValidationError as error:
        instead = what_to_use(error, key.annotation)
    raise (InputError if kind == "option" else ConfigError)(f"{_found(key, value, origin)}: {instead}")


def _found(key: Key, value: Any, origin: Origin) -> str:
    """Return a value as it was written and where; a secret one is not shown."""
    if origin.kind == "file":
        return f"{origin.text}: {key.name}{'' if key.secret else f' = {json.dumps(value, default=str)}'}"
    if key.secret:
        return origin.text
    return f"{origin.text}={value!r}" if origin.kind == "variable" else f"{origin.text} {value}"
