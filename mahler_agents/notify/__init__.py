"""Notify: what happened in, messages to the user out, through apprise: Discord, Slack, Telegram, mail and others."""

from typing import TYPE_CHECKING

from mahler_agents.late import late

if TYPE_CHECKING:
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

# The settings name the section [notify]; the notices of a scan are made of its graph, two seconds of imports.
__getattr__ = late(
    __name__,
    {
        "Kind": "notice",
        "Notice": "notice",
        "Notifier": "notifier",
        "NotifySettings": "settings",
        "Severity": "notice",
        "Told": "notifier",
        "Tried": "notifier",
        "notice_of_day": "jobs",
        "notice_of_failure": "jobs",
        "notice_of_test": "notice",
        "notices_of_outcome": "outcomes",
        "notices_of_pass": "passes",
        "notices_of_scan": "scans",
        "try_channels": "notifier",
    },
)
