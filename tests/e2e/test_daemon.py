"""End to end: `mahler run` as a process, at a fake Alpaca and a scripted model over HTTP: days, SIGTERM, SIGKILL."""

import datetime as dt
import json
import os
import signal
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from conftest import SOAK
from daemons import daemon, model_server
from scheduling import new_york, rows

from mahler_agents.cli import main
from mahler_agents.market import calendar
from mahler_agents.record.slots import SlotStatus, read_heartbeats
from mahler_agents.schedule import Job, ScheduleSettings, due_slots
from mahler_agents.testing.fake_alpaca import FakeAlpaca
from mahler_agents.testing.scripted import ScriptedReply, ScriptedRequest, favourable

FIRST = dt.date(2026, 3, 16)
LAST = dt.date(2026, 3, 20) if SOAK else dt.date(2026, 3, 17)
EVERY = 5 if SOAK else 30
START = new_york(FIRST.isoformat(), "09:20")
SCAN = f"scan-{FIRST}T10:00"


def query(database: Path, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute(sql).fetchall()


def test_days_pass_without_attention_and_it_grows_neither_in_memory_nor_in_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    every = {"MAHLER_SCHEDULE__MONITOR_EVERY_MINUTES": str(EVERY)}
    files: list[int] = []
    megabytes: list[float] = []
    with FakeAlpaca(start=START) as fake, model_server(favourable) as model:
        with daemon(tmp_path, fake, model, **every) as running:
            for date in calendar.sessions(FIRST, LAST):
                assert running.until(f"summary-{date} is done"), running.said[-20:]
                files.append(running.open_files)
                megabytes.append(running.megabytes)
            running.process.send_signal(signal.SIGTERM)
            assert running.ended() == 0, running.said[-20:]
        books = fake.books()
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(tmp_path)
            for name, value in {**fake.environ, **every}.items():
                patch.setenv(name, value)
            capsys.readouterr()
            main(["verify", "--json", "--db", "desk.db"])
            judged = json.loads(capsys.readouterr().out)
    print(f"\nfile handles {files}, megabytes {[round(one) for one in megabytes]} after each day")
    assert {one["name"] for one in judged["findings"] if one["verdict"] == "fail"} == set()
    found = rows(tmp_path / "desk.db")
    times = ScheduleSettings(monitor_every_minutes=EVERY)
    expected = due_slots(calendar, START, new_york(LAST.isoformat(), "16:21"), times)
    assert {slot.name for slot in expected} <= set(found)
    assert Counter(row.status for row in found.values() if row.job != Job.MONITOR) == {SlotStatus.DONE: 2 * len(files)}
    assert {row.status for row in found.values()} <= {SlotStatus.DONE, SlotStatus.MISSED}
    assert files[-1] <= files[0] + 2
    assert megabytes[-1] <= megabytes[0] * 1.08
    assert not [line for line in running.said if " ERROR " in line or "Traceback" in line]
    legs = query(
        tmp_path / "desk.db",
        "SELECT short_symbol, long_symbol, contracts - closed_contracts FROM positions WHERE state = 'open'",
    )
    held: Counter[str] = Counter()
    for short, long, contracts in legs:
        held.update({short: -contracts, long: contracts})
    assert {symbol: count for symbol, count in held.items() if count} == books["positions"]
    [heartbeat] = read_heartbeats(tmp_path / "desk.db")
    assert heartbeat.stopped_at is not None


class Signals:
    """A model that sends the daemon a signal at its n-th request, once."""

    def __init__(self, number: signal.Signals, at: int) -> None:
        self.number, self.at = number, at
        self.pid: int | None = None
        self.requests = 0

    def __call__(self, request: ScriptedRequest) -> ScriptedReply | Exception:
        self.requests += 1
        if self.requests == self.at and self.pid is not None:
            os.kill(self.pid, self.number)
        return favourable(request)


def slot_of_the_scan(tmp_path: Path) -> Any:
    return rows(tmp_path / "desk.db")[SCAN]


def entries(tmp_path: Path) -> list[tuple[Any, ...]]:
    return query(
        tmp_path / "desk.db",
        "SELECT short_symbol, long_symbol, COUNT(*) FROM orders WHERE purpose = 'entry' GROUP BY 1, 2",
    )


def test_told_to_stop_in_a_scan_it_ends_the_scan_with_its_orders(tmp_path: Path) -> None:
    signals = Signals(signal.SIGTERM, at=7)
    with FakeAlpaca(start=new_york(FIRST.isoformat(), "09:58")) as fake, model_server(signals) as model:
        with daemon(tmp_path, fake, model) as running:
            signals.pid = running.pid
            assert running.ended() == 0, running.said[-20:]
        assert signals.requests > 7, "it went on asking"
        assert (slot_of_the_scan(tmp_path).status, slot_of_the_scan(tmp_path).attempts) == (SlotStatus.DONE, 1)
        before = entries(tmp_path)
        assert {count for *_, count in before} == {1}
        asked = signals.requests
        with daemon(tmp_path, fake, model) as again:
            assert again.until("monitor-2026-03-16T10:10 is done"), again.said[-20:]
            again.process.send_signal(signal.SIGTERM)
            assert again.ended() == 0
    assert signals.requests == asked, "the slot was not run again"
    assert entries(tmp_path) == before


def test_killed_in_a_scan_the_next_start_completes_the_slot_once(tmp_path: Path) -> None:
    signals = Signals(signal.SIGKILL, at=9)
    with FakeAlpaca(start=new_york(FIRST.isoformat(), "09:58")) as fake, model_server(signals) as model:
        with daemon(tmp_path, fake, model) as running:
            signals.pid = running.pid
            assert running.ended() == -signal.SIGKILL
        assert slot_of_the_scan(tmp_path).status is SlotStatus.RUNNING
        signals.pid = None
        with daemon(tmp_path, fake, model) as again:
            assert again.until(f"{SCAN} is done"), again.said[-20:]
            again.process.send_signal(signal.SIGTERM)
            assert again.ended() == 0
        books = fake.books()
    row = slot_of_the_scan(tmp_path)
    assert (row.status, row.attempts) == (SlotStatus.DONE, 2)
    assert query(tmp_path / "desk.db", f"SELECT id, status FROM runs WHERE slot = '{SCAN}'") == [(row.run_id, "done")]
    assert {count for *_, count in entries(tmp_path)} == {1}
    sent = Counter(order["client_order_id"] for order in books["orders"])
    assert set(sent.values()) == {1}
