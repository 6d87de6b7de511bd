"""`mahler trace tail`: what is recorded is told as it happens, once, in order."""

import asyncio
import datetime as dt
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import aclosing, closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from cli_scans import HARMLESS, hostile_script, json_of, run_scan

from mahler_agents.cli import main
from mahler_agents.clock import SimulatedClock
from mahler_agents.record import open_database
from mahler_agents.record.following import Bookmark, FollowReader, Happening, follow
from mahler_agents.record.queries import Reader
from mahler_agents.testing.scripted import ScriptedModel


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tail") / "tail.db"
    run_scan(path, "none")
    run_scan(path, ScriptedModel(hostile_script))
    return path


def look(path: Path, mark: Bookmark) -> list[Happening]:
    with FollowReader(path) as reader:
        return reader.look(mark)


def test_the_newest_run_is_told_once_and_in_order(database: Path) -> None:
    mark = Bookmark()
    told = look(database, mark)
    with Reader(database) as reader:
        trace = reader.trace(reader.run_id("latest"))
    counted = Counter(one.kind for one in told)
    calls = [call for one in trace.candidates for span in one.spans for call in span.calls]
    assert {one.run_id for one in told} == {trace.run.id}
    assert counted["call_started"] == counted["call_ended"] == len(calls)
    assert counted["node"] == sum(len(one.spans) for one in trace.candidates)
    assert counted["event"] == len(trace.events)
    assert counted["decision"] == sum(one.reviewed for one in trace.candidates)
    assert counted["order"] == sum(len(one.orders) for one in trace.candidates) > 0
    assert counted["fill"] == sum(len(order.fills) for one in trace.candidates for order in one.orders)
    assert (told[0].kind, told[-1].kind) == ("run_started", "run_ended")
    times = [one.at for one in told[:-1] if one.at and one.kind != "fill"]
    assert all(one <= other for one, other in pairwise(times))
    assert look(database, mark) == []


def test_a_run_is_followed_as_it_is_written(tmp_path: Path) -> None:
    path = open_database(tmp_path / "live.db", create=True)
    mark = Bookmark()
    assert look(path, mark) == []
    with closing(sqlite3.connect(path)) as connection:

        def write(sql: str, *values: object) -> list[tuple[str, Any]]:
            with connection:
                connection.execute(sql, values)
            return [(one.kind, one.rank) for one in look(path, mark)]

        now = "2026-03-17T14:00:00.000Z"
        run = (
            "INSERT INTO runs (id, kind, slot, status, as_of, decision_at, started_at, environment, market, source,"
            " synthetic, broker, account_id, model, toy_model, version, config)"
            " VALUES ('r', 'scan', 's', 'running', ?, ?, ?, 'paper', 'sample', 't', 1, 'paper', 'a', 'm', 0, 'v', '{}')"
        )
        assert write(run, now, now, now) == [("run_started", None)]
        candidate = (
            "INSERT INTO candidates (id, run_id, rank, underlying, spread_type, expiration, short_strike, long_strike,"
            " dte, credit, score, reviewed, facts) VALUES ('r.1', 'r', 1, 'SPY', 'bull_put', '2026-04-17', 1, 2, 3, 4,"
            " 5, 1, '{}')"
        )
        assert write(candidate) == []
        call = (
            "INSERT INTO llm_calls (id, run_id, candidate_id, span_id, role, attempt, model, prompt_hash, request,"
            " started_at) VALUES ('c', 'r', 'r.1', 's', 'greeks', 1, 'm', 'p', '{}', ?)"
        )
        assert write(call, now) == [("call_started", 1)]
        assert write("UPDATE llm_calls SET ended_at = ?, outcome = 'replied'", now) == [("call_ended", 1)]
        assert write("UPDATE llm_calls SET error = 'again'") == []
        order = (
            "INSERT INTO orders (client_order_id, account_id, slot, candidate_id, purpose, state, underlying,"
            " spread_type, expiration, short_strike, long_strike, short_symbol, long_symbol, contracts, limit_credit,"
            " decided_at)"
            " VALUES (?, 'a', 's', ?, ?, 'intent', 'SPY', 'bull_put', '2026-04-17', 2, 1, 'S', 'L', 1, 0.2, ?)"
        )
        assert write(order, "o", "r.1", "entry", now) == [("order", 1)]
        assert write("UPDATE orders SET detail = 'words'") == []
        for state in ("sent", "accepted", "partial"):
            assert write("UPDATE orders SET state = ?", state) == [("order", 1)]
        attempt = "INSERT INTO order_attempts VALUES ('o', 1, 'o.1', ?, 1, 0.2, 'sent', NULL)"
        assert write(attempt, now) == []
        assert write("INSERT INTO fills VALUES ('o', 1, 1, ?, 1, 0.2, 0)", now) == [("fill", 1)]
        assert write("UPDATE orders SET state = 'filled'") == [("order", 1)]
        assert write(order, "x", None, "exit", now) == [("order", None)]
        assert write("UPDATE candidates SET decision = 'skipped', reason = 'low'") == [("decision", 1)]
        assert write("UPDATE runs SET ended_at = ?, status = 'done'", now) == [("run_ended", None)]
        account = "INSERT INTO events (at, level, code, message) VALUES (?, 'warning', 'no_mark', 'x')"
        assert write(account, now) == [("event", None)]


def test_an_order_of_an_earlier_run_that_works_still_is_followed(database: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(database, tmp_path))
    with closing(sqlite3.connect(path)) as connection:
        [(order, run)] = connection.execute(
            "SELECT client_order_id, run_id FROM orders JOIN candidates ON candidates.id = candidate_id"
            " JOIN runs ON runs.id = run_id ORDER BY started_at LIMIT 1"
        )

        def state(value: str) -> None:
            with connection:
                connection.execute("UPDATE orders SET state = ? WHERE client_order_id = ?", (value, order))

        state("accepted")
        mark = Bookmark()
        assert run not in {one.run_id for one in look(path, mark)}
        state("filled")
        assert [(one.kind, one.run_id, one.facts["state"]) for one in look(path, mark)] == [("order", run, "filled")]


def test_following_waits_on_the_clock_between_looks(database: Path) -> None:
    start = dt.datetime(2026, 3, 17, tzinfo=dt.UTC)
    clock = SimulatedClock(start)

    async def until_the_next_event() -> Happening:
        async with aclosing(follow(database, clock)) as happenings:
            async for one in happenings:
                if one.kind == "run_ended":
                    with closing(sqlite3.connect(database)) as connection, connection:
                        connection.execute(
                            "INSERT INTO events (at, level, code, message) VALUES ('2026', 'info', 'later', 'x')"
                        )
                if one.facts.get("code") == "later":
                    return one
        raise AssertionError

    assert asyncio.run(until_the_next_event()).run_id is None
    assert clock.now() == start + dt.timedelta(milliseconds=500)


def test_once_prints_what_the_newest_run_holds_and_nothing_that_a_terminal_would_obey(
    database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["trace", "tail", "--once", "--db", str(database)]) == 0
    text = capsys.readouterr().out
    assert "run started: market sample (SYNTHETIC), model scripted" in text
    assert "sentiment attempt 1: http_error, HTTP 401" in text
    assert "run done" in text
    assert HARMLESS in text or "[2J" not in text
    assert not [char for char in text if char != "\n" and not char.isprintable()]
    assert main(["trace", "tail", "--once", "--json", "--db", str(database)]) == 0
    kinds = [json_of(line)["kind"] for line in capsys.readouterr().out.splitlines()]  # type: ignore[index]
    assert kinds[0] == "run_started"


def test_ctrl_c_is_the_usual_end(database: Path) -> None:
    code = "import sys; from mahler_agents.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", code, "trace", "tail", "--db", str(database)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        while "run done" not in process.stdout.readline():
            pass
        os.kill(process.pid, signal.SIGINT)
        assert process.wait(timeout=20) == 0
        assert process.stderr.read() == ""
