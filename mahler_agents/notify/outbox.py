"""Notify: notices in, kept in the record until each channel has taken them, or has not for a day.

A key is taken once, whoever brings it: so nothing is told twice after a restart, or by two processes. A message that
was sent by a process which died before it could write that down is sent again: once more is better than never.
"""

import datetime as dt
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mahler_agents.clock import utc_text
from mahler_agents.notify.notice import Notice
from mahler_agents.record.changes import Changes, latest_changes
from mahler_agents.record.durable import Durable, insert

HOUR = dt.timedelta(hours=1)
GIVE_UP = dt.timedelta(days=1)
"""What a channel has not taken by then is given up."""
LEASE = dt.timedelta(minutes=10)
"""How long a delivery is one process's: more than it ever waits for its channels."""


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """A notice for one channel."""

    notification_id: int
    channel: str
    notice: Notice
    late: bool
    """Whether it was tried before, or taken by a call before this one."""
    unsent: int
    """How many others it says were not sent."""


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """What came of a delivery."""

    delivery: Delivery
    error: str | None
    """Why the channel did not take it; None if it did."""


class Outbox(Durable):
    """The notifications of one record; methods block for the length of a commit, and raise `RecordError`."""

    def changes(self, *, now: dt.datetime, market_now: dt.datetime) -> Changes:
        """Return what changed of the breaker and the trading state within a day, told or not."""
        with self._books.reading() as connection:
            return latest_changes(
                connection, since=utc_text(now - GIVE_UP), market_since=utc_text(market_now - GIVE_UP)
            )

    def take(
        self, notices: Iterable[Notice], channels: Sequence[str], *, now: dt.datetime, max_per_hour: int
    ) -> tuple[Delivery, ...]:
        """Keep what is new, and return what is to be sent now, oldest first: the new, and what still waits.

        What an hour may not hold any more is suppressed, and the last of what it may hold says how much that was. A
        channel gets no more in an hour than that either, however much has waited for it.
        """
        with self._books.transaction() as connection:
            new = self._keep(connection, notices, channels, now=now, max_per_hour=max_per_hour)
            self._give_up(connection, now)
            due = [
                delivery
                for channel in channels
                for delivery in self._due(connection, channel, new, now=now, max_per_hour=max_per_hour)
            ]
            for delivery in due:
                connection.execute(
                    "UPDATE notification_deliveries SET leased_until = ? WHERE notification_id = ? AND channel = ?",
                    (utc_text(now + LEASE), delivery.notification_id, delivery.channel),
                )
        return tuple(due)

    def tried(self, attempts: Iterable[Attempt], untried: Iterable[Delivery], *, now: dt.datetime) -> None:
        """Keep what came of deliveries, and free those that were not tried.

        A channel that does not answer is an event, once until it does again; that it does is one too.
        """
        at = utc_text(now)
        with self._books.transaction() as connection:
            for attempt in attempts:
                delivery = attempt.delivery
                connection.execute(
                    "UPDATE notification_deliveries SET status = ?, attempts = attempts + 1, at = ?, error = ?,"
                    " leased_until = NULL WHERE notification_id = ? AND channel = ?",
                    (
                        "pending" if attempt.error is not None else "sent",
                        at,
                        attempt.error,
                        delivery.notification_id,
                        delivery.channel,
                    ),
                )
                _note_channel(connection, delivery.channel, attempt.error, at)
            for delivery in untried:
                connection.execute(
                    "UPDATE notification_deliveries SET leased_until = NULL WHERE notification_id = ? AND channel = ?",
                    (delivery.notification_id, delivery.channel),
                )
            _settle(connection)

    def _keep(
        self,
        connection: sqlite3.Connection,
        notices: Iterable[Notice],
        channels: Sequence[str],
        *,
        now: dt.datetime,
        max_per_hour: int,
    ) -> set[int]:
        taken = _count(connection, "notifications WHERE status <> 'suppressed' AND at > ?", utc_text(now - HOUR))
        new: list[int] = []
        for notice in sorted(notices, key=lambda one: (not one.urgent, one.rank)):
            room = max_per_hour if notice.urgent else max_per_hour - max_per_hour // 4
            fits = taken + len(new) < room
            added = connection.execute(
                "INSERT INTO notifications (key, kind, severity, at, title, notice, status)"
                " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO NOTHING RETURNING id",
                (
                    notice.key,
                    notice.kind.value,
                    notice.severity.value,
                    utc_text(now),
                    notice.title,
                    notice.model_dump_json(),
                    "pending" if fits else "suppressed",
                ),
            ).fetchone()
            if added is None or not fits:
                continue
            new.append(added["id"])
            for channel in channels:
                row = {"notification_id": added["id"], "channel": channel, "status": "pending"}
                insert(connection, "notification_deliveries", row)
        if new:
            _tell_suppressed(connection, new[-1])
        return set(new)

    def _due(
        self, connection: sqlite3.Connection, channel: str, new: set[int], *, now: dt.datetime, max_per_hour: int
    ) -> list[Delivery]:
        sent = _count(
            connection,
            "notification_deliveries WHERE status = 'sent' AND channel = ? AND at > ?",
            channel,
            utc_text(now - HOUR),
        )
        rows = connection.execute(
            "SELECT id, notice, unsent FROM notification_deliveries JOIN notifications ON id = notification_id WHERE"
            " channel = ? AND notification_deliveries.status = 'pending'"
            " AND (leased_until IS NULL OR leased_until <= ?) ORDER BY id",
            (channel, utc_text(now)),
        ).fetchall()
        due = [
            Delivery(
                notification_id=row["id"],
                channel=channel,
                notice=Notice.model_validate_json(row["notice"]),
                late=row["id"] not in new,
                unsent=row["unsent"],
            )
            for row in rows
        ]
        # The news first: what has waited is late in any case.
        due.sort(key=lambda delivery: (delivery.late, delivery.notification_id))
        return due[: max(0, max_per_hour - sent)]

    def _give_up(self, connection: sqlite3.Connection, now: dt.datetime) -> None:
        given_up = connection.execute(
            "UPDATE notification_deliveries SET status = 'given_up', leased_until = NULL WHERE status = 'pending'"
            " AND notification_id IN (SELECT id FROM notifications WHERE status = 'pending' AND at <= ?)"
            " RETURNING channel",
            (utc_text(now - GIVE_UP),),
        ).fetchall()
        for channel in sorted({row["channel"] for row in given_up}):
            number = sum(row["channel"] == channel for row in given_up)
            message = f"{channel}: {number} notifications given up: it has not answered for a day"
            _event(connection, "notify_given_up", message, utc_text(now), level="error")
        _settle(connection)


def _settle(connection: sqlite3.Connection) -> None:
    """Bring each notification to the state that its deliveries have come to."""
    connection.execute(
        "UPDATE notifications SET status = CASE WHEN EXISTS (SELECT 1 FROM notification_deliveries"
        " WHERE notification_id = id AND notification_deliveries.status = 'given_up') THEN 'given_up' ELSE 'sent' END"
        " WHERE status = 'pending' AND NOT EXISTS (SELECT 1 FROM notification_deliveries"
        " WHERE notification_id = id AND notification_deliveries.status = 'pending')"
    )


def _tell_suppressed(connection: sqlite3.Connection, told_in: int) -> None:
    """Let a notification say how many were suppressed that none has told of."""
    told = connection.execute(
        "UPDATE notifications SET told_in = ? WHERE status = 'suppressed' AND told_in IS NULL", (told_in,)
    ).rowcount
    connection.execute("UPDATE notifications SET unsent = ? WHERE id = ?", (told, told_in))


def _note_channel(connection: sqlite3.Connection, channel: str, error: str | None, at: str) -> None:
    row = connection.execute("SELECT down_since FROM notification_channels WHERE channel = ?", (channel,)).fetchone()
    down_since = None if row is None else row["down_since"]
    was_down = down_since is not None
    if error is not None and not was_down:
        _event(connection, "notify_failed", f"{channel} does not take notifications: {error}", at, level="warning")
    elif error is None and was_down:
        _event(connection, "notify_recovered", f"{channel} takes notifications again, after {down_since}", at)
    since = None if error is None else down_since or at
    connection.execute(
        "INSERT INTO notification_channels (channel, down_since, error) VALUES (?, ?, ?)"
        " ON CONFLICT (channel) DO UPDATE SET down_since = excluded.down_since, error = excluded.error",
        (channel, since, error),
    )


def _event(connection: sqlite3.Connection, code: str, message: str, at: str, *, level: str = "info") -> None:
    insert(connection, "events", {"at": at, "level": level, "code": code, "message": message})


def _count(connection: sqlite3.Connection, what: str, *values: str) -> int:
    return connection.execute(f"SELECT COUNT(*) FROM {what}", values).fetchone()[0]
