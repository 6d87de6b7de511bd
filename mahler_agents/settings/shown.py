"""Settings, `mahler config show`: settings come in, every value and where it is from goes out; a secret is masked."""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from mahler_agents.alpaca.credentials import KEY_ID, SECRET_KEY, where_credentials_are
from mahler_agents.errors import ConfigError
from mahler_agents.settings.keys import keys_of
from mahler_agents.settings.settings import Settings
from mahler_agents.settings.sources import OTHER_VARIABLES
from mahler_agents.types import Frozen

MASK = "set, not shown"
_NOT_SET = "not set"


class Shown(Frozen):
    """One setting as it is shown."""

    key: str
    value: Any
    """Plain; of a secret only whether it is set."""
    source: str
    """`default`, the file's line, the variable or the option."""
    secret: bool = False


def shown(settings: Settings) -> Iterator[Shown]:
    """Yield every key of the file, in its order."""
    values = settings.model_dump(mode="json")
    for name, key in keys_of(Settings).items():
        value = _inner(values, name)
        if key.secret:
            value = MASK if value else _NOT_SET
        yield Shown(key=name, value=value, source=settings.origin(name).text, secret=key.secret)


def shown_variables(environ: Mapping[str, str]) -> Iterator[Shown]:
    """Yield what is no key of the file: the keys of model and broker, never their values, and other variables."""
    found = "variable" if environ.get("OPENAI_API_KEY", "").strip() else None
    yield Shown(key="OPENAI_API_KEY", value=MASK if found else _NOT_SET, source=found or "", secret=True)
    url = environ.get("OPENAI_BASE_URL")
    yield Shown(key="OPENAI_BASE_URL", value=_host(url) if url else None, source="variable" if url else "default")
    try:
        place, value = where_credentials_are(environ), MASK
    except ConfigError as error:
        place, value = str(error), "unusable"
    for name in (KEY_ID, SECRET_KEY):
        yield Shown(key=name, value=value if place else _NOT_SET, source=place or "", secret=True)
    for name in OTHER_VARIABLES:
        if environ.get(name):
            yield Shown(key=name, value=environ[name], source="variable")


def _host(url: str) -> str:
    """Return an address without a name and a password that may stand in it, or a key after it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _inner(values: Any, name: str) -> Any:
    for part in name.split("."):
        values = values[part]
    return values
