"""Doctor, schedule: whether somebody runs the jobs, and for how long the calendar knows when."""

import datetime as dt

from mahler_agents.clock import NEW_YORK
from mahler_agents.doctor.findings import Said, fail, ok, warn
from mahler_agents.doctor.market import next_open, session_now
from mahler_agents.doctor.record import is_there, of_this_version, reading
from mahler_agents.doctor.situation import Situation
from mahler_agents.market import calendar
from mahler_agents.record.slots import Heartbeat, read_heartbeats
from mahler_agents.version import __version__

STALE = dt.timedelta(minutes=5)
"""A daemon says that it is alive every minute."""
_YEAR = dt.timedelta(days=365)
_BY_CRON = dt.timedelta(days=4)
"""A slot that ran so lately shows that somebody runs them, over a long weekend too."""
_START = (
    "start `mahler run` with the options of your scan, or let cron run `mahler scan --slot auto` and `mahler monitor`"
)

_BY_HAND = f"{_START}; nothing, if you scan by hand"
_NEVER = "no scheduler has ever run on this record"


def calendar_range(situation: Situation) -> Said:
    """How far ahead the exchange's calendar knows the sessions.

    Warn: less than a year.
    Fail: it has ended.
    """
    today, last = situation.today(), calendar.LAST_DATE
    fix = "upgrade mahler-agents: the calendar's last date is part of it"
    if today > last:
        return fail(f"the exchange calendar ended on {last}: nothing can be scanned or settled", fix=fix)
    if last - today < _YEAR:
        return warn(f"the exchange calendar ends on {last}, in {(last - today).days:,} days", fix=fix)
    calendar.load()
    return ok(f"the exchange calendar knows {calendar.FIRST_DATE} to {last}")


def heartbeat(situation: Situation) -> Said:
    """The scheduler's last sign of life.

    Warn: no scheduler has ever run on this record, it was stopped, it is silent outside the session, or it is of
    another version than this program.
    Fail: it is silent, and the exchange is open.
    """
    if not is_there(situation):
        return warn(_NEVER, fix=_BY_HAND)
    return _recorded(situation)


@of_this_version
def _recorded(situation: Situation) -> Said:
    now = situation.now()
    beats = read_heartbeats(situation.record)
    alive = [beat for beat in beats if beat.stopped_at is None]
    if alive:
        return _alive(alive[0], now)
    if (ran := _ran_lately(situation, now)) is not None:
        return ok(f"no daemon runs; slots do, one by one: {ran}")
    if not beats:
        return warn(_NEVER, fix=_BY_HAND)
    stopped = _new_york(beats[0].stopped_at or beats[0].at)
    return warn(f"the scheduler was stopped {stopped}, and nobody runs the jobs since", fix=_START)


def _alive(beat: Heartbeat, now: dt.datetime) -> Said:
    silent = now - dt.datetime.fromisoformat(beat.at)
    shown = f"{beat.owner}: last sign of life {_new_york(beat.at)}"
    if silent > STALE:
        said = f"{shown}, {_span(silent)} ago; it says one every minute, and was not stopped"
        fix = f"look whether its process lives and why not, then {_START}"
        if session_now(now) is not None:
            return fail(f"{said}. The exchange is open: nobody looks after open positions", fix=fix)
        return warn(f"{said}. The exchange opens {next_open(now)}", fix=fix)
    if beat.version != __version__:
        return warn(
            f"{shown}; it runs version {beat.version}, and this program is {__version__}",
            fix="restart it: it finishes what it is doing when it is told to stop",
        )
    doing = f", doing {beat.doing}" if beat.doing else ""
    coming = f"; next {beat.next_job} {_new_york(beat.next_at)}" if beat.next_job and beat.next_at else ""
    return ok(f"{shown}{doing}{coming}")


def _ran_lately(situation: Situation, now: dt.datetime) -> str | None:
    with reading(situation) as connection:
        row = connection.execute(
            "SELECT slot, ended_at FROM slots WHERE status = 'done' ORDER BY ended_at DESC LIMIT 1"
        ).fetchone()
    if row is None or now - dt.datetime.fromisoformat(row["ended_at"]) > _BY_CRON:
        return None
    return f"{row['slot']} ended {_new_york(row['ended_at'])}"


def _span(length: dt.timedelta) -> str:
    minutes = round(length.total_seconds() / 60)
    if minutes < 120:
        return f"{minutes} minutes"
    return f"{minutes // 60} hours" if minutes < 2880 else f"{minutes // 1440} days"


def _new_york(at: str) -> str:
    return f"{dt.datetime.fromisoformat(at).astimezone(NEW_YORK):%Y-%m-%d %H:%M} New York"
