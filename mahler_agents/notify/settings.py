"""Notify: what the user set in, `NotifySettings` out; nothing here imports what sends."""

import json
import re
from collections.abc import Iterator
from typing import Annotated
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import BeforeValidator, ConfigDict, Field, SecretStr

from mahler_agents.notify.notice import Kind
from mahler_agents.redaction import learn
from mahler_agents.types import Frozen

URLS = "MAHLER_NOTIFY__URLS"
"""The variable of the channels."""
DISCORD = "MAHLER_DISCORD_URL"
"""The variable that names a Discord on this machine, to try things on."""

_BETWEEN_URLS = re.compile(r"[\s,]+(?=[A-Za-z][A-Za-z0-9+.-]*://)")  # an address list inside a URL has commas too
_LONG, _SHORTEST = 20, 8


def _whole_urls(given: object) -> object:
    """Return whole URLs from a list, or from a text: a JSON list, or URLs between commas or spaces.

    Raises `ValueError` without the text, which is a secret.
    """
    if not isinstance(given, str):
        return given if not isinstance(given, list) else tuple(given)
    text = given.strip()
    if not text.startswith("["):
        return tuple(url.strip(", ") for url in _BETWEEN_URLS.split(text) if url.strip(", "))
    try:
        urls = json.loads(text)
    except ValueError:
        urls = None
    if not isinstance(urls, list) or not all(isinstance(url, str) for url in urls):
        raise ValueError("use a JSON list of URLs, or URLs between commas")
    return tuple(urls)


class NotifySettings(Frozen):
    """Where the user is told, of what, and how much."""

    # Whoever validates it must not repeat a URL in an error: it holds a password or a token.
    model_config = ConfigDict(hide_input_in_errors=True)

    urls: Annotated[tuple[SecretStr, ...], BeforeValidator(_whole_urls)] = ()
    """Where to: a webhook's URL as Discord or Slack shows it, `tgram://TOKEN/CHAT`, `mailtos://USER:PASSWORD@HOST`, and
    what else apprise knows. They are secrets: a variable is the better place for them. None: nobody is told."""
    kinds: tuple[Kind, ...] = tuple(Kind)
    """What is told; all by default."""
    max_per_hour: Annotated[int, Field(ge=1, le=1_000)] = 30
    """Notices that an hour may hold; a quarter of them is kept for warnings and failures. What is more is counted."""
    timeout_seconds: Annotated[float, Field(gt=0, le=60)] = 10.0
    """How long a channel may take to answer one request."""
    wait_seconds: Annotated[float, Field(gt=0, le=300)] = 30.0
    """How long a job that has ended waits for all channels together, at most."""

    @property
    def on(self) -> bool:
        """Whether there is a channel."""
        return bool(self.urls)

    def learn_secrets(self) -> None:
        """Let every redactor that is made from now on know what the URLs hold."""
        learn(part for url in self.urls for part in secret_parts(url.get_secret_value()))


def secret_parts(url: str) -> Iterator[str]:
    """Yield the URL and each part of it that is a key, a token or a password, as written and unquoted.

    A part with a digit in it, or a long one, is taken for one; a host's name is not.
    """
    yield url
    split = urlsplit(url)
    host = split.netloc.rpartition("@")[2]
    if split.password:
        yield from {split.password, unquote(split.password)}
    named = [value for _, value in parse_qsl(split.query)]
    for part in [*split.netloc.replace("@", ":").split(":"), *split.path.split("/"), *named]:
        if (part != host or "." not in host) and _is_secret(part):
            yield from {part, unquote(part)}


def _is_secret(part: str) -> bool:
    digits = any(character.isdigit() for character in part)
    return len(part) >= _LONG or (len(part) >= _SHORTEST and digits)


def channel_name(url: str, place: int) -> str:
    """Return what a channel is called: its service and place in the settings, e.g. `discord-1`; nothing secret.

    A URL as a service shows it says https: then the service is what its host is called.
    """
    split = urlsplit(url)
    service = split.scheme.lower()
    if service in {"http", "https"}:
        service = ((split.hostname or "").split(".")[-2:] or [""])[0] or service
    return f"{service or 'channel'}-{place}"
