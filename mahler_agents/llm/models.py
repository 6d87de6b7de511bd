"""Stage 4, LLM calls: what `--model` says comes in, the endpoint that answers goes out."""

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import httpx2

from mahler_agents.errors import ConfigError, InputError
from mahler_agents.llm.install import embedded_model_path, models_dir
from mahler_agents.llm.local import EmbeddedServer
from mahler_agents.llm.transport import is_loopback

FORMS = "auto, local, local:PATH.gguf, openai:NAME, none"
OPENAI_URL = "https://api.openai.com/v1"
KEY_HINT = "OPENAI_API_KEY is set; --model openai:NAME would use it (calls cost money)"


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """Which model to ask, as the user chose it."""

    kind: Literal["local", "openai", "none", "scripted"]
    name: str | None = None
    """The provider's name of the model."""
    path: Path | None = None
    """A model file of the user's own."""
    hint: str | None = None
    """One line to show beside the choice."""

    def __str__(self) -> str:
        """The choice as `--model` spells it."""
        detail = self.name or self.path
        return f"{self.kind}:{detail}" if detail else self.kind


SCRIPTED = ModelSpec(kind="scripted")
"""A scripted model: only the library chooses it, by passing the transport."""


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """Where requests go and what is special about it."""

    model: str
    base_url: str
    api_key: str
    slots: Mapping[str, int] | None = None
    """Role to slot if this is the embedded server: it takes bounds in the schema, one call at a time."""
    transport: httpx2.AsyncBaseTransport | None = None
    """What sends instead of the network, e.g. a `ScriptedModel`."""

    @property
    def described(self) -> dict[str, str]:
        """The endpoint as the record names it, without its key."""
        return {"model": self.model, "base_url": self.base_url}

    def __repr__(self) -> str:
        """The endpoint without its key."""
        return f"Endpoint(model={self.model!r}, base_url={self.base_url!r})"


def parse_model(text: str, *, configured: str | None, environ: Mapping[str, str]) -> ModelSpec:
    """Return the choice that `text` names; `auto` is the configured model (MAHLER_MODEL), else the embedded one.

    Raises InputError, with the known forms, if there is no such choice.
    """
    if text != "auto":
        return _named(text)
    if configured and configured != "auto":
        return _named(configured)
    return ModelSpec(kind="local", hint=KEY_HINT if environ.get("OPENAI_API_KEY") else None)


@contextmanager
def open_endpoint(spec: ModelSpec, roles: Sequence[str], environ: Mapping[str, str]) -> Generator[Endpoint]:
    """Yield the endpoint of a local or openai model; the embedded server runs as long as the context.

    Raises ConfigError if a key, the embedded model or its server is missing.
    """
    if spec.kind == "local":
        path = spec.path or embedded_model_path(directory=models_dir(environ))
        with EmbeddedServer(path, roles) as server:
            yield Endpoint(model=server.model, base_url=server.base_url, api_key="none", slots=server.slots)
    elif spec.kind == "openai":
        yield openai_endpoint(spec, environ)
    else:
        raise InputError(f"model `{spec}` has no endpoint of its own")


def openai_endpoint(spec: ModelSpec, environ: Mapping[str, str]) -> Endpoint:
    """Return the endpoint of a model at OpenAI or at the provider that OPENAI_BASE_URL names.

    Raises ConfigError without OPENAI_API_KEY, unless the provider is on this machine.
    """
    base_url = environ.get("OPENAI_BASE_URL") or OPENAI_URL
    key = environ.get("OPENAI_API_KEY", "").strip()
    if urlsplit(base_url).scheme not in {"http", "https"}:
        raise ConfigError(f"OPENAI_BASE_URL is `{base_url}`; it must begin with http:// or https://")
    if not key and not is_loopback(base_url):
        raise ConfigError(f"--model {spec} needs OPENAI_API_KEY; set it, or use --model local")
    return Endpoint(model=spec.name or "", base_url=base_url, api_key=key or "none")


def is_form(text: str) -> bool:
    """Return whether a text names a model, whether or not it is there; `auto` does not."""
    kind, _, detail = text.partition(":")
    return text in {"none", "local"} or (kind == "openai" and detail != "") or (kind == "local" and _is_file(detail))


def _is_file(detail: str) -> bool:
    return detail.endswith(".gguf")


def _named(text: str) -> ModelSpec:
    kind, _, detail = text.partition(":")
    if text == "none":
        return ModelSpec(kind="none")
    if text == "local":
        return ModelSpec(kind="local")
    if kind == "openai" and detail:
        return ModelSpec(kind="openai", name=detail)
    if kind == "local" and _is_file(detail):
        path = Path(detail).expanduser()
        if not path.is_file():
            raise InputError(f"--model {text}: no such model file")
        return ModelSpec(kind="local", path=path)
    raise InputError(f"unknown model `{text}`; use one of: {FORMS}")
