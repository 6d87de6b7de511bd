"""Shared by the tests of notifications: a real scan's result, a notifier on a loopback Discord, what it received."""

import datetime as dt
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from mahler_agents.clock import SimulatedClock
from mahler_agents.notify import Kind, Notice, Notifier, NotifySettings, Severity
from mahler_agents.record import connect
from mahler_agents.testing.discord import LoopbackDiscord

NOW = dt.datetime(2026, 3, 17, 14, 5, tzinfo=dt.UTC)
DEAD = "http://127.0.0.1:9"
"""Nobody listens there."""


def a_notice(key: str = "one", *, kind: Kind = Kind.EXIT, **fields: Any) -> Notice:
    """Return a notice of something."""
    values: dict[str, Any] = {"title": f"Notice {key}", "fields": {"name": "value"}, "at": NOW}
    return Notice(kind=kind, key=key, **(values | fields))


def urgent(key: str) -> Notice:
    """Return a notice that may use the whole of an hour's number."""
    return a_notice(key, severity=Severity.FAILURE)


class Desk:
    """A record's notifier, on a clock that stands until it is moved; `again` is the same after a restart."""

    def __init__(self, path: Path, discord: LoopbackDiscord, *, url: str | None = None, **settings: Any) -> None:
        self.path, self._discord, self._url = path, discord, url
        self.settings = NotifySettings(
            urls=(SecretStr(discord.webhook),), **({"timeout_seconds": 0.3, "wait_seconds": 5.0} | settings)
        )
        self.clock = SimulatedClock(NOW)

    @property
    def again(self) -> Notifier:
        """A notifier that remembers nothing but the record."""
        environ = {"MAHLER_DISCORD_URL": self._url or self._discord.url}
        return Notifier(self.settings, self.path, clock=self.clock, environ=environ)

    def later(self, **span: float) -> None:
        """Let time pass."""
        self.clock.advance_to(self.clock.now() + dt.timedelta(**span))


def titles(discord: LoopbackDiscord) -> list[str]:
    """Return the titles of what was taken, in order."""
    return [str(one.payload["embeds"][0]["title"]) for one in discord.received]


def rows(path: Path, sql: str) -> Sequence[Mapping[str, Any]]:
    """Return what a query finds in a record."""
    with closing(connect(path, read_only=True)) as connection:
        return [dict(row) for row in connection.execute(sql)]


def events(path: Path) -> list[str]:
    """Return the codes of the events about notifications, in order."""
    found = rows(path, "SELECT code FROM events WHERE code LIKE 'notify%' ORDER BY id")
    return [str(row["code"]) for row in found]
