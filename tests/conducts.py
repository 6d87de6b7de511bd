"""Records of a desk that worked through days, for tests of what is read from them: made once, copied and spoilt."""

import datetime as dt
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from recorded import copy_of

from mahler_agents.clock import Ids, SimulatedClock, utc_text
from mahler_agents.desk import Desk
from mahler_agents.execution.trading_state import Change, TradingState, TradingStates
from mahler_agents.exits import ExitParams, ExitPolicy
from mahler_agents.market import calendar
from mahler_agents.record.slots import SlotBook, SlotStatus
from mahler_agents.schedule import Job, ScheduleSettings, Slot, session_slots
from mahler_agents.testing import virtual_time
from mahler_agents.testing.scripted import ScriptedModel, ScriptedReply, ScriptedRequest, favourable, reply

ACCOUNT = "paper-sample-22"
DAYS = (dt.date(2026, 1, 6), dt.date(2026, 1, 7))
"""Three trades and a stop on the first, one trade and its target on the second."""
TIMES = ScheduleSettings(monitor_every_minutes=30)
NOW = dt.datetime(2026, 1, 7, 22, 0, tzinfo=dt.UTC)
"""After the last day's summary."""
SOON = ExitPolicy(fixed=ExitParams(profit_target=0.15, stop_loss=0.5))
"""Exits so near that two days see both."""


def doubts_tlt(request: ScriptedRequest) -> ScriptedReply:
    """The fund manager has little confidence in TLT; the greeks analyst refuses to speak of IWM."""
    asked = request.messages[-1]["content"]
    if request.role == "greeks" and "IWM" in asked:
        return reply(None, refusal="I would rather not say.")
    if request.role == "fund_manager" and "TLT" in asked:
        return favourable(request, confidence=0.3, approved=False, contracts=0)
    return favourable(request)


def record_days(database: Path, days: Sequence[dt.date] = DAYS) -> Path:
    """Run every slot of some days as a scheduler would, halt the desk after the last, and return the record."""

    async def run() -> None:
        clock = SimulatedClock(calendar.session(days[0]).open)
        desk = Desk(
            model=ScriptedModel(doubts_tlt).endpoint,
            database=database,
            exit_policy=SOON,
            clock=clock,
            ids=Ids(1),
            environ={},
        )
        async with desk:
            with SlotBook(database) as book:
                for slot in (slot for date in days for slot in session_slots(calendar, date, TIMES)):
                    clock.advance_to(slot.due_at)
                    await _run(desk, book, slot)

    virtual_time.run(run())
    with TradingStates(database) as states:
        states.note(Change(state=TradingState.HALTED, reason="a holiday", by="the desk", at="2026-01-07T21:40:00.000Z"))
    return database


async def _run(desk: Desk, book: SlotBook, slot: Slot) -> None:
    named = {"job": slot.job.value, "slot": slot.name, "due_at": utc_text(slot.due_at)}
    at, until = utc_text(slot.due_at), utc_text(slot.due_at + dt.timedelta(minutes=10))
    assert book.claim(named, owner="test:1", at=at, lease_until=until, attempts=3) is None
    run_id = None
    if slot.job is Job.MONITOR:
        await desk.monitor(at=slot.due_at)
    elif slot.job is Job.SCAN:
        run_id = (await desk.scan(as_of=slot.due_at, slot=slot.name)).run_id
    ended = {"status": SlotStatus.DONE.value, "ended_at": at, "run_id": run_id}
    assert book.end(named, owner="test:1", values=ended)


def spoilt(database: Path, folder: Path, *statements: str) -> Path:
    """Return a copy of a record after some statements, each of which must change something."""
    copy = copy_of(database, folder)
    with closing(sqlite3.connect(copy)) as connection, connection:
        for statement in statements:
            assert connection.execute(statement).rowcount > 0, statement
    return copy
