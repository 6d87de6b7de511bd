"""For tests of the schedule: jobs whose desk only notes what it is asked, on a real record."""

import asyncio
import datetime as dt
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

from mahler_agents.clock import NEW_YORK, Clock, Ids, SimulatedClock
from mahler_agents.config import DeskConfig
from mahler_agents.desk import Desk
from mahler_agents.jobs import Jobs, Told
from mahler_agents.record.slots import SlotBook, SlotRow, read_slots
from mahler_agents.schedule import Job, ScheduleSettings, Slot

EVER = ("0", "9")
"""Texts before and after every instant."""


class NotedDesk:
    """Does nothing but note the slots that it is asked to run; `during` is what happens meanwhile."""

    def __init__(self, note: Callable[[str], object], during: Callable[[str], Any] = lambda _: None) -> None:
        self._note, self._during = note, during

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        return None

    async def present(self) -> None:
        return None

    async def scan(self, *, slot: str, as_of: None, watch: object) -> SimpleNamespace:
        del as_of, watch
        return await self._noted(slot)

    async def monitor(self, *, slot: str, at: None) -> SimpleNamespace:
        del at
        return await self._noted(slot)

    async def _noted(self, slot: str) -> SimpleNamespace:
        self._note(slot)
        happening = self._during(slot)
        if asyncio.iscoroutine(happening):
            await happening
        return SimpleNamespace(failed=())


def new_york(date: str, time: str = "00:00") -> dt.datetime:
    """Return an instant of New York's time."""
    return dt.datetime.fromisoformat(f"{date}T{time}").replace(tzinfo=NEW_YORK).astimezone(dt.UTC)


def with_account(path: Path) -> Path:
    """Make a record that has an account: a day can be summed up."""

    async def scan() -> None:
        config = DeskConfig(universe=("GLD",), decision_delay_seconds=0)
        clock = SimulatedClock(new_york("2026-03-17", "10:00"))
        async with Desk(model="none", database=path, config=config, clock=clock, ids=Ids(1), environ={}) as desk:
            await desk.scan()

    asyncio.run(scan())
    return path


def jobs_on(
    path: Path,
    clock: Clock,
    note: Callable[[str], object],
    during: Callable[[str], Any] = lambda _: None,
    *,
    owner: str = "test:1",
    times: ScheduleSettings | None = None,
    told: Told | None = None,
) -> Jobs:
    """Return jobs whose desk only notes; the caller closes its `book`."""
    more = {} if told is None else {"told": told}
    return Jobs(
        desk_of=lambda _: NotedDesk(note, during),
        book=SlotBook(path),
        clock=clock,
        owner=owner,
        times=times or ScheduleSettings(),
        **more,
    )


def rows(path: Path) -> dict[str, SlotRow]:
    """Return every slot on record by its name."""
    return {row.slot: row for row in read_slots(path, since=EVER[0], until=EVER[1])}


def slot_at(job: Job, date: str, time: str) -> Slot:
    """Return a slot."""
    return Slot(job=job, due_at=new_york(date, time))
