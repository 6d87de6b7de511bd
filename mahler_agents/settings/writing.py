"""Settings, `mahler init`: the keys come in, a commented `mahler.toml` and a copy of the prompts go out."""

import json
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from textwrap import wrap
from typing import Any

from mahler_agents.errors import InputError
from mahler_agents.settings.file import FILE
from mahler_agents.settings.keys import Key, keys_of
from mahler_agents.settings.settings import Settings

PROMPTS = "prompts"
_WIDTH = 118
_HEAD = """\
Settings of Mahler Agents: `mahler config show` says what is in force and why.

A line that begins with # and a key holds the default: remove the # to change it. A command-line option goes before a
variable (named beside each key), a variable before this file. Keys of brokers and of models do not belong here:
docs/configuration.md says where they do."""


def template(*, prompts: str | None = None) -> str:
    """Return a `mahler.toml` with every key commented out at its default, but for the folder of prompts."""
    lines = [*_comment(_HEAD), ""]
    section = ""
    for key in keys_of(Settings).values():
        if key.section != section:
            section = key.section
            lines += ["", *_comment(section_doc(section)), f"[{section}]", ""]
        lines += [*_lines(key, prompts if key.name == "prompts" else None), ""]
    return "\n".join(lines)


def section_doc(section: str) -> str:
    """Return what a section is about."""
    return " ".join((Settings.model_fields[section].description or "").split())


def written(folder: Path) -> Iterator[str]:
    """Write what is not there yet into a folder, and yield a line for each file; nothing is overwritten.

    Raises `InputError` if a file cannot be written.
    """
    texts = {FILE: template(prompts=PROMPTS)}
    for prompt in sorted((resources.files("mahler_agents") / "prompts").iterdir(), key=lambda one: one.name):
        if prompt.name.endswith(".md"):
            texts[f"{PROMPTS}/{prompt.name}"] = prompt.read_text("utf-8")
    for name, text in texts.items():
        path = folder / name
        try:
            yield f"written: {path}" if _wrote(path, text) else f"left as it is: {path}"
        except OSError as error:
            raise InputError(f"{path}: it cannot be written: {error.strerror}") from error


def _wrote(path: Path, text: str) -> bool:
    """Write a new file, or return False if there is one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        return False
    return True


def toml_value(value: Any) -> str:
    """Return a plain value as TOML writes it."""
    if isinstance(value, dict):
        inner = ", ".join(f"{key} = {toml_value(one)}" for key, one in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    return json.dumps(value, ensure_ascii=False)  # texts, numbers, booleans and lists are written alike


def _lines(key: Key, value: str | None) -> list[str]:
    doc = f"{key.doc} " if key.doc else ""
    about = _comment(f"{doc}{key.allowed[0].upper()}{key.allowed[1:]}; {key.variable}.")
    name = key.name.removeprefix(f"{key.section}.")
    if value is not None:
        return [*about, f"{name} = {toml_value(value)}"]
    if key.default is None:
        return [*about, f"# {name} is not set."]
    return [*about, f"#{name} = {toml_value(key.default)}"]


def _comment(text: str) -> list[str]:
    return [f"# {line}".rstrip() for part in text.splitlines() for line in wrap(part, _WIDTH) or [""]]
