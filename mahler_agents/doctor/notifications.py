"""Doctor, notifications: whether what tells the user can be used, and whether it took what it was given last."""

import datetime as dt
from collections.abc import Sequence

from mahler_agents.clock import new_york_text
from mahler_agents.doctor.check import Answer
from mahler_agents.doctor.findings import Said, fail, ok, warn
from mahler_agents.doctor.record import is_there, pending, reading
from mahler_agents.doctor.situation import Situation
from mahler_agents.errors import ConfigError
from mahler_agents.notify.channels import open_channels
from mahler_agents.text import count, listed

_TRY = "try it with `mahler notify test`; docs/notifications.md has how each URL is written"


def channels(situation: Situation) -> Answer:
    """The channels of notifications: whether each can be used, and took what it was told last; nothing is sent.

    Warn: one does not answer since some time, so that what it was to be told waits.
    Fail: a URL cannot be used: nobody is told anything then.
    """
    if not situation.notify.on:
        return ok("no channel is set: trades and failures are told nobody, and stand in the record")
    try:
        names = [channel.name for channel in open_channels(situation.notify, situation.environ)]
    except ConfigError as error:
        return fail(str(error), fix=_TRY)
    silent = () if not is_there(situation) or pending(situation) else _silent(situation, names)
    return silent or ok(f"{count(len(names), 'channel')} can be used: {listed(names)}")


def _silent(situation: Situation, names: Sequence[str]) -> tuple[Said, ...]:
    with reading(situation) as connection:
        rows = connection.execute(
            "SELECT channel, down_since, error FROM notification_channels WHERE down_since NOT NULL"
        )
        down = {row["channel"]: (row["down_since"], row["error"]) for row in rows}
    return tuple(
        warn(
            f"{name} does not take messages since {new_york_text(dt.datetime.fromisoformat(since))}: {error}",
            fix=f"what it was to be told waits for a day; {_TRY}",
        )
        for name, (since, error) in down.items()
        if name in names
    )
