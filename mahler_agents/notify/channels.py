"""Notify: a channel's URL in, an open channel out, and messages through it; the one place that knows apprise.

Importing apprise takes half a second, so it is imported when something is to be sent. What it logs may hold a URL with
its token: it is taken here, and what it says of a failure is returned, without keys.
"""

import ipaddress
import logging
import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from mahler_agents.errors import ConfigError
from mahler_agents.notify.render import Message
from mahler_agents.notify.settings import DISCORD, URLS, NotifySettings, channel_name, secret_parts
from mahler_agents.redaction import Redactor

_BETWEEN_MESSAGES = 1.2
"""Seconds at most between two messages of one channel; apprise's own pace for most is 5.5, too slow for a scan's."""
_BETWEEN_DISCORD_S = 0.5
"""Discord takes 5 requests in 2 seconds; apprise paces it not at all, and does not heed its Retry-After."""


@dataclass(frozen=True, kw_only=True)
class Channel:
    """One way to the user."""

    name: str
    """Scheme and place in the settings, e.g. `discord-1`: it says nothing secret."""
    markdown: bool
    """Whether it takes Discord's markdown; else plain text, which apprise brings into the channel's own form."""
    pause: float
    """Seconds from one message to the next."""
    _apprise: Any
    _redact: Callable[[str], str]

    def send(self, messages: tuple[Message, ...]) -> str | None:
        """Send messages in their order, and return what the channel said against one; None if it took all of them.

        Blocks until the channel has answered, or has not in time. Never raises.
        """
        for message in messages:
            if (error := self._send(message)) is not None:
                return error
        return None

    def _send(self, message: Message) -> str | None:
        from apprise import NotifyFormat, NotifyType

        with _taken() as said:
            try:
                sent = self._apprise.notify(
                    title=message.title,
                    body=message.text,
                    notify_type=NotifyType(message.severity.value),
                    body_format=NotifyFormat.MARKDOWN if self.markdown else NotifyFormat.TEXT,
                )
            except Exception as error:  # noqa: BLE001 - the edge of a foreign library: recorded as the channel's failure
                return self._redact(f"{type(error).__name__}: {error}")
        if sent:
            return None
        return self._redact("; ".join(dict.fromkeys(said)) or "not sent, and it does not say why")


def open_channels(settings: NotifySettings, environ: Mapping[str, str]) -> tuple[Channel, ...]:
    """Return a channel for each URL. Raises `ConfigError` that names the place and scheme of a bad one, no more.

    `MAHLER_DISCORD_URL` is where Discord is: a server on this machine to try things on, and nothing else.
    """
    settings.learn_secrets()
    discord = _discord(environ)
    urls = [url.get_secret_value() for url in settings.urls]
    redact = Redactor.of(environ, keys=[part for url in urls for part in secret_parts(url)])
    return tuple(
        _open(url, place, discord=discord, timeout=settings.timeout_seconds, redact=redact)
        for place, url in enumerate(urls, start=1)
    )


def _open(url: str, place: int, *, discord: str | None, timeout: float, redact: Redactor) -> Channel:
    import apprise

    _take_logs()
    scheme = urlsplit(url).scheme or "no scheme"
    asset = apprise.AppriseAsset(
        app_id="Mahler Agents",
        app_desc="Mahler Agents",
        image_url_mask=None,  # no picture from a third party's server beside each message
        image_url_logo=None,
        async_mode=False,
        storage_mode=apprise.PersistentStoreMode.MEMORY,  # nothing is written to this machine's disk
        http_redirects=False,  # a POST that is redirected would be sent as a GET, and counted as sent
    )
    with _taken():
        plugin: Any = apprise.Apprise.instantiate(url, asset=asset, suppress_exceptions=True)
    if plugin is None:
        raise ConfigError(
            f"{URLS} or [notify] urls, number {place} ({scheme}://...): apprise does not understand it; see"
            " https://appriseit.com/services/ for how each service's is written"
        )
    plugin.socket_connect_timeout = plugin.socket_read_timeout = timeout
    plugin.request_rate_per_sec = min(plugin.request_rate_per_sec, _BETWEEN_MESSAGES)
    plugin.overflow_mode = apprise.OverflowMode.SPLIT
    is_discord = plugin.service_name == "Discord"
    if is_discord:
        plugin.notify_format = apprise.NotifyFormat.MARKDOWN
        plugin.fields = False  # as fields each value would stand in a block of code
        if discord is None:
            plugin.request_rate_per_sec = _BETWEEN_DISCORD_S
        else:  # one on this machine has no such limit
            plugin.notify_url = f"{discord}/api/webhooks"
    sender = apprise.Apprise(asset=asset)
    sender.add(plugin)
    pause = float(plugin.request_rate_per_sec)
    return Channel(name=channel_name(url, place), markdown=is_discord, pause=pause, _apprise=sender, _redact=redact)


def _discord(environ: Mapping[str, str]) -> str | None:
    url = environ.get(DISCORD, "").rstrip("/")
    if not url:
        return None
    host = urlsplit(url).hostname or ""
    try:
        local = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = False
    if not local or urlsplit(url).scheme != "http":
        raise ConfigError(f"{DISCORD}={url!r}: only a server on this machine, such as http://127.0.0.1:8767")
    return url


class _Heard(threading.local):
    """What apprise has said in this thread, while somebody listens."""

    lines: list[str] | None = None


_heard = _Heard()
_APPRISE, _CONNECTIONS = logging.getLogger("apprise"), logging.getLogger("urllib3.connectionpool")


def _take(record: logging.LogRecord) -> bool:
    """Take a line of apprise's, and let no handler have it: at any level it may hold a URL with its token."""
    if _heard.lines is not None and record.levelno >= logging.WARNING:
        _heard.lines.append(record.getMessage())
    return False


def _without_keys(record: logging.LogRecord) -> bool:
    """Take the keys out of a line that names the path of a request, as urllib3 does when it debugs."""
    record.msg, record.args = Redactor.of()(record.getMessage()), None
    return True


def _take_logs() -> None:
    _APPRISE.addFilter(_take)  # adding the same one twice adds it once
    _CONNECTIONS.addFilter(_without_keys)


@contextmanager
def _taken() -> Generator[list[str]]:
    lines: list[str] = []
    _heard.lines = lines
    try:
        yield lines
    finally:
        _heard.lines = None
