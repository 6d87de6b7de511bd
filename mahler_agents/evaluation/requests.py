"""Evaluation: a variant and a brief in, the hash of the request that asks it out; the same is not asked twice."""

import hashlib
import json
from collections.abc import Iterable

from pydantic import BaseModel

from mahler_agents.analysts.base import Brief
from mahler_agents.errors import ConfigError
from mahler_agents.evaluation.cases import SHOWN, Case
from mahler_agents.evaluation.remembering import Briefs
from mahler_agents.evaluation.variants import Variant
from mahler_agents.llm.connection import body_of
from mahler_agents.llm.prompts import Message, Prompt

MEND = "mend the prompt, or leave the case out with --cases"


def request_hashes(
    variants: Iterable[Variant], cases: Iterable[Case], reply: type[BaseModel], briefs: Briefs | None = None
) -> dict[tuple[str, str], str]:
    """Return, by variant and case, the SHA-256 of where the first request goes and of its body, in canonical JSON.

    Raises `ConfigError` if a prompt does not render with a brief: nothing has been asked then.
    """
    known = list(cases)
    found: dict[tuple[str, str], str] = {}
    for variant in variants:
        opening = _json([variant.where, body_of(variant.endpoint, variant.prompt.name, variant.prompt, reply)])
        for case in known:
            messages = _json(messages_of(variant.prompt, case, (briefs or {}).get((variant.name, case.id))))
            found[variant.name, case.id] = hashlib.sha256(opening + messages).hexdigest()
    return found


def messages_of(prompt: Prompt, case: Case, brief: Brief | None = None) -> list[Message]:
    """Return the messages of a prompt filled with a case, or with the brief that its memory makes of the case's.

    Raises `ConfigError` if it does not render with it.
    """
    try:
        return prompt.messages((brief or case.brief).facts())
    except ConfigError as error:
        raise ConfigError(f"{error} (case {case.id[:SHOWN]}); {MEND}") from error


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
