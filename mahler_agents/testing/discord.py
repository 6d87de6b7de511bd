"""For tests and users: a Discord on loopback that takes webhooks, and refuses what Discord refuses, in its words.

python -m mahler_agents.testing.discord

Limits and codes are those that Discord documents: lengths at
https://discord.com/developers/docs/resources/message#embed-object-embed-limits, fields at
https://discord.com/developers/docs/resources/webhook#execute-webhook, codes at
https://discord.com/developers/docs/topics/opcodes-and-status-codes#json, the answer over a rate limit at
https://discord.com/developers/docs/topics/rate-limits#exceeding-a-rate-limit. Lengths are counted in UTF-16 units, as
its own clients count them: whatever passes here is short enough by any count.
"""

import json
import signal
import socket
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

WEBHOOK_ID = "100200300400500600"
TOKEN = "loopback-Webhook-Token-0123456789-abcdefghijklmnopqrstuvwxyz_ABCDEFG"  # noqa: S105 - of no account
_HOST = "127.0.0.1"

CONTENT, EMBEDS, TITLE, DESCRIPTION = 2_000, 10, 256, 4_096
FIELDS, NAME, VALUE, FOOTER, AUTHOR, TOTAL = 25, 256, 1_024, 2_048, 256, 6_000
USERNAME = 80

KNOWN = frozenset(
    {
        *("content", "username", "avatar_url", "tts", "embeds", "allowed_mentions", "components", "files"),
        *("payload_json", "attachments", "flags", "thread_name", "applied_tags", "poll"),
    }
)
"""Fields of a webhook's message. Discord ignores others; here they are kept in `Received.unknown`."""


class Fault(StrEnum):
    """What the server may do instead of answering as it should."""

    UNKNOWN_WEBHOOK = "unknown_webhook"
    """404, code 10015: the webhook was deleted."""
    SERVER_ERROR = "server_error"
    """500."""
    RATE_LIMITED = "rate_limited"
    """429 with Retry-After and its JSON."""
    SILENT = "silent"
    """The request is read and never answered."""
    RESET = "reset"
    """The connection is closed before an answer."""


@dataclass(frozen=True, kw_only=True)
class Received:
    """A message that was taken."""

    payload: Mapping[str, Any]
    unknown: tuple[str, ...]
    """Fields that Discord does not know, and ignores."""

    @property
    def text(self) -> str:
        """Everything in it that is shown, title first."""
        embeds = self.payload.get("embeds", ())
        return "\n".join([str(self.payload.get("content", "")), *(t for embed in embeds for t in _texts(embed))])


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """Why a payload is refused, as Discord says it."""

    status: int
    body: Mapping[str, Any]


def judge(payload: object) -> Refusal | None:
    """Return why Discord would refuse a webhook's message, None if it would take it."""
    if not isinstance(payload, dict):
        return Refusal(status=400, body={"message": "The request body contains invalid JSON.", "code": 50109})
    message: dict[str, Any] = payload
    errors = dict(_errors(message))
    if errors:
        return Refusal(status=400, body={"message": "Invalid Form Body", "code": 50035, "errors": _tree(errors)})
    if not str(message.get("content") or "").strip() and not message.get("embeds"):
        return Refusal(status=400, body={"message": "Cannot send an empty message", "code": 50006})
    return None


def units(text: str) -> int:
    """Return the length of a text in UTF-16 units."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


_Place = tuple[str, ...]


def _errors(message: Mapping[str, Any]) -> Iterator[tuple[_Place, str]]:
    yield from _long(message, "content", CONTENT, ())
    yield from _long(message, "username", USERNAME, ())
    if not isinstance(message.get("tts", False), bool):
        yield ("tts",), "Must be a boolean."
    embeds = message.get("embeds") or []
    if not isinstance(embeds, list) or not all(isinstance(embed, dict) for embed in embeds):
        yield ("embeds",), "Only iterables of dictionaries may be used here."
        return
    if len(embeds) > EMBEDS:
        yield ("embeds",), f"Must be {EMBEDS} or fewer in length."
    for number, embed in enumerate(embeds):
        yield from _embed_errors(embed, ("embeds", str(number)))
    if sum(units(text) for embed in embeds for text in _texts(embed)) > TOTAL:
        yield ("embeds",), f"Embed size exceeds maximum size of {TOTAL}"


def _embed_errors(embed: Mapping[str, Any], place: _Place) -> Iterator[tuple[_Place, str]]:
    yield from _long(embed, "title", TITLE, place)
    yield from _long(embed, "description", DESCRIPTION, place)
    yield from _long(embed.get("footer") or {}, "text", FOOTER, (*place, "footer"))
    author = embed.get("author") or {}
    yield from _long(author, "name", AUTHOR, (*place, "author"))
    for name, url in (("url", embed.get("url")), ("author", author.get("url"))):
        if url is not None and urlsplit(str(url)).scheme not in {"http", "https"}:
            yield (*place, name), f"Not a well formed URL: {url!r}"
    color = embed.get("color")
    if color is not None and not (isinstance(color, int) and 0 <= color <= 0xFFFFFF):
        yield (*place, "color"), "int value should be between 0 and 16777215."
    fields = embed.get("fields") or []
    if len(fields) > FIELDS:
        yield (*place, "fields"), f"Must be {FIELDS} or fewer in length."
    for number, one in enumerate(fields):
        for name, limit in (("name", NAME), ("value", VALUE)):
            where = (*place, "fields", str(number))
            if not str(one.get(name) or "").strip():
                yield (*where, name), "This field is required"
            yield from _long(one, name, limit, where)
    if not any(str(text).strip() for text in _texts(embed)):
        yield place, "Embed must have at least one text"


def _long(of: Mapping[str, Any], name: str, limit: int, place: _Place) -> Iterator[tuple[_Place, str]]:
    value = of.get(name)
    if value is None:
        return
    if not isinstance(value, str):
        yield (*place, name), "Must be a string."
    elif units(value.strip()) > limit:
        yield (*place, name), f"Must be {limit} or fewer in length."


def _texts(embed: Mapping[str, Any]) -> Iterator[str]:
    yield str(embed.get("title") or "")
    yield str(embed.get("description") or "")
    for one in embed.get("fields") or []:
        yield str(one.get("name") or "")
        yield str(one.get("value") or "")
    yield str((embed.get("footer") or {}).get("text") or "")
    yield str((embed.get("author") or {}).get("name") or "")


def _tree(errors: Mapping[_Place, str]) -> dict[str, Any]:
    """Return errors in Discord's form: nested by place, a list of codes and messages at the end of each."""
    tree: dict[str, Any] = {}
    for place, message in errors.items():
        node = tree
        for name in place:
            node = node.setdefault(name, {})
        code = "BASE_TYPE_MAX_LENGTH" if "fewer" in message else "BASE_TYPE_BAD"
        node.setdefault("_errors", []).append({"code": code, "message": message})
    return tree


@dataclass
class LoopbackDiscord:
    """A server for as long as its context, in threads of its own: any program of this machine can post to it."""

    port: int = 0
    """0 is any free one."""
    faults: Iterable[Fault | None] = ()
    """What the next requests meet, one each; None, and what comes after the last, is a right answer."""
    always: Fault | None = None
    """What every request meets that no other fault is for; may be changed while it serves."""
    received: list[Received] = field(default_factory=list[Received])
    """What was taken, in order."""
    refused: list[Refusal] = field(default_factory=list[Refusal])
    requests: int = 0
    """All that came, whatever was answered."""

    def __post_init__(self) -> None:
        self._next = deque(self.faults)
        self._lock = threading.Lock()
        self._released = threading.Event()

    @property
    def url(self) -> str:
        """What MAHLER_DISCORD_URL must be."""
        return f"http://{_HOST}:{self.port}"

    @property
    def webhook(self) -> str:
        """The URL of its one webhook, as Discord shows it to a user."""
        return f"https://discord.com/api/webhooks/{WEBHOOK_ID}/{TOKEN}"

    @property
    def environ(self) -> dict[str, str]:
        """The variables that point notifications at it."""
        return {"MAHLER_NOTIFY__URLS": self.webhook, "MAHLER_DISCORD_URL": self.url}

    def __enter__(self) -> Self:
        """Listen."""
        discord = self

        class Handler(_Handler):
            server_of = discord

        self._server = ThreadingHTTPServer((_HOST, self.port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Hang up on everyone and stop listening."""
        self._released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def next_fault(self) -> Fault | None:
        """Count a request, and return what it meets."""
        with self._lock:
            self.requests += 1
            return self._next.popleft() if self._next else self.always

    def answer(self, path: str, body: bytes) -> Refusal | None:
        """Take a message, or return why it is refused."""
        if urlsplit(path).path.rstrip("/") != f"/api/webhooks/{WEBHOOK_ID}/{TOKEN}":
            return Refusal(status=404, body={"message": "Unknown Webhook", "code": 10015})
        try:
            payload: Any = json.loads(body)
        except ValueError:
            payload = None
        refusal = judge(payload)
        with self._lock:
            if refusal is None:
                self.received.append(Received(payload=payload, unknown=tuple(sorted(set(payload) - KNOWN))))
            else:
                self.refused.append(refusal)
        return refusal

    def hang(self) -> None:
        """Return when the server ends."""
        self._released.wait()


_ANSWERS: Mapping[Fault, tuple[int, Mapping[str, Any], Mapping[str, str]]] = {
    Fault.UNKNOWN_WEBHOOK: (404, {"message": "Unknown Webhook", "code": 10015}, {}),
    Fault.SERVER_ERROR: (500, {"message": "500: Internal Server Error", "code": 0}, {}),
    Fault.RATE_LIMITED: (
        429,
        {"message": "You are being rate limited.", "retry_after": 0.3, "global": False},
        {"Retry-After": "1", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset-After": "0.3"},
    ),
}


class _Handler(BaseHTTPRequestHandler):
    server_of: LoopbackDiscord
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.server_of.next_fault()
        if fault is Fault.SILENT:
            self.server_of.hang()
        if fault in {Fault.SILENT, Fault.RESET}:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
        elif fault is not None:
            self._say(*_ANSWERS[fault])
        elif (refusal := self.server_of.answer(self.path, body)) is not None:
            self._say(refusal.status, refusal.body, {})
        else:
            self._say(204, None, {})

    def _say(self, status: int, body: Mapping[str, Any] | None, headers: Mapping[str, str]) -> None:
        content = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if body is not None:
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Say nothing on stderr."""


def main(port: int = 8767) -> None:
    """Serve until Ctrl-C, and print each message that comes."""
    import click

    with LoopbackDiscord(port=port) as discord:
        for name, value in discord.environ.items():
            click.echo(f"export {name}={value}")
        told = 0
        stopped = threading.Event()

        def stop(number: int, frame: object) -> None:
            del number, frame
            stopped.set()

        signal.signal(signal.SIGINT, stop)
        signal.signal(signal.SIGTERM, stop)
        while not stopped.wait(0.2):
            for received in discord.received[told:]:
                told += 1
                click.echo(f"\n--- message {told} ---\n{received.text.strip()}")
        click.echo(f"{told} taken, {len(discord.refused)} refused")


if __name__ == "__main__":
    main()
