"""Command line: the job of the schedule that is due, run once: what `mahler scan --slot auto` and its like share."""

import asyncio
from pathlib import Path
from typing import TypeVar

from mahler_agents.clock import new_york_text, utc_text
from mahler_agents.jobs import Jobs, Outcome, Result, Taken, opened_jobs, slot_of
from mahler_agents.market import calendar
from mahler_agents.progress import Watcher, unwatched
from mahler_agents.schedule import Job, next_slots
from mahler_agents.settings import Settings

R = TypeVar("R", bound=Result)


def run_due(settings: Settings, job: Job, kind: type[R], watch: Watcher = unwatched) -> tuple[Path, R | None, str]:
    """Run the slot of a job that is due; return the record and what came of it, or None and why nothing was run.

    What the job raised is raised, once the record has it.
    """
    with opened_jobs(settings) as jobs:
        ended = asyncio.run(_run(jobs, job, watch))
        if ended is None:
            return jobs.book.path, None, _nothing_due(jobs, job)
    if isinstance(ended, Taken):
        return jobs.book.path, None, f"nothing to do: {ended.text}"
    if isinstance(ended.result, kind):
        return jobs.book.path, ended.result, ""
    assert ended.error is not None, ended  # noqa: S101 - a job without a result has raised
    raise ended.error


async def _run(jobs: Jobs, job: Job, watch: Watcher) -> Outcome | Taken | None:
    ended = None
    for slot in (await asyncio.to_thread(jobs.due, job)).run:
        ended = await jobs.run(slot, watch)
    if isinstance(ended, Outcome):
        return ended
    await jobs.told(None)  # that a slot was missed, for one
    return ended


def _nothing_due(jobs: Jobs, job: Job) -> str:
    now = jobs.clock.now()
    last = jobs.book.last(job.value, at=utc_text(now))
    before = "" if last is None else f"; {Taken(slot=slot_of(last), row=last).text}"
    [following] = next_slots(calendar, now, jobs.times, [job])
    return f"no {job} is due at {new_york_text(now)}{before}; the next is at {new_york_text(following.due_at)}"
