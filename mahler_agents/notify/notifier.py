"""Notify: `Notifier`, what a job that has ended gives its notices to; it never raises, and never takes long.

It is called when the trading of a job is over, so that nothing it does can delay an order.
"""

import asyncio
import logging
import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass
from pathlib import Path

from mahler_agents.clock import Clock
from mahler_agents.errors import ConfigError
from mahler_agents.notify.changes import notices_of_changes
from mahler_agents.notify.channels import Channel, open_channels
from mahler_agents.notify.notice import Notice
from mahler_agents.notify.outbox import Attempt, Delivery, Outbox
from mahler_agents.notify.render import messages
from mahler_agents.notify.settings import NotifySettings, channel_name
from mahler_agents.record import open_database
from mahler_agents.redaction import Redactor

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Told:
    """What came of one call, for whoever asks."""

    sent: int = 0
    failed: tuple[str, ...] = ()
    """Channels that did not take a message, and why, one line each."""
    waiting: int = 0
    """Messages that wait for the next call."""


@dataclass(frozen=True, kw_only=True)
class Tried:
    """What a channel answered to a test."""

    channel: str
    error: str | None
    """None if it took the message."""


class Notifier:
    """Tells the user, through every channel of the settings; without one it does nothing."""

    def __init__(
        self, settings: NotifySettings, database: Path, *, clock: Clock, environ: Mapping[str, str] = os.environ
    ) -> None:
        self._settings = settings
        self._database = database
        self._clock = clock
        self._environ = environ

    async def tell(self, notices: Iterable[Notice]) -> Told:
        """Tell of notices, and of what waits from before: as `deliver`, in a thread."""
        return await asyncio.to_thread(self.deliver, tuple(notices))

    def deliver(self, notices: Sequence[Notice]) -> Told:
        """Tell of notices, of what the record has changed (breaker, trading state, missed slots), and of what waits.

        Blocks for `wait_seconds` at most, whatever the channels do. Never raises: a channel that does not answer is an
        event in the record, and what it was to be told waits for the next call, for a day. Call it without notices to
        try what waits.
        """
        if not self._settings.on:
            return Told()
        try:
            return self._deliver(notices)
        except Exception as error:  # noqa: BLE001 - a job's edge: whatever is wrong with telling, the job was done
            _LOG.warning("notifications: %s", self._redactor()(f"{type(error).__name__}: {error}"))
            return Told(failed=(self._redactor()(str(error)),))

    def _deliver(self, notices: Sequence[Notice]) -> Told:
        names = [channel_name(url.get_secret_value(), place) for place, url in enumerate(self._settings.urls, start=1)]
        with Outbox(open_database(self._database), redact=self._redactor()) as outbox:
            due = outbox.take(
                self._wanted(outbox, notices),
                names,
                now=self._clock.now(),
                max_per_hour=self._settings.max_per_hour,
            )
            if not due:  # which is so after most passes: nothing is imported then
                return Told()
            try:
                channels = open_channels(self._settings, self._environ)
            except ConfigError as error:
                outbox.tried([Attempt(delivery=one, error=str(error)) for one in due], [], now=self._clock.now())
                raise
            attempts, untried = self._send(channels, due)
            outbox.tried(attempts, untried, now=self._clock.now())
        failed = {one.delivery.channel: one.error for one in attempts if one.error is not None}
        for channel, error in failed.items():
            _LOG.warning("notifications: %s: %s", channel, error)
        return Told(
            sent=sum(one.error is None for one in attempts),
            failed=tuple(f"{channel}: {error}" for channel, error in failed.items()),
            waiting=len(untried) + len(failed),
        )

    def _wanted(self, outbox: Outbox, notices: Sequence[Notice]) -> list[Notice]:
        now = self._clock.now()
        market_now = max((notice.at for notice in notices), default=now)
        changes = notices_of_changes(outbox.changes(now=now, market_now=market_now))
        return [notice for notice in (*changes, *notices) if notice.kind in self._settings.kinds]

    def _send(self, channels: Sequence[Channel], due: Sequence[Delivery]) -> tuple[list[Attempt], list[Delivery]]:
        """Send through all channels at once, and return what came of it in time, and what was not tried.

        The first message that a channel does not take ends its turn, so that a dead one costs one timeout.
        """
        stop = threading.Event()
        turns = [
            _Turn(channel, [one for one in due if one.channel == channel.name], self, stop) for channel in channels
        ]
        running = [turn.start() for turn in turns if turn.due]
        wait(running, timeout=self._settings.wait_seconds)
        stop.set()
        seen = [turn.seen() for turn in turns]
        return [one for attempts, _ in seen for one in attempts], [one for _, untried in seen for one in untried]

    def attempt(self, channel: Channel, delivery: Delivery) -> Attempt:
        """Send one notice through one channel."""
        written = messages(
            delivery.notice,
            markdown=channel.markdown,
            redact=self._redactor(),
            late=delivery.late,
            unsent=delivery.unsent,
            limit=self._settings.max_per_hour,
        )
        return Attempt(delivery=delivery, error=channel.send(written))

    @property
    def silence(self) -> str:
        """What is said of a channel that has not answered when the waiting ends."""
        return f"no answer within {self._settings.wait_seconds:g} seconds"

    def _redactor(self) -> Redactor:
        return Redactor.of(self._environ)


class _Turn:
    """One channel's turn, in a thread that nobody waits for at the end of the process."""

    def __init__(self, channel: Channel, due: list[Delivery], notifier: Notifier, stop: threading.Event) -> None:
        self.due = due
        self._channel = channel
        self._notifier = notifier
        self._stop = stop
        self._lock = threading.Lock()
        self._attempts: list[Attempt] = []
        self._ended: Future[None] = Future()

    def start(self) -> "Future[None]":
        threading.Thread(target=self._run, name=f"notify-{self._channel.name}", daemon=True).start()
        return self._ended

    def _run(self) -> None:
        try:
            for delivery in self.due:
                if self._stop.is_set():
                    break
                attempt = self._notifier.attempt(self._channel, delivery)
                with self._lock:
                    self._attempts.append(attempt)
                if attempt.error is not None:
                    break
        except Exception as error:  # noqa: BLE001 - a thread's edge: what it was about is tried again
            _LOG.warning("notifications: %s: %s", self._channel.name, type(error).__name__)
        finally:
            self._ended.set_result(None)

    def seen(self) -> tuple[list[Attempt], list[Delivery]]:
        """Return what came of it so far, and what was not tried; what is on its way counts as not answered."""
        with self._lock:
            attempts = list(self._attempts)
        untried = self.due[len(attempts) :]
        if untried and not self._ended.done():
            on_its_way, *untried = untried
            attempts.append(Attempt(delivery=on_its_way, error=self._notifier.silence))
        return attempts, untried


def try_channels(
    settings: NotifySettings, notice: Notice, environ: Mapping[str, str] = os.environ
) -> tuple[Tried, ...]:
    """Send one notice to each channel now, one after another, whatever was sent before; nothing is recorded.

    Raises `ConfigError` if there is no channel, or one that cannot be used.
    """
    if not settings.on:
        raise ConfigError(
            "no channel is set: put its URL into MAHLER_NOTIFY__URLS, e.g."
            " https://discord.com/api/webhooks/ID/TOKEN; see docs/notifications.md"
        )
    redact = Redactor.of(environ)
    return tuple(
        Tried(channel=one.name, error=one.send(messages(notice, markdown=one.markdown, redact=redact)))
        for one in open_channels(settings, environ)
    )
