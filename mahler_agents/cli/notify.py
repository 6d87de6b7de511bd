"""Command line, `mahler notify`: whether notifications reach the user."""

import json

import click

from mahler_agents.cli.options import as_json_option
from mahler_agents.errors import JobError
from mahler_agents.text import plain


@click.group()
def notify() -> None:
    """Tell the user through Discord, Slack, Telegram, mail and others: see docs/notifications.md."""


@notify.command()
@as_json_option
def test(*, as_json: bool) -> int:
    """Send one message to every channel, and say what each answered.

    Channels are the URLs in MAHLER_NOTIFY__URLS, between commas or as a JSON list, or in mahler.toml's `urls` of the
    section notify. Exit code 1 if one does not take it.
    """
    from mahler_agents.clock import SystemClock
    from mahler_agents.notify import notice_of_test, try_channels
    from mahler_agents.settings import Settings

    tried = try_channels(Settings.load().notify, notice_of_test(SystemClock().now()))
    if as_json:
        click.echo(json.dumps([{"channel": one.channel, "error": one.error} for one in tried]))
    else:
        for one in tried:
            click.echo(f"{one.channel}: {'sent' if one.error is None else plain(f'not sent: {one.error}')}")
    return JobError.exit_code if any(one.error is not None for one in tried) else 0
