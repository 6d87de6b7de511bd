"""Evaluation: a prompt in, the instructions in it that would bias its forecast out."""

import re
import tomllib
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

from mahler_agents.llm.prompts import Prompt


@dataclass(frozen=True, kw_only=True)
class BiasedInstruction:
    """Words of a prompt that shift its forecast, and why they do."""

    words: str
    why: str


@dataclass(frozen=True, kw_only=True)
class _Known:
    pattern: re.Pattern[str]
    why: str


def biased_instructions(prompt: Prompt) -> tuple[BiasedInstruction, ...]:
    """Return the instructions of `bias.toml` that the prompt's system and user part hold, in the list's order."""
    text = " ".join(f"{prompt.system}\n{prompt.user}".split())
    return tuple(
        BiasedInstruction(words=found.group(), why=known.why)
        for known in _list()
        if (found := known.pattern.search(text)) is not None
    )


@lru_cache(maxsize=1)
def _list() -> tuple[_Known, ...]:
    text = (resources.files(__package__ or "") / "bias.toml").read_text(encoding="utf-8")
    return tuple(
        _Known(pattern=re.compile(one["pattern"], re.IGNORECASE), why=one["why"])
        for one in tomllib.loads(text)["instruction"]
    )
