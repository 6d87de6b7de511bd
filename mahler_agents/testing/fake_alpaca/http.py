"""The fake Alpaca's words: a request and its answer, a route from one to the other, errors as the vendor writes them.

A handler runs while the world's lock is held, and has no effect but on the world.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mahler_agents.testing.fake_alpaca.world import World

_PLACEHOLDER = re.compile(r"\{(\w*)\}")


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a client asks."""

    method: str
    path: str
    params: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])
    """Of the query, each with all its values in order."""
    body: Any = None
    """The JSON of the body; None without one."""
    args: Mapping[str, str] = field(default_factory=dict[str, str])
    """What the path's placeholders stand for."""

    def param(self, name: str) -> str | None:
        """Return a parameter's last value, None without one."""
        values = self.params.get(name)
        return values[-1] if values else None


@dataclass(frozen=True, kw_only=True)
class Response:
    """What a client is answered."""

    status: int = 200
    json: Any = None
    raw: bytes | None = None
    """The body as it is, instead of `json`."""
    content_type: str = "application/json; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


Handler = Callable[[Request, "World"], Response]


@dataclass(frozen=True, kw_only=True)
class Route:
    """A method and a path that something answers; `/v2/orders/{order_id}` takes one segment for a placeholder."""

    method: str
    path: str
    handler: Handler
    control: bool = False
    """True for the fake's own routes: no keys, no limit of requests, no latency and no faults."""
    keyless: bool = False
    """True for another vendor's that everyone may ask: no keys, no limit of requests."""

    @property
    def name(self) -> str:
        """What `fail` calls it, e.g. `GET /v2/orders/{}`."""
        return route_name(f"{self.method} {self.path}")

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """The path as a regular expression."""
        parts = _PLACEHOLDER.split(self.path)  # text, placeholder, text, ...
        pieces = (f"(?P<{part}>[^/]+)" if odd % 2 else re.escape(part) for odd, part in enumerate(parts))
        return re.compile("".join(pieces))


class RefusedError(Exception):
    """What a handler raises to answer with an error."""

    def __init__(self, status: int, code: int, message: str, **more: Any) -> None:
        super().__init__(message)
        self.response = failure(status, code, message, **more)


def failure(status: int, code: int, message: str, **more: Any) -> Response:
    """Return an error as the trading API writes it: a code of eight digits, and what was wrong in words."""
    return Response(status=status, json={"code": code, "message": message, **more})


def route_name(text: str) -> str:
    """Return a route's name whatever its placeholders are called."""
    return _PLACEHOLDER.sub("{}", text)
