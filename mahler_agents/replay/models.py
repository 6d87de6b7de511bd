"""Replay: which model each role asks: what the user chose, else the one that it had asked."""

from collections.abc import Mapping
from pathlib import Path

from mahler_agents.errors import InputError
from mahler_agents.llm.install import SMOLLM2, models_dir
from mahler_agents.llm.models import OPENAI_URL, Endpoint
from mahler_agents.llm.roles import VARIABLE, RoleModels, choose_models
from mahler_agents.replay.original import Original

_TOY = Path(SMOLLM2.filename).stem


def models_of_replay(
    original: Original,
    model: str | Endpoint | None,
    model_for: Mapping[str, str | Endpoint],
    environ: Mapping[str, str],
) -> RoleModels:
    """Return the choice of models.

    Raises `InputError` for an unknown one, for none, and if a role's own could not be asked again: a key is sent to
    the provider that the environment names only, never to an address that stands in a record.
    """
    if model is None:
        model, model_for = "local", {**_recorded(original, model_for, environ), **model_for}
    models = choose_models(model, model_for, environ)
    if models.spec.kind == "none":
        raise InputError("--model none asks nobody; to hear the recorded replies again, use --exact")
    models.check(original.roles)
    return models


def _recorded(
    original: Original, chosen: Mapping[str, str | Endpoint], environ: Mapping[str, str]
) -> dict[str, str | Endpoint]:
    """Return what every role without a choice had asked."""
    run, asked = original.run, original.config.get("models", {})
    here = environ.get("OPENAI_BASE_URL") or OPENAI_URL
    found: dict[str, str | Endpoint] = {}
    for role, prompt in original.prompts.items():
        if role in chosen or prompt.front.model_role in chosen:
            continue
        name = asked[role]["model"] if role in asked else run["model"]
        where = asked[role]["base_url"] if role in asked else here
        if run["toy_model"] and name == _TOY:
            found[role] = "local"
        elif _was_embedded(original, role):
            found[role] = f"local:{model_file(name, role, run['id'], environ)}"
        elif where.rstrip("/") == here.rstrip("/"):
            found[role] = f"openai:{name}"
        else:
            raise InputError(
                f"run {run['id']} asked {name} at {where} as {role}, and OPENAI_BASE_URL is {here}:"
                " set it to that, or choose a model with --model"
            )
    return found


def _was_embedded(original: Original, role: str) -> bool:
    """Return whether a role's calls went to a model file that the desk itself had opened."""
    return any(one["role"] == role and '"cache_prompt"' in (one["request"] or "") for one in original.calls)


def model_file(name: str, role: str, run_id: str, environ: Mapping[str, str]) -> Path:
    """Return the model file of this name, if it is where the user keeps such files; the record names no folder."""
    file = f"{name}.gguf"
    chosen = [environ.get("MAHLER_MODEL", ""), *environ.get(VARIABLE, "").split(",")]
    named = [Path(text.rpartition("local:")[2]).expanduser() for text in chosen if "local:" in text]
    places = [*(path for path in named if path.name == file), models_dir(environ) / file, Path(file)]
    for path in places:
        if path.is_file():
            return path
    raise InputError(
        f"run {run_id} asked the model file {file} as {role}; it is neither in this folder nor in"
        f" {models_dir(environ)}: name it with --model local:PATH/{file}, or choose another model"
    )
