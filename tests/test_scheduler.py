"""The daemon: every slot once, through a year, jumps of the clock, crashes, failures and rivals."""

import asyncio
import datetime as dt
import os
import shutil
import signal
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
from conftest import SOAK
from scheduling import jobs_on, new_york, rows, slot_at, with_account

from mahler_agents.clock import SimulatedClock
from mahler_agents.errors import HaltedError, MarketError
from mahler_agents.jobs import Outcome, Taken
from mahler_agents.market import calendar
from mahler_agents.ping import Pinger
from mahler_agents.record.slots import Heartbeat, SlotStatus, read_heartbeats
from mahler_agents.schedule import MINUTE, Job, ScheduleSettings, due_slots
from mahler_agents.scheduler import Daemon

HOURLY = ScheduleSettings(monitor_every_minutes=60)
ALL = ScheduleSettings() if SOAK else HOURLY
DATE = "2025-03-10"
SCAN = f"scan-{DATE}T10:00"


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return with_account(tmp_path_factory.mktemp("record") / "desk.db")


@pytest.fixture
def record(empty: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(empty, tmp_path / "desk.db"))


class Runs:
    """A daemon on a standing clock that is stopped at an instant, and what it asked of its desk."""

    def __init__(self, record: Path, begin: dt.datetime, **choices: object) -> None:
        self.record, self.clock = record, SimulatedClock(begin)
        self.noted: list[str] = []
        self.outcomes: list[Outcome] = []
        self.jobs = jobs_on(record, self.clock, self.noted.append, told=self._told, **choices)

    async def _told(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)

    def until(self, end: dt.datetime, daemon: Daemon | None = None) -> "Runs":
        """Run until nothing more is due before `end`."""
        daemon = daemon or Daemon(jobs=self.jobs)
        wait = self.clock.sleep_until

        async def sleep_until(instant: dt.datetime) -> None:
            if instant >= end:
                daemon.stopping.set()
            else:
                await wait(instant)

        self.clock.sleep_until = sleep_until
        asyncio.run(daemon.run())
        self.clock.sleep_until = wait
        return self

    def close(self) -> None:
        self.jobs.book.__exit__(None, None, None)


ODD_DAYS = [
    ("2025-01-08", "2025-01-11"),  # a day of mourning
    ("2025-03-07", "2025-03-11"),  # summer time begins
    ("2025-04-17", "2025-04-22"),  # Good Friday
    ("2025-06-18", "2025-06-21"),  # Juneteenth
    ("2025-07-03", "2025-07-08"),  # a half-day, and a holiday
    ("2025-10-31", "2025-11-04"),  # summer time ends
    ("2025-11-28", "2025-12-02"),  # a half-day
    ("2025-12-24", "2025-12-27"),  # another, and Christmas
]


@pytest.mark.parametrize(("first", "end"), [("2025-01-01", "2026-01-01")] if SOAK else ODD_DAYS)
def test_a_year_fires_exactly_the_slots_of_the_calendar(record: Path, first: str, end: str) -> None:
    begins, ends = new_york(first), new_york(end)
    runs = Runs(record, begins, times=ALL).until(ends)
    expected = [slot.name for slot in due_slots(calendar, begins, ends, ALL)]
    assert [outcome.slot.name for outcome in runs.outcomes] == expected
    assert Counter(runs.noted) == Counter(name for name in expected if not name.startswith("summary"))
    assert {row.status for row in rows(record).values()} == {SlotStatus.DONE}
    assert len(rows(record)) == len(expected)


@pytest.mark.parametrize("jump_at", ["09:01", "09:47", "09:59", "10:00", "10:03", "15:10"])
@pytest.mark.parametrize("minutes", [60, -60])
def test_a_clock_that_jumps_an_hour_neither_doubles_nor_loses_a_scan(record: Path, jump_at: str, minutes: int) -> None:
    runs = Runs(record, new_york(DATE, "08:00")).until(new_york(DATE, jump_at))
    runs.clock._now = new_york(DATE, jump_at) + minutes * MINUTE
    runs.until(new_york("2025-03-11"))
    counts = Counter(runs.noted)
    assert counts[SCAN] == 1
    assert set(counts.values()) == {1}
    done = [name for name, row in rows(record).items() if row.status is SlotStatus.DONE]
    assert sorted(done) == sorted([*counts, f"summary-{DATE}"])
    # Of the passes that the clock jumped over the newest is made, and the others are told as missed.
    begun = min(row.due_at for row in rows(record).values())
    assert len(rows(record)) == len(
        due_slots(calendar, dt.datetime.fromisoformat(begun) - MINUTE, new_york("2025-03-11"))
    )


def test_a_clock_that_was_a_year_ahead_keeps_nothing_from_its_time(record: Path) -> None:
    Runs(record, new_york("2026-03-10", "09:59")).until(new_york("2026-03-10", "10:01")).close()
    runs = Runs(record, new_york(DATE, "09:59")).until(new_york(DATE, "10:06"))
    assert runs.noted == [f"monitor-{DATE}T09:55", f"monitor-{DATE}T10:00", SCAN, f"monitor-{DATE}T10:05"]


def test_a_daemon_that_was_down_runs_late_what_still_may_be_and_tells_the_rest(record: Path) -> None:
    Runs(record, new_york(DATE, "09:00")).until(new_york(DATE, "09:41")).close()
    later = Runs(record, new_york(DATE, "11:12")).until(new_york(DATE, "11:13"))
    assert later.noted == ["monitor-2025-03-10T11:10", SCAN]
    found = rows(record)
    missed = {name for name, row in found.items() if row.status is SlotStatus.MISSED}
    assert missed == {
        slot.name for slot in due_slots(calendar, new_york(DATE, "09:40"), new_york(DATE, "11:09"), None, [Job.MONITOR])
    }
    assert found["monitor-2025-03-10T09:45"].detail == "nothing ran then; monitor-2025-03-10T09:50 followed"


def test_a_new_record_misses_nothing_that_was_due_before_it(record: Path) -> None:
    Runs(record, new_york(DATE, "14:02")).until(new_york(DATE, "14:03"))
    assert list(rows(record)) == ["monitor-2025-03-10T14:00"]


def test_the_summary_of_a_day_on_which_it_died_is_made_late(record: Path) -> None:
    Runs(record, new_york(DATE, "15:00")).until(new_york(DATE, "15:02")).close()
    Runs(record, new_york("2025-03-11", "07:00")).until(new_york("2025-03-11", "07:01"))
    assert rows(record)[f"summary-{DATE}"].status is SlotStatus.DONE


# --- Failures ---------------------------------------------------------------------------------------------------------


def failing(times: int, error: Exception) -> "tuple[list[str], object]":
    asked: list[str] = []

    def during(slot: str) -> None:
        if slot == SCAN:
            asked.append(slot)
            if len(asked) <= times:
                raise error

    return asked, during


def test_a_job_that_fails_before_it_had_begun_is_tried_again_and_the_next_slot_runs(record: Path) -> None:
    asked, during = failing(1, MarketError("no chain could be had"))
    runs = Runs(record, new_york(DATE, "09:59"), during=during).until(new_york(DATE, "10:12"))
    assert len(asked) == 2
    first, second = [outcome for outcome in runs.outcomes if outcome.slot.name == SCAN]
    assert (first.status, first.detail) == (SlotStatus.RETRYING, "no chain could be had")
    assert first.text.endswith("it is tried again at 2025-03-10 10:05 New York")
    assert second.status is SlotStatus.DONE
    assert rows(record)[SCAN].attempts == 2
    assert "monitor-2025-03-10T10:10" in runs.noted


def test_a_job_that_fails_again_and_again_ends_and_says_why(record: Path) -> None:
    asked, during = failing(9, ZeroDivisionError("a defect"))
    runs = Runs(record, new_york(DATE, "09:59"), during=during).until(new_york(DATE, "12:00"))
    assert len(asked) == 3
    row = rows(record)[SCAN]
    assert (row.status, row.attempts, row.detail) == (SlotStatus.FAILED, 3, "ZeroDivisionError: a defect")
    assert [one.status for one in runs.outcomes if one.slot.name == SCAN].count(SlotStatus.FAILED) == 1
    assert "monitor-2025-03-10T11:55" in runs.noted


def test_a_halted_scan_has_run_and_says_that_it_was_refused(record: Path) -> None:
    _, during = failing(9, HaltedError("scan refused: HALTED"))
    Runs(record, new_york(DATE, "09:59"), during=during).until(new_york(DATE, "10:30"))
    row = rows(record)[SCAN]
    assert (row.status, row.attempts, row.detail) == (SlotStatus.DONE, 1, "scan refused: HALTED")


# --- Rivals -----------------------------------------------------------------------------------------------------------


def test_two_daemons_and_a_cron_job_on_one_record_run_each_slot_once(
    record: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Each process has a clock of its own here, which may be hours ahead of another's: no lease may end by that.
    monkeypatch.setattr("mahler_agents.jobs.LEASE", dt.timedelta(days=30))
    log = tmp_path / "noted"
    begin, end = new_york(DATE, "09:00"), new_york("2025-03-11" if not SOAK else "2025-03-20")

    def note(slot: str) -> None:
        with log.open("a") as file:
            file.write(f"{slot}\n")

    def daemon(number: int) -> None:
        runs = Runs(record, begin)
        runs.jobs = jobs_on(record, runs.clock, note, owner=f"daemon:{number}")
        runs.until(end)

    def cron(number: int) -> None:
        clock = SimulatedClock(begin)
        jobs = jobs_on(record, clock, note, owner=f"cron:{number}")

        async def tick() -> None:
            while clock.now() < end:
                for job in Job:
                    for slot in jobs.due(job).run:
                        await jobs.run(slot)
                clock.advance_to(clock.now() + 5 * MINUTE)

        asyncio.run(tick())

    children: list[int] = []
    for number, work in enumerate((daemon, daemon, cron)):
        child = os.fork()
        if child == 0:
            try:
                work(number)
                os._exit(0)
            finally:
                os._exit(1)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]
    counts = Counter(log.read_text().split())
    assert set(counts.values()) == {1}
    assert counts[SCAN] == 1
    found = rows(record)
    done = {name for name, row in found.items() if row.status is SlotStatus.DONE}
    assert done >= set(counts)
    assert {row.status for row in found.values()} <= {SlotStatus.DONE, SlotStatus.MISSED}
    assert len({row.owner for row in found.values() if row.owner}) > 1, "they have really met"


def test_a_slot_whose_process_was_killed_is_run_by_the_next_at_once(record: Path) -> None:
    child = os.fork()
    if child == 0:

        def die(slot: str) -> None:
            if slot == SCAN:
                os.kill(os.getpid(), signal.SIGKILL)

        try:
            Runs(record, new_york(DATE, "09:59"), during=die).until(new_york(DATE, "10:30"))
        finally:
            os._exit(1)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    assert rows(record)[SCAN].status is SlotStatus.RUNNING
    runs = Runs(record, new_york(DATE, "10:02"), owner="test:2").until(new_york(DATE, "10:03"))
    assert runs.noted == [SCAN]
    assert (rows(record)[SCAN].status, rows(record)[SCAN].attempts) == (SlotStatus.DONE, 2)


def test_a_slot_that_is_at_work_elsewhere_is_left_alone_until_its_lease_ends(record: Path) -> None:
    slot = slot_at(Job.SCAN, DATE, "10:00")
    first = jobs_on(record, SimulatedClock(slot.due_at), lambda _: None, owner="other:1")
    second = jobs_on(record, SimulatedClock(slot.due_at + MINUTE), lambda _: None, owner="test:1")
    with first.book.holding_claims():
        assert first._claim(slot) is None
        taken = asyncio.run(second.run(slot))
        assert isinstance(taken, Taken)
        assert "at work in other:1" in taken.text
        second.clock.advance_to(slot.due_at + 31 * MINUTE)
        ended = asyncio.run(second.run(slot))
        assert isinstance(ended, Outcome)
        assert ended.status is SlotStatus.DONE
    asyncio.run(asyncio.to_thread(first._ended, Outcome(slot=slot, status=SlotStatus.FAILED, detail="late")))
    assert rows(record)[SCAN].status is SlotStatus.DONE, "whoever lost the claim writes nothing"


def test_a_second_daemon_of_the_same_slot_says_that_it_is_done(record: Path) -> None:
    runs = Runs(record, new_york(DATE, "09:59")).until(new_york(DATE, "10:01"))
    taken = asyncio.run(runs.jobs.run(slot_at(Job.SCAN, DATE, "10:00")))
    assert isinstance(taken, Taken)
    assert taken.text == f"{SCAN} is done by test:1 at 2025-03-10 10:00 New York"


@pytest.mark.parametrize(("status", "ended_as"), [("done", SlotStatus.DONE), ("failed", SlotStatus.FAILED)])
def test_a_scan_that_had_ended_when_its_process_died_is_not_made_again(
    record: Path, status: str, ended_as: SlotStatus
) -> None:
    with closing(sqlite3.connect(record)) as connection, connection:
        connection.execute("UPDATE runs SET slot = ?, status = ?", (SCAN, status))
        [[run_id]] = connection.execute("SELECT id FROM runs").fetchall()
    runs = Runs(record, new_york(DATE, "10:00")).until(new_york(DATE, "10:30"))
    assert SCAN not in runs.noted
    row = rows(record)[SCAN]
    assert (row.status, row.run_id) == (ended_as, run_id)
    [told] = [outcome for outcome in runs.outcomes if outcome.slot.name == SCAN]
    assert f"`mahler trace show {run_id}`" in str(told.error), "whether its end was told is not known: this is"


# --- Stopping and signs of life ---------------------------------------------------------------------------------------


def test_told_to_stop_it_finishes_what_is_at_work_and_begins_nothing(record: Path) -> None:
    runs = Runs(record, new_york(DATE, "09:59"))
    daemon = Daemon(jobs=runs.jobs)

    def stop(slot: str) -> None:
        if slot == SCAN:
            daemon.stopping.set()

    daemon.jobs = jobs_on(record, runs.clock, runs.noted.append, stop)
    asyncio.run(daemon.run())
    assert runs.noted[-1] == SCAN
    assert rows(record)[SCAN].status is SlotStatus.DONE
    [heartbeat] = read_heartbeats(record)
    assert heartbeat.stopped_at is not None
    assert (heartbeat.doing, heartbeat.next_job) == (None, None)


def test_cancelled_it_gives_its_claim_back(record: Path) -> None:
    runs = Runs(record, new_york(DATE, "10:00"))
    begun = asyncio.Event()

    async def hang() -> None:
        begun.set()
        await asyncio.Event().wait()

    runs.jobs = jobs_on(record, runs.clock, runs.noted.append, lambda slot: hang() if slot == SCAN else None)

    async def cancelled() -> None:
        task = asyncio.ensure_future(Daemon(jobs=runs.jobs).run())
        await begun.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(cancelled())
    row = rows(record)[SCAN]
    assert (row.status, row.lease_until) == (SlotStatus.RUNNING, None)
    again = Runs(record, new_york(DATE, "10:01"), owner="test:2").until(new_york(DATE, "10:02"))
    assert SCAN in again.noted


def test_cancelled_while_it_claims_it_gives_the_claim_back(record: Path) -> None:
    slot = slot_at(Job.SCAN, DATE, "10:00")
    jobs = jobs_on(record, SimulatedClock(slot.due_at), lambda _: None)
    claim, go = jobs.book.claim, threading.Event()

    async def cancelled() -> None:
        loop, begun = asyncio.get_running_loop(), asyncio.Event()

        def slowly(*args: object, **kwargs: object) -> object:
            loop.call_soon_threadsafe(begun.set)
            go.wait()
            return claim(*args, **kwargs)

        jobs.book.claim = slowly
        task = asyncio.create_task(jobs.run(slot))
        await begun.wait()
        task.cancel()
        await asyncio.wait([task], timeout=0)
        go.set()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    row = rows(record)[SCAN]
    assert (row.status, row.lease_until) == (SlotStatus.RUNNING, None)


def test_a_daemon_that_has_the_name_of_an_earlier_one_has_its_own_start(record: Path) -> None:
    for time in ("09:31", "14:00"):  # in a container it has the same number every time
        Runs(record, new_york(DATE, time)).until(new_york(DATE, time) + MINUTE).close()
    [heartbeat] = read_heartbeats(record)
    assert heartbeat.started_at == "2025-03-10T18:00:00.000Z"


class Watcher(BaseHTTPRequestHandler):
    """A service that is told that the desk is alive, and answers as it is scripted."""

    answers: ClassVar[list[int]] = []
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_response(self.answers.pop(0) if self.answers else 200)
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        del arguments


@pytest.fixture
def watcher(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(Watcher, "answers", [])
    monkeypatch.setattr(Watcher, "asked", [])
    with ThreadingHTTPServer(("127.0.0.1", 0), Watcher) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/secret-of-the-check"
        server.shutdown()
        thread.join()


def test_every_heartbeat_says_what_comes_next_and_calls_the_watcher(record: Path, watcher: str) -> None:
    runs = Runs(record, new_york(DATE, "09:31"))
    told: list[Heartbeat] = []
    beat = runs.jobs.book.beat
    runs.jobs.book.beat = lambda heartbeat: (told.append(heartbeat), beat(heartbeat))
    daemon = Daemon(jobs=runs.jobs, ping=Pinger(watcher))
    runs.until(new_york(DATE, "09:41"), daemon)
    upcoming = [f"monitor-{DATE}T09:{minute}" for minute in (35, 40, 45)]
    assert list(dict.fromkeys(one.next_job for one in told)) == [*upcoming, None]
    assert told[-1].stopped_at is not None
    assert told[0].next_at == "2025-03-10T13:35:00.000Z"
    assert set(Watcher.asked) == {"/secret-of-the-check"}
    assert read_heartbeats(record) == (told[-1],)


def test_a_watcher_that_does_not_answer_is_told_once_without_its_secret(
    watcher: str, caplog: pytest.LogCaptureFixture
) -> None:
    Watcher.answers = [500, 503, 200, 200]
    pinger = Pinger(watcher)

    async def beats() -> None:
        for _ in range(4):
            await pinger()
        await Pinger("http://127.0.0.1:9/secret-of-the-check")()

    with caplog.at_level("INFO", logger="mahler_agents"):
        asyncio.run(beats())
    assert [one.message for one in caplog.records if one.name == "mahler_agents.ping"] == [
        "the ping URL does not answer: status 500; the schedule goes on",
        "the ping URL answers again",
        "the ping URL does not answer: ConnectError; the schedule goes on",
    ]
    assert "secret" not in caplog.text
