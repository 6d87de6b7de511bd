"""`--model`: what each form means, what it needs, and what is said if that is missing."""

from pathlib import Path

import pytest

from mahler_agents.errors import ConfigError, InputError
from mahler_agents.llm.models import ModelSpec, open_endpoint, openai_endpoint, parse_model

KEY = {"OPENAI_API_KEY": "sk-canary-4711"}


def parse(text: str, configured: str | None = None, environ: dict[str, str] | None = None) -> ModelSpec:
    """Return what `text` means."""
    return parse_model(text, configured=configured, environ=environ or {})


def test_auto_is_the_configured_model_and_else_the_embedded_one() -> None:
    assert parse("auto") == ModelSpec(kind="local")
    assert parse("auto", "auto") == ModelSpec(kind="local")
    assert parse("auto", "openai:gpt-x") == ModelSpec(kind="openai", name="gpt-x")
    assert parse("none", "openai:gpt-x") == ModelSpec(kind="none")


def test_a_key_alone_is_a_hint_and_not_a_choice() -> None:
    chosen = parse("auto", environ=KEY)
    assert chosen.kind == "local"
    assert chosen.hint == "OPENAI_API_KEY is set; --model openai:NAME would use it (calls cost money)"
    assert parse("local", environ=KEY).hint is None
    assert parse("auto", "openai:gpt-x", KEY).hint is None


def test_a_model_file_of_ones_own_must_exist(tmp_path: Path) -> None:
    path = tmp_path / "other.gguf"
    with pytest.raises(InputError, match="no such model file"):
        parse(f"local:{path}")
    path.touch()
    assert parse(f"local:{path}") == ModelSpec(kind="local", path=path)


@pytest.mark.parametrize("text", ["", "gpt-4", "openai", "openai:", "local:", "local:weights.bin", "scripted", "None"])
def test_an_unknown_model_lists_the_known_forms(text: str) -> None:
    with pytest.raises(InputError) as caught:
        parse(text)
    assert str(caught.value) == f"unknown model `{text}`; use one of: auto, local, local:PATH.gguf, openai:NAME, none"


def test_an_unknown_configured_model_is_refused_too() -> None:
    with pytest.raises(InputError, match="unknown model `gpt-4`"):
        parse("auto", "gpt-4")


@pytest.mark.parametrize("text", ["local", "none", "openai:org/model:free"])
def test_a_choice_is_spelt_as_it_was_given(text: str) -> None:
    assert str(parse(text)) == text


def test_openai_needs_a_key_and_a_provider_on_this_machine_does_not() -> None:
    spec = parse("openai:m")
    with pytest.raises(ConfigError, match="--model openai:m needs OPENAI_API_KEY"):
        openai_endpoint(spec, {})
    with pytest.raises(ConfigError, match="needs OPENAI_API_KEY"):
        openai_endpoint(spec, {"OPENAI_API_KEY": " ", "OPENAI_BASE_URL": "https://openrouter.ai/api/v1"})
    for url in ("http://127.0.0.1:11434/v1", "http://localhost:8000/v1", "http://[::1]:8000/v1"):
        assert openai_endpoint(spec, {"OPENAI_BASE_URL": url}).base_url == url
    assert openai_endpoint(spec, KEY).base_url == "https://api.openai.com/v1"


def test_a_base_url_without_a_scheme_is_refused() -> None:
    with pytest.raises(ConfigError, match="OPENAI_BASE_URL is `localhost:8000`"):
        openai_endpoint(parse("openai:m"), {"OPENAI_BASE_URL": "localhost:8000"})


def test_an_endpoint_shows_no_key() -> None:
    assert KEY["OPENAI_API_KEY"] not in repr(openai_endpoint(parse("openai:m"), KEY))


def test_the_embedded_model_is_looked_for_in_the_models_folder_and_never_downloaded(tmp_path: Path) -> None:
    with (
        pytest.raises(ConfigError, match="run `mahler model install`"),
        open_endpoint(parse("local"), ["greeks"], {"MAHLER_MODELS": str(tmp_path)}),
    ):
        pass


@pytest.mark.parametrize("kind", ["none", "scripted"])
def test_a_model_without_a_network_has_no_endpoint(kind: str) -> None:
    with pytest.raises(InputError, match="no endpoint"), open_endpoint(ModelSpec(kind=kind), [], {}):  # type: ignore[arg-type]
        pass
