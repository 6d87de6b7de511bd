"""Command line, `mahler run`: the daemon that scans, monitors and sums up on schedule until it is told to stop."""

import asyncio
import logging
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mahler_agents.cli.advisors import advisors_options
from mahler_agents.cli.logging import daemon_log
from mahler_agents.cli.options import SETTINGS_MARKET, broker_option, exits_option, market_database_option, seed_option
from mahler_agents.text import plain

if TYPE_CHECKING:
    from mahler_agents.jobs import Jobs
    from mahler_agents.scheduler import Daemon
    from mahler_agents.settings import Settings

_log = logging.getLogger(__name__)
_JOBS = ("monitor", "scan", "summary")


@click.command()
@click.option("--market", show_default=SETTINGS_MARKET, metavar="alpaca|sample", help="Where quotes are from.")
@broker_option
@click.option("--model", metavar="MODEL", help="Whom the advisors ask; auto: the settings', else local.")
@advisors_options
@exits_option
@seed_option
@click.option(
    "--job",
    "jobs",
    multiple=True,
    type=click.Choice(_JOBS),
    help="Run these alone; may be repeated. All of them unless given.",
)
@market_database_option
def run(
    *,
    market: str | None,
    broker: str | None,
    model: str | None,
    advisors: dict[str, Any],
    exits: str | None,
    seed: int | None,
    jobs: tuple[str, ...],
    db: Path | None,
) -> int:
    """Scan, monitor and sum up on schedule: at 10:00 New York time, every 5 minutes of the session, after the close.

    Holidays, half-days and daylight saving are the exchange calendar's. What was missed while it was down is run late
    within its grace, and told. Each job runs once, whatever else runs on the same record. SIGTERM or Ctrl-C: what is at
    work is finished, orders included, and nothing more is begun; a second one ends it at once, and leaves what was at
    work to be resumed.
    """
    from mahler_agents.jobs import opened_jobs
    from mahler_agents.ping import Pinger
    from mahler_agents.schedule import Job
    from mahler_agents.scheduler import Daemon, no_ping
    from mahler_agents.settings import Settings
    from mahler_agents.threads import share_one_arena

    share_one_arena()  # a daemon lives long
    options = {"market": market, "broker": broker, "model": model, "exits": exits, "seed": seed, "db": db}
    settings = Settings.load({**options, **advisors})
    with daemon_log(settings.log), opened_jobs(settings) as opened:
        click.echo(f"record: {plain(str(opened.book.path))}; SIGTERM or Ctrl-C ends it once what is at work has ended")
        url = settings.schedule.ping_url
        ping = no_ping if url is None else Pinger(url.get_secret_value())
        daemon = Daemon(jobs=opened, only=tuple(Job(name) for name in jobs) or tuple(Job), ping=ping)
        try:
            return asyncio.run(_until_told(daemon))
        except Exception as error:
            _tell_of_its_death(error, settings, opened)
            raise


def _tell_of_its_death(error: Exception, settings: "Settings", jobs: "Jobs") -> None:
    """Tell, once a day, of an error that ended the daemon; never raises. A broken record only the ping URL tells of."""
    from mahler_agents.clock import NEW_YORK
    from mahler_agents.notify import Notifier, notice_of_failure

    now = jobs.clock.now()
    notice = notice_of_failure("daemon", f"{now.astimezone(NEW_YORK):%Y-%m-%d}", error, at=now)
    Notifier(settings.notify, jobs.book.path, clock=jobs.clock, environ=settings.environ).deliver([notice])


async def _until_told(daemon: "Daemon") -> int:
    """Run the daemon; the first signal stops it after what is at work, the second at once."""
    from mahler_agents.cli import INTERRUPTED

    task = asyncio.ensure_future(daemon.run())
    loop = asyncio.get_running_loop()

    def told() -> None:
        if daemon.stopping.is_set():
            task.cancel()
            return
        daemon.stopping.set()
        _log.warning("stopping once what is at work has ended; a second signal ends it at once")

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told)
    try:
        await task
    except asyncio.CancelledError:
        return INTERRUPTED
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
    return 0
