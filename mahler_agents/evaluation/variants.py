"""Evaluation: the user's prompts and models in, variants out: each prompt with each model, named A, B, ... in order."""

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import product
from string import ascii_uppercase
from typing import Any

from mahler_agents.errors import InputError
from mahler_agents.llm.models import OPENAI_URL, Endpoint
from mahler_agents.llm.prompts import Prompt, parse_prompt
from mahler_agents.llm.roles import VARIABLE, choose_models
from mahler_agents.record.writer import as_json
from mahler_agents.replay.models import model_file

EMBEDDED = "embedded"
"""Stands for the address of a model file of this machine: its server's port is another each time."""


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One prompt version with one model."""

    name: str
    prompt: Prompt
    endpoint: Endpoint
    toy: bool

    @property
    def where(self) -> str:
        """Where it is asked, as the record names it."""
        return EMBEDDED if self.endpoint.slots is not None else self.endpoint.base_url

    @property
    def row(self) -> dict[str, object]:
        """The variant as the record has it, without its evaluation."""
        return {
            "variant": self.name,
            "prompt_hash": self.prompt.content_hash,
            "model": self.endpoint.model,
            "base_url": self.where,
            "toy_model": self.toy,
        }


def one_role(prompts: Sequence[Prompt]) -> str:
    """Return the role of all prompts. Raises `InputError` if they are of several, or one is named twice."""
    roles = list(dict.fromkeys(prompt.name for prompt in prompts))
    if len(roles) > 1:
        raise InputError(f"the prompts are of several roles ({', '.join(roles)}): compare versions of one role")
    seen: dict[str, str] = {}
    for prompt in prompts:
        if (other := seen.get(prompt.content_hash)) is not None:
            raise InputError(f"{other} and {prompt.path} are the same version, {prompt.content_hash[:8]}: name it once")
        seen[prompt.content_hash] = prompt.path
    return roles[0]


def open_variants(
    prompts: Sequence[Prompt], models: Sequence[str | Endpoint], stack: AsyncExitStack, environ: Mapping[str, str]
) -> tuple[Variant, ...]:
    """Return each prompt with each model; a model is opened once.

    Raises `InputError` if that is one variant only, or a model asks nobody, and `ConfigError` if one cannot be opened.
    """
    role = one_role(prompts)
    chosen = list(dict.fromkeys(models)) or ["auto"]
    if len(prompts) * len(chosen) < 2:
        raise InputError("one variant is nothing to compare: name another prompt, or another --model")
    if len(prompts) * len(chosen) > len(ascii_uppercase):
        raise InputError(f"{len(prompts) * len(chosen)} variants: at most {len(ascii_uppercase)}")
    opened = [_open(one, role, prompts[0], stack, environ) for one in chosen]
    pairs = product(prompts, opened)
    return tuple(
        Variant(name=name, prompt=prompt, endpoint=endpoint, toy=toy)
        for name, (prompt, (endpoint, toy)) in zip(ascii_uppercase, pairs, strict=False)
    )


def spec_hash(variants: Sequence[Variant], cases: Sequence[str], repeats: int) -> str:
    """Return the hash of what an evaluation asks: the same again is the same evaluation."""
    spec = {"variants": [one.row for one in variants], "cases": sorted(cases), "repeats": repeats}
    return hashlib.sha256(as_json(spec).encode()).hexdigest()


def reopen_variants(
    run_id: str, role: str, rows: Sequence[Mapping[str, Any]], stack: AsyncExitStack, environ: Mapping[str, str]
) -> tuple[Variant, ...]:
    """Return the variants of a recorded evaluation, their models opened again.

    Raises `InputError` for a model that could not be asked again: a key is sent to the provider that the environment
    names only, never to an address that stands in a record.
    """
    prompts = {row["variant"]: parse_prompt(row["content"], path=f"{role}@{row['prompt_hash'][:8]}") for row in rows}
    opened: dict[tuple[str, str], tuple[Endpoint, bool]] = {}
    for row in rows:
        key = (row["model"], row["base_url"])
        if key not in opened:
            model = _recorded_model(run_id, role, row, environ)
            opened[key] = _open(model, role, prompts[row["variant"]], stack, environ)
    return tuple(
        Variant(
            name=row["variant"],
            prompt=prompts[row["variant"]],
            endpoint=opened[row["model"], row["base_url"]][0],
            toy=bool(row["toy_model"]),
        )
        for row in rows
    )


def _recorded_model(run_id: str, role: str, row: Mapping[str, Any], environ: Mapping[str, str]) -> str:
    here = environ.get("OPENAI_BASE_URL") or OPENAI_URL
    if row["toy_model"]:
        return "local"
    if row["base_url"] == EMBEDDED:
        return f"local:{model_file(row['model'], role, run_id, environ)}"
    if row["base_url"].rstrip("/") != here.rstrip("/"):
        raise InputError(
            f"evaluation {run_id} asked {row['model']} at {row['base_url']}, and OPENAI_BASE_URL is {here}:"
            " set it to that"
        )
    return f"openai:{row['model']}"


def _open(
    model: str | Endpoint, role: str, prompt: Prompt, stack: AsyncExitStack, environ: Mapping[str, str]
) -> tuple[Endpoint, bool]:
    models = choose_models(model, {}, {name: value for name, value in environ.items() if name != VARIABLE})
    if models.spec.kind == "none":
        raise InputError("--model none asks nobody: name a model to evaluate")
    return models.open(stack, {role: prompt}, environ)[role], models.has_toy
