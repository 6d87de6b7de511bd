"""Logs: one line for whatever is said, with the run it belongs to, in the record's words, and never a key."""

import asyncio
import io
import json
import logging
import sqlite3
import subprocess
import sys
import threading
import warnings
from contextlib import closing
from pathlib import Path
from typing import Any

import click
import pytest
from cli_scans import Terminal
from conftest import at_scale
from desks import scan
from hypothesis import given, settings
from hypothesis import strategies as st
from test_redaction import SHAPED

from mahler_agents.cli import mahler, main
from mahler_agents.cli.logging import daemon_log
from mahler_agents.cli.notices import notices
from mahler_agents.clock import SystemClock
from mahler_agents.desk import Desk
from mahler_agents.errors import RecordError
from mahler_agents.logs import JsonFormatter, LogFormat, LogLevel, LogSettings, RunFilter, log_event, to_stream, within
from mahler_agents.record import Writer, open_database
from mahler_agents.recording import BookRecording
from mahler_agents.redaction import REDACTED
from mahler_agents.testing.fault_server import FaultServer
from mahler_agents.testing.scripted import ScriptedModel, favourable, http_error

JSON = LogSettings(format=LogFormat.JSON)
TEXT = LogSettings(format=LogFormat.TEXT)
CANARY = "canary+log/4711-key"


def logged(settings: LogSettings, say: Any) -> str:
    """Return what goes to the stream while `say` runs."""
    stream = io.StringIO()
    with to_stream(settings, stream):
        say(logging.getLogger("a.library"))
    return stream.getvalue()


def objects(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def raising(error: Exception) -> None:
    raise error


# --- One line -------------------------------------------------------------------------------------------------------


@settings(max_examples=at_scale(2000))
@given(st.text(st.characters()))
def test_any_message_is_one_line_and_valid_json_that_holds_it_whole(message: str) -> None:
    text = logged(JSON, lambda log: log.warning("%s", message))
    assert text.endswith("\n")
    [one] = objects(text)
    assert one["message"] == message
    assert text.isascii()
    assert (one["level"], one["logger"]) == ("warning", "a.library")


@settings(max_examples=at_scale(2000))
@given(st.text(st.characters()))
def test_any_message_is_one_plain_line_without_a_character_that_a_terminal_obeys(message: str) -> None:
    text = logged(TEXT, lambda log: log.warning("%s", message))
    [line] = text.splitlines()
    assert line.isprintable() or all(char.isprintable() or char.isspace() for char in line)
    assert "\x1b" not in line


@given(st.text(st.characters(), min_size=1))
def test_no_line_of_a_traceback_poses_as_a_line_of_the_log(words: str) -> None:
    def say(log: logging.Logger) -> None:
        try:
            raising(ValueError(f"{words}\n2026-01-01T00:00:00.000Z error [-] mahler: forged"))
        except ValueError:
            log.exception("it failed")

    first, *rest = logged(TEXT, say).splitlines()
    assert "it failed" in first
    assert len(rest) >= 3
    assert all(line.startswith("    | ") for line in rest)
    [one] = objects(logged(JSON, say))
    assert one["exception"].startswith("Traceback")
    assert "forged" in one["exception"]


def test_a_message_that_does_not_fit_its_arguments_is_a_line_all_the_same() -> None:
    record = logging.LogRecord("a.library", logging.ERROR, "", 1, "%d of %d", ("three",), None)
    one = json.loads(JsonFormatter().format(record))
    assert one["message"] == "%d of %d with arguments that do not fit it: TypeError"


def test_warnings_of_python_are_lines_too_and_nothing_is_left_behind() -> None:
    def say(_: logging.Logger) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("old\nways", DeprecationWarning, stacklevel=1)

    root = logging.getLogger()
    before = (root.level, list(root.handlers))
    [one] = objects(logged(JSON, say))
    assert (one["logger"], one["level"]) == ("py.warnings", "warning")
    assert (root.level, list(root.handlers)) == before


def test_the_level_is_that_of_libraries_too() -> None:
    def say(log: logging.Logger) -> None:
        log.debug("small")
        log.info("large")

    assert [one["message"] for one in objects(logged(JSON, say))] == ["large"]
    debug = LogSettings(level=LogLevel.DEBUG, format=LogFormat.JSON)
    assert [one["message"] for one in objects(logged(debug, say))] == ["small", "large"]
    with pytest.raises(ValueError, match="loud"):
        LogSettings.model_validate({"level": "loud"})


def test_on_a_terminal_a_line_goes_by_way_of_what_draws_there(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal, drawing = Terminal(), io.StringIO()
    monkeypatch.setattr(sys, "stderr", terminal)
    with to_stream(TEXT, terminal):
        monkeypatch.setattr(sys, "stderr", drawing)
        logging.getLogger("a.library").info("above the table")
    assert "above the table" in drawing.getvalue()
    assert terminal.getvalue() == ""


# --- Where a line belongs -------------------------------------------------------------------------------------------


def test_lines_of_tasks_and_copied_threads_belong_to_the_run_and_no_others_do() -> None:
    async def job(number: int) -> None:
        with within(run_id=f"run-{number}", job="scan"):
            await asyncio.sleep(0)
            with within(candidate_id=f"c{number}"):
                await asyncio.to_thread(logging.getLogger("a.library").info, "in a thread of %d", number)
            logging.getLogger("a.library").info("of %d", number)

    async def both() -> None:
        await asyncio.gather(job(1), job(2))
        logging.getLogger("a.library").info("of none")

    lines = objects(logged(JSON, lambda _: asyncio.run(both())))
    for one in lines:
        number = one["message"][-1]
        if one["message"] == "of none":
            assert "run_id" not in one
        else:
            assert (one["run_id"], one["job"]) == (f"run-{number}", "scan")
            assert one.get("candidate_id") == (f"c{number}" if "thread" in one["message"] else None)
    assert len(lines) == 5


def test_a_program_s_own_handler_gets_the_run_by_the_filter(caplog: pytest.LogCaptureFixture) -> None:
    caplog.handler.addFilter(run := RunFilter())
    try:
        with within(run_id="r", slot="s"):
            logging.getLogger("a.library").warning("x")
    finally:
        caplog.handler.removeFilter(run)
    [record] = caplog.records
    assert vars(record)["run_id"] == "r"
    assert vars(record)["slot"] == "s"


def test_every_line_of_a_scan_names_its_run_those_of_libraries_and_threads_too(tmp_path: Path) -> None:
    database = tmp_path / "desk.db"
    result: list[Any] = []

    def say(_: logging.Logger) -> None:
        model = ScriptedModel(favourable)
        result.append(scan(database, model.endpoint, slot="scan-2026-03-17T10:00"))

    lines = objects(logged(LogSettings(level=LogLevel.DEBUG, format=LogFormat.JSON), say))
    run = result[0].run_id
    began = next(number for number, one in enumerate(lines) if one.get("run_id") == run)
    ended = max(number for number, one in enumerate(lines) if one.get("code") == "run_done")
    within_run = lines[began : ended + 1]
    assert len(within_run) > 20
    assert {one.get("run_id") for one in within_run} == {run}
    assert {one["slot"] for one in within_run} == {"scan-2026-03-17T10:00"}
    loggers = {one["logger"].partition(".")[0] for one in within_run}
    assert {"mahler_agents", "openai"} <= loggers
    asked = [one for one in within_run if one["logger"].startswith("openai")]
    assert all(one["candidate_id"].startswith(run) for one in asked)


def test_the_log_says_what_the_record_s_events_say_and_no_more(tmp_path: Path) -> None:
    database = tmp_path / "desk.db"
    lines = objects(logged(JSON, lambda _: scan(database, ScriptedModel(favourable).endpoint)))
    with closing(sqlite3.connect(database)) as connection:
        events = connection.execute("SELECT at, level, code, message, candidate_id FROM events ORDER BY id").fetchall()
    names = ("at", "level", "code", "message", "candidate_id")
    told = [tuple(one.get(name) for name in names) for one in lines if one["logger"] == "mahler_agents.events"]
    assert told == events
    assert len(events) >= 4


def test_what_is_recorded_once_is_logged_once(tmp_path: Path) -> None:
    path = open_database(tmp_path / "desk.db", create=True)

    def say(_: logging.Logger) -> None:
        for _ in range(3):
            with Writer(path) as writer:
                recording = BookRecording(writer, SystemClock())
                recording.event_once("not_resumed", "it could not be", level="warning")
                recording.event_once("not_resumed", "it could not be", level="warning")

    with within(job="monitor"):
        [one] = objects(logged(JSON, say))
    assert (one["code"], one["level"], one["job"]) == ("not_resumed", "warning", "monitor")


def write_until_it_breaks(path: Path) -> None:
    with Writer(path) as writer:
        recording = BookRecording(writer, SystemClock())
        recording.event("first", "it is written")
        writer.insert("no_such_table", {"x": 1})
        recording.event("second", "it comes too late")


def test_an_event_that_the_record_cannot_take_is_logged_all_the_same(tmp_path: Path) -> None:
    path = open_database(tmp_path / "desk.db", create=True)

    def say(_: logging.Logger) -> None:
        with pytest.raises(RecordError):
            write_until_it_breaks(path)

    assert [one["code"] for one in objects(logged(JSON, say))] == ["first", "second"]


def test_a_handler_that_fails_does_not_stop_the_record(tmp_path: Path) -> None:
    class Failing(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise OSError(record.getMessage())

    path, events = open_database(tmp_path / "desk.db", create=True), logging.getLogger("mahler_agents.events")
    events.addHandler(failing := Failing())
    try:
        with Writer(path) as writer:
            BookRecording(writer, SystemClock()).event("first", "x", level="error")
            BookRecording(writer, SystemClock()).event("second", "x", level="error")
    finally:
        events.removeHandler(failing)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT code FROM events").fetchall() == [("first",), ("second",)]


# --- Keys -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", LogFormat)
def test_no_key_is_in_any_line_at_debug_not_in_exceptions_and_not_in_those_of_http_libraries(
    form: LogFormat, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import requests

    monkeypatch.setenv("APCA_API_SECRET_KEY", CANARY)

    def say(log: logging.Logger) -> None:
        log.debug("headers %r", {"Authorization": f"Bearer {SHAPED}", "APCA-API-SECRET-KEY": CANARY})
        try:
            raising(RuntimeError(f"refused {CANARY}"))
        except RuntimeError:
            log.exception("it quotes %s", CANARY, stack_info=True)
        asyncio.run(over_http())

    async def over_http() -> None:
        async with FaultServer(lambda _: http_error(401, f"Incorrect API key provided: {CANARY} {SHAPED}")) as server:
            url = f"{server.base_url}/models?key={CANARY}"
            await asyncio.to_thread(requests.get, url, headers={"X": CANARY}, timeout=10)
            endpoint = server.endpoint("m", api_key="another-canary-0815")
            async with Desk(market="sample", model=endpoint, database=tmp_path / "desk.db", environ={}) as desk:
                await desk.scan(only="TLT")

    text = logged(LogSettings(level=LogLevel.DEBUG, format=form), say)
    for key in (CANARY, "4711", SHAPED, "another-canary", "0815"):
        assert key not in text
    assert text.count(REDACTED) >= 5
    assert "urllib3" in text
    assert "openai" in text


# --- Nobody's handlers but the program's ------------------------------------------------------------------------------


def test_in_a_program_without_logging_nothing_is_printed_and_nothing_set_up() -> None:
    code = (
        "import logging, mahler_agents.logs\n"
        "mahler_agents.logs.log_event({'level': 'warning', 'code': 'no_mark', 'message': 'of a library'})\n"
        "assert not logging.getLogger().handlers\n"
        "assert logging.getLogger().level == logging.WARNING\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (ended.stdout, ended.stderr) == ("", "")


def test_a_verb_logs_to_standard_error_if_asked_by_option_or_variable(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    database = str(tmp_path / "desk.db")
    assert main(["--log-format", "json", "scan", "--model", "none", "--db", database, "--json"]) == 0
    scanned = capsys.readouterr()
    document = json.loads(scanned.out)
    lines = objects(scanned.err)
    assert {one["run_id"] for one in lines if one["logger"].startswith("mahler_agents")} == {document["run_id"]}
    assert "run_started" in {one.get("code") for one in lines}

    assert main(["positions", "--db", database]) == 0
    assert capsys.readouterr().err == ""
    monkeypatch.setenv("MAHLER_LOG__LEVEL", "info")
    assert main(["monitor", "--as-of", "2026-03-17T15:55", "--db", database]) == 0
    assert "[monitor]" in capsys.readouterr().err
    assert main(["--log-level", "loud", "positions", "--db", database]) == 2
    assert "'debug', 'info', 'warning', 'error'" in capsys.readouterr().err


def test_a_daemon_logs_by_its_settings_unless_an_option_says_else_and_its_death_too(
    capsys: pytest.CaptureFixture[str],
) -> None:
    settings = LogSettings(level=LogLevel.WARNING)
    with click.Context(mahler), daemon_log(settings):
        logging.getLogger("a.library").info("small")
        logging.getLogger("a.library").warning("large")
    [line] = capsys.readouterr().err.splitlines()
    assert "warning [-] a.library: large" in line
    with click.Context(mahler), pytest.raises(RuntimeError), daemon_log(settings):
        raising(RuntimeError("no disk"))
    first, *traced = capsys.readouterr().err.splitlines()
    assert "critical [-] mahler_agents.cli.logging: ended by RuntimeError: no disk" in first
    assert all(line.startswith("    | ") for line in traced)
    with click.Context(mahler) as context:
        context.meta["mahler_agents.log"] = {"format": "json"}
        with daemon_log(settings):
            logging.getLogger("a.library").info("small")
            logging.getLogger("a.library").error("as asked")
    assert [one["message"] for one in objects(capsys.readouterr().err)] == ["as asked"]


def test_without_a_log_the_command_line_still_tells_what_a_user_must_know(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with notices():
        logging.getLogger("mahler_agents.record.migrating").warning("%s\nwas migrated", tmp_path)
        logging.getLogger("mahler_agents.record.migrating").info("small")
        log_event({"level": "warning", "code": "no_mark", "message": "told by the verb itself"})
        try:
            raising(OSError("gone"))
        except OSError:
            logging.getLogger("mahler_agents.progress").exception("the watcher failed")
    told = capsys.readouterr().err
    assert told == f"mahler: {tmp_path} was migrated\nmahler: the watcher failed: OSError: gone\n"


def test_a_thread_that_copies_no_context_is_told_apart() -> None:
    def say(log: logging.Logger) -> None:
        with within(run_id="r"):
            thread = threading.Thread(target=log.info, args=("alone",))
            thread.start()
            thread.join()

    [one] = objects(logged(JSON, say))
    assert "run_id" not in one


def test_a_daemon_that_cannot_begin_says_why_in_a_line_and_not_where_in_the_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["run", "--model", "none", "--market", "csv:nowhere.csv"]) == 2
    logged, told = capsys.readouterr().err.splitlines()
    assert logged.endswith("ended by InputError: nowhere.csv cannot be read: No such file or directory")
    assert told == "mahler: nowhere.csv cannot be read: No such file or directory"
