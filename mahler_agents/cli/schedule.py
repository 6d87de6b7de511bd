"""Command line, `mahler schedule`: what runs next, in New York's and in local time, and why nothing does on a date."""

import datetime as dt
import json
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mahler_agents.cli.options import as_json_option, database_option
from mahler_agents.text import plain

if TYPE_CHECKING:
    from mahler_agents.record.slots import SlotRow
    from mahler_agents.schedule import Slot


@click.command()
@click.option(
    "--days", default=5, show_default=True, type=click.IntRange(1, 366), help="Days of the calendar, from today."
)
@database_option
@as_json_option
def schedule(*, days: int, db: Path | None, as_json: bool) -> None:
    """Show what the schedule has for today and the days after it: slots, and why a date has none.

    Of slots that the record knows it says what became of them. Times are New York's, with local ones beside them.
    """
    from mahler_agents.clock import NEW_YORK, utc_text
    from mahler_agents.market import calendar
    from mahler_agents.remote_clock import clock_from
    from mahler_agents.schedule import session_slots, why_none
    from mahler_agents.settings import Settings

    settings = Settings.load({"db": db})
    now = clock_from(settings.environ).now()
    today = now.astimezone(NEW_YORK).date()
    dates = [today + dt.timedelta(days=number) for number in range(days)]
    slots = {
        date: session_slots(calendar, date, settings.schedule) if calendar.is_session(date) else () for date in dates
    }
    record, known = _known(db, dates)
    if as_json:
        rows = [
            {
                "slot": slot.name,
                "job": slot.job.value,
                "due_at": utc_text(slot.due_at),
                "status": known[slot.name].status.value if slot.name in known else None,
            }
            for date in dates
            for slot in slots[date]
        ]
        closed = {date.isoformat(): why for date in dates if (why := why_none(calendar, date))}
        click.echo(json.dumps({"now": utc_text(now), "slots": rows, "closed": closed}))
        return
    click.echo(f"record: {'none yet' if record is None else plain(str(record))}")
    click.echo(f"now: {today}, {_both(now)}")
    for date in dates:
        click.echo(f"{date:%a %Y-%m-%d}: {why_none(calendar, date) or ''}".rstrip(" :") + (":" if slots[date] else ""))
        for line in _lines(slots[date], now, known):
            click.echo(f"  {line}")


def _known(db: Path | None, dates: list[dt.date]) -> "tuple[Path | None, dict[str, SlotRow]]":
    """Return the record, and what it says of slots of these dates; of one that is not there yet, nothing."""
    from mahler_agents.clock import NEW_YORK, utc_text
    from mahler_agents.errors import ConfigError
    from mahler_agents.record import open_database
    from mahler_agents.record.location import newest_database
    from mahler_agents.record.slots import read_slots

    try:
        path = newest_database(db)
    except ConfigError:
        return None, {}
    open_database(path)
    first = dt.datetime.combine(dates[0], dt.time(), NEW_YORK)
    rows = read_slots(path, since=utc_text(first), until=utc_text(first + dt.timedelta(days=len(dates) + 1)))
    return path, {row.slot: row for row in rows}


def _lines(slots: "tuple[Slot, ...]", now: dt.datetime, known: "dict[str, SlotRow]") -> Iterator[str]:
    """Yield a line for each slot, and one for monitor passes of the same fate that follow each other."""
    from mahler_agents.schedule import Job

    def fate(slot: "Slot") -> tuple[str, str]:
        row = known.get(slot.name)
        unknown = "" if slot.due_at > now else "not on record"
        said = unknown if row is None else row.status.value + (f": {row.detail}" if row.detail else "")
        return slot.job.value if slot.job is Job.MONITOR else slot.name, said

    for (_, said), group in groupby(sorted(slots, key=lambda slot: slot.job is not Job.MONITOR), key=fate):
        first, *rest = group
        many = f" until {_both(rest[-1].due_at)}, {len(rest) + 1} passes" if rest else ""
        yield f"{first.job:<8} {_both(first.due_at)}{many}" + (f"  {said}" if said else "")


def _both(instant: dt.datetime) -> str:
    """Return an instant in New York's time, and in the machine's where that differs."""
    from mahler_agents.clock import NEW_YORK

    there, here = instant.astimezone(NEW_YORK), instant.astimezone()
    if there.utcoffset() == here.utcoffset():
        return f"{there:%H:%M} New York"
    day = "" if there.date() == here.date() else f"{here:%a} "
    return f"{there:%H:%M} New York ({day}{here:%H:%M %Z})"
