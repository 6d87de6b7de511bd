"""Notify: what happened in, messages to the user out, through apprise: Discord, Slack, Telegram, mail and others."""

from mahler_agents.notify.jobs import notice_of_day, notice_of_failure
from mahler_agents.notify.notice import Kind, Notice, Severity, notice_of_test
from mahler_agents.notify.notifier import Notifier, Told, Tried, try_channels
from mahler_agents.notify.outcomes import notices_of_outcome
from mahler_agents.notify.passes import notices_of_pass
from mahler_agents.notify.scans import notices_of_scan
from mahler_agents.notify.settings import NotifySettings

__all__ = [
    "Kind",
    "Notice",
    "Notifier",
    "NotifySettings",
    "Severity",
    "Told",
    "Tried",
    "notice_of_day",
    "notice_of_failure",
    "notice_of_test",
    "notices_of_outcome",
    "notices_of_pass",
    "notices_of_scan",
    "try_channels",
]
