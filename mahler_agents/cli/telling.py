"""Command line: what a verb did is told through the user's channels, once all of it is done and shown."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mahler_agents.monitor import MonitorResult
    from mahler_agents.scan import ScanResult
    from mahler_agents.settings import Settings


def tell(settings: "Settings", database: Path, result: "ScanResult | MonitorResult") -> None:
    """Tell of a scan or a pass; nothing without a channel. Never raises: a dead one is a line on the log."""
    if not settings.notify.on:
        return
    from mahler_agents.notify import Notifier, notices_of_pass, notices_of_scan
    from mahler_agents.remote_clock import clock_from
    from mahler_agents.scan import ScanResult

    notices = notices_of_scan(result) if isinstance(result, ScanResult) else notices_of_pass(result)
    Notifier(settings.notify, database, clock=clock_from(settings.environ)).deliver(notices)
