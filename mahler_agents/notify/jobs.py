"""Notify: a job that failed or was refused, and a day's summary, in; their notices out; pure."""

import datetime as dt

from mahler_agents.errors import HaltedError, MahlerError
from mahler_agents.notify.notice import Kind, Notice, Severity, made_up
from mahler_agents.summary.day import DaySummary
from mahler_agents.summary.lines import summary_lines
from mahler_agents.text import instant
from mahler_agents.wording import SYNTHETIC_MARKET


def notice_of_failure(
    job: str, slot: str, error: BaseException, *, at: dt.datetime, next_at: dt.datetime | None = None
) -> Notice:
    """Return the notice of a job that raised: refused if the desk is halted, else failed; once a slot and error.

    `next_at` is when it is tried again, if it is. A desk that stays halted is told of once a day.
    """
    halted = isinstance(error, HaltedError)
    kind, name = (Kind.REFUSED, "refused") if halted else (Kind.JOB_FAILED, "failed")
    told = str(error) if isinstance(error, MahlerError) else f"{type(error).__name__}: {error}"
    fields = {"job": job, "slot": slot, "error": type(error).__name__}
    if next_at is not None:
        fields["tried again"] = f"{instant(next_at)} New York"
    once = (
        f"{job}-{instant(at)[:10]}"
        if halted
        else f"{job}-{slot}-{type(error).__name__}-{'again' if next_at else 'last'}"
    )
    return Notice(
        kind=kind,
        key=f"{name}-{once}",
        at=at,
        title=f"{job.capitalize()} {name}: {slot}",
        body=told,
        fields=fields,
        severity=Severity.WARNING if halted else Severity.FAILURE,
    )


def notice_of_day(summary: DaySummary, *, at: dt.datetime) -> Notice:
    """Return the notice of a day's summary, in the summary's own words."""
    return Notice(
        kind=Kind.DAY_SUMMARY,
        key=f"day-{summary.account_id}-{summary.date.isoformat()}",
        at=at,
        title=f"Day of {summary.date.isoformat()}",
        body="\n".join(line for line in summary_lines(summary) if line != SYNTHETIC_MARKET),  # a note says that
        notes=made_up(synthetic=summary.synthetic),
    )
