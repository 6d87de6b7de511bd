"""Evaluation: words such as `greeks@4f2a` or `my-prompts/greeks.md` in, the prompt that they name out."""

from collections.abc import Callable
from pathlib import Path

from mahler_agents.errors import InputError
from mahler_agents.evaluation.cases import panel_roles
from mahler_agents.llm.prompts import Prompt, check_prompt, load_prompt, parse_prompt, read_prompt

FORMS = "ROLE@HASH (a version on record), FILE.md, or ROLE alone (the package's own)"

Versions = Callable[[str, str], tuple[str, str]]
"""Role and the beginning of a hash to the hash and text of a version on record; raises `UnknownIdError`."""


def prompt_of(text: str, versions: Versions) -> Prompt:
    """Return the prompt that a text names, checked against what its role reads and must write.

    Raises `InputError` for a text of no known form, `UnknownIdError` for a version that the record does not hold, and
    `ConfigError` for a file that cannot be used.
    """
    prompt = _read(text, versions)
    roles = panel_roles()
    if prompt.name not in roles:
        raise InputError(f"{prompt.path}: no role `{prompt.name}`; name it one of: {', '.join(roles)}")
    facts, reply = roles[prompt.name]
    check_prompt(prompt, tuple(facts.model_fields), reply)
    return prompt


def _read(text: str, versions: Versions) -> Prompt:
    role, at, version = text.partition("@")
    if at and role in panel_roles():
        if not version:
            raise InputError(f"`{text}`: write the beginning of a hash after the @; `mahler prompt list` shows them")
        found, content = versions(role, version.lower())
        return parse_prompt(content, path=f"{role}@{found[:8]}")
    if text in panel_roles():
        return load_prompt(text)
    if text.endswith(".md") or Path(text).is_file():
        return read_prompt(Path(text))
    raise InputError(f"`{text}` names no prompt: use {FORMS}")
