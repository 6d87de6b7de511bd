"""What the doctor's tests look at: desks in order, on a fake Alpaca or the sample market; ways to spoil them."""

import asyncio
import datetime as dt
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, closing
from functools import cached_property
from pathlib import Path
from typing import Any

from between import Change, between

from mahler_agents.alpaca import AlpacaSettings
from mahler_agents.clock import SimulatedClock, utc_text
from mahler_agents.doctor import CHECKS, Check, Finding, Level, Situation, diagnose
from mahler_agents.record import open_database
from mahler_agents.testing.fake_alpaca import FakeAlpaca
from mahler_agents.types import Environment

NOW = dt.datetime(2026, 1, 6, 15, 30, tzinfo=dt.UTC)
"""10:30 in New York, in a session, when the table of risk-free rates is not old."""
SUNDAY = dt.datetime(2026, 1, 4, 15, 30, tzinfo=dt.UTC)
VERSION = "1.2.3"
CANARY_KEYS = {"APCA_API_KEY_ID": "PKCANARY0123456789", "APCA_API_SECRET_KEY": "canarySecret0123456789"}
CHAIN, SHARES = "/v1beta1/options/snapshots/SPY", "/v2/stocks/snapshots"
VIX = "/api/global/delayed_quotes/quotes/_VIX.json"


class LiveAtAFake(Situation):
    """A desk that trades live, at a server on this machine: settings refuse that, and only a test may have it."""

    @cached_property
    def settings(self) -> AlpacaSettings:
        """The server's addresses as a live desk's."""
        url = self.environ["URL"]
        return AlpacaSettings(environment=Environment.LIVE, trading_url=url, data_url=url, vix_url=url + VIX)


class World:
    """Makes situations; what serves them ends with it."""

    def __init__(self, fake: FakeAlpaca, folder: Path) -> None:
        self.fake = fake
        self.folder = folder
        self.stack = ExitStack()

    def sample(self, **choices: Any) -> Situation:
        """Return a desk on the sample market without a model, and with a clock that stands still."""
        given: dict[str, Any] = {"clock": SimulatedClock(NOW), "environ": {}, "database": self.folder / "desk.db"}
        return Situation(**{"model": "none", "folder": self.folder, **given, **choices})

    def alpaca(
        self,
        changes: Mapping[str, Change] | None = None,
        *,
        variables: Mapping[str, str] | None = None,
        **choices: Any,
    ) -> Situation:
        """Return a desk at the fake Alpaca, some of whose answers are changed."""
        environ = {**self.fake.environ, **(variables or {})}
        del environ["MAHLER_CLOCK_URL"]
        if changes is not None:
            environ["MAHLER_ALPACA_URL"] = self.stack.enter_context(between(self.fake, changes))
        return self.sample(**{"market": "alpaca", "broker": "alpaca", "environ": environ, **choices})

    def live(self, changes: Mapping[str, Change] | None = None, *, confirmed: str = "") -> Situation:
        """Return a desk with live keys at the fake Alpaca."""
        environ = {
            "MAHLER_ENVIRONMENT": "live",
            "MAHLER_LIVE_CONFIRMATION": confirmed,
            "APCA_API_KEY_ID": "AKCANARY0123456789",
            "APCA_API_SECRET_KEY": CANARY_KEYS["APCA_API_SECRET_KEY"],
            "URL": self.stack.enter_context(between(self.fake, changes or {})),
        }
        return LiveAtAFake(
            market="alpaca",
            broker="alpaca",
            model="none",
            environ=environ,
            clock=SimulatedClock(NOW),
            database=self.folder / "desk.db",
            folder=self.folder,
        )

    def record(self, *statements: str | tuple[str, Iterable[object]]) -> Path:
        """Return a record of this version, to which some statements have been done."""
        path = open_database(self.folder / "desk.db", create=True)
        with closing(sqlite3.connect(path)) as connection, connection:
            for statement in statements:
                sql, values = (statement, ()) if isinstance(statement, str) else statement
                connection.execute(sql, tuple(values))
        return path

    def recorded(self, *statements: str | tuple[str, Iterable[object]], **choices: Any) -> Situation:
        """Return the desk on the sample market that has this record."""
        return self.sample(database=self.record(*statements), **choices)


def beat(
    ago: dt.timedelta, *, version: str, stopped: bool = False, at: dt.datetime = NOW, doing: str | None = None
) -> tuple[str, tuple[object, ...]]:
    """Return the statement that writes a daemon's last sign of life."""
    when = utc_text(at - ago)
    columns = "owner, version, started_at, at, stopped_at, doing, next_job, next_at"
    return (
        f"INSERT INTO heartbeats ({columns}) VALUES ('desk:7', ?, ?, ?, ?, ?, ?, ?)",
        (version, when, when, when if stopped else None, doing, "monitor-2026-01-06T10:35", utc_text(at)),
    )


def closure(names: Iterable[str]) -> list[Check]:
    """Return checks with all those that they need, in order."""
    by_name = {check.name: check for check in CHECKS}
    wanted: set[str] = set()

    def want(name: str) -> None:
        wanted.add(name)
        for needed in by_name[name].needs:
            want(needed)

    for name in names:
        want(name)
    return [check for check in CHECKS if check.name in wanted]


async def looked(situation: Situation, *names: str) -> list[Finding]:
    """Return what these checks find, and not what those find that they need."""
    with situation:
        diagnosis = await diagnose(situation, closure(names))
    return [finding for finding in diagnosis.findings if finding.check in names]


def look(situation: Situation, *names: str) -> list[Finding]:
    """Return the same, outside an event loop."""
    return asyncio.run(looked(situation, *names))


def worst(findings: Iterable[Finding]) -> Level:
    """Return the worst level."""
    order = [Level.OK, Level.SKIPPED, Level.WARN, Level.FAIL]
    return max((finding.level for finding in findings), key=order.index)


def fields(**values: object) -> Callable[[Any], Any]:
    """Return the change of some fields of an answer."""
    return lambda told: {**told, **values}


def quoted(at: dt.datetime, *, share: float = 1.0) -> Callable[[Any], Any]:
    """Return the change of a share of a chain's quotes, which are then of another time."""

    def change(told: Any) -> Any:
        snapshots = told["snapshots"]
        for symbol in sorted(snapshots)[: round(share * len(snapshots))]:
            snapshots[symbol]["latestQuote"]["t"] = at.isoformat().replace("+00:00", "Z")
        return told

    return change
