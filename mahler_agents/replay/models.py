"""Replay: which model each role asks: what the user chose, else the one that it had asked."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from mahler_agents.errors import InputError
from mahler_agents.llm.models import OPENAI_URL, Endpoint
from mahler_agents.llm.roles import RoleModels, choose_models
from mahler_agents.replay.original import Original


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
        if where.rstrip("/") == here.rstrip("/") and not run["toy_model"]:
            found[role] = f"openai:{name}"
        elif run["toy_model"] and _is_local(where):
            found[role] = "local"
        else:
            raise InputError(
                f"run {run['id']} asked {name} at {where} as {role}, and OPENAI_BASE_URL is {here}:"
                " set it to that, or choose a model with --model"
            )
    return found


def _is_local(url: str) -> bool:
    return urlsplit(url).hostname in {"127.0.0.1", "localhost"}
