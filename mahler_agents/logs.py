"""Logs: what the program and its libraries say in, one line each on a stream out, with the run that it belongs to.

with logs.to_stream(LogSettings(format=LogFormat.JSON), sys.stderr), logs.within(job="scan", run_id=run_id):
    ...

Nothing is set up by importing: a program that uses the desk as a library has its own handlers, to which it may add a
`RunFilter`. Whatever is said, nothing of it becomes a second line, and no key passes.
"""

import datetime as dt
import json
import logging
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from enum import StrEnum
from typing import Any, TextIO

from mahler_agents.clock import utc_text
from mahler_agents.redaction import Redactor
from mahler_agents.text import spelled
from mahler_agents.types import Frozen

EVENTS = "mahler_agents.events"
"""Logger of what goes to the record's events too: each line is there and here, in the same words."""

FIELDS = ("run_id", "job", "slot", "code", "candidate_id", "at")
"""What a line may say of where it belongs, in this order; `at` is an event's own instant, by the desk's clock."""

_LEVELS = {"info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
"""Levels of events, as the record writes them."""
_MARGIN = "    | "
"""Before every further line of a traceback in the plain format: no log line begins so."""


class LogLevel(StrEnum):
    """The least that is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    """How a line is written."""

    TEXT = "text"
    JSON = "json"


class LogSettings(Frozen):
    """What is logged, and how."""

    level: LogLevel = LogLevel.INFO
    """`debug`, `info`, `warning` or `error`; of libraries too."""
    format: LogFormat = LogFormat.TEXT
    """`text` for people, or `json`: one object a line."""


# A library's log is its user's: without a handler of theirs, Python would print our warnings itself.
logging.getLogger("mahler_agents").addHandler(logging.NullHandler())

_within: ContextVar[Mapping[str, str]] = ContextVar("mahler_agents_within")


@contextmanager
def within(
    *, run_id: str | None = None, job: str | None = None, slot: str | None = None, candidate_id: str | None = None
) -> Generator[None]:
    """Let every line that is logged in the block say where it belongs; what is None stays as it is outside.

    It holds in this task or thread, in the tasks that it starts, and in threads that copy its context, as
    `asyncio.to_thread` does and the record's writer.
    """
    given = {"run_id": run_id, "job": job, "slot": slot, "candidate_id": candidate_id}
    token = _within.set({**current(), **{name: value for name, value in given.items() if value is not None}})
    try:
        yield
    finally:
        _within.reset(token)


def current() -> Mapping[str, str]:
    """Return where a line belongs that is logged here."""
    return _within.get({})


class RunFilter(logging.Filter):
    """Lets every record pass, and gives it the attributes of `FIELDS` that are known; for any handler."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Complete the record."""
        for name, value in current().items():
            if getattr(record, name, None) is None:
                setattr(record, name, value)
        return True


def log_event(row: Mapping[str, Any]) -> None:
    """Log an event as the record has it: a row of `events`."""
    own = {name: row.get(name) for name in ("run_id", "code", "candidate_id", "at") if row.get(name) is not None}
    logging.getLogger(EVENTS).log(_LEVELS[row["level"]], "%s", row["message"], extra=own)


class JsonFormatter(logging.Formatter):
    """One JSON object a line, in ASCII: no character of a message is one that ends a line anywhere."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without its end."""
        redact = Redactor.of()
        said = {name: redact(text) for name, text in _parts(record).items()}
        return json.dumps({"time": _time(record), "level": record.levelname.lower(), **said})


class TextFormatter(logging.Formatter):
    """A line for people: time, level, run or job, logger, code and message; a traceback below it, in a margin.

    A line's end or any other character in a message that a terminal obeys is spelled out, as `\\n`.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, and the traceback's if there is one."""
        redact = Redactor.of()
        said = _parts(record)
        where = " ".join(said[name] for name in ("job", "run_id", "candidate_id") if name in said) or "-"
        code = f"{said['code']}: " if "code" in said else ""
        head = f"{_time(record)} {record.levelname.lower():<7} [{where}] {said['logger']}: {code}{said['message']}"
        traced = "\n".join(said[name] for name in ("exception", "stack") if name in said).split("\n")
        below = [_MARGIN + _one_line(line) for line in redact("\n".join(traced)).split("\n") if line]
        return "\n".join([_one_line(redact(head)), *below])


_FORMATTERS = {LogFormat.JSON: JsonFormatter, LogFormat.TEXT: TextFormatter}


class _Handler(logging.Handler):
    """Writes to a stream; to a terminal by way of `sys.stderr`, where a table that is being drawn makes room for it."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream
        self._terminal = stream is sys.stderr and stream.isatty()

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        try:
            stream = sys.stderr if self._terminal else self._stream
            stream.write(f"{self.format(record)}\n")
            stream.flush()
        except Exception:  # noqa: BLE001 - as every handler of logging: whoever logs must not fail by it
            self.handleError(record)


@contextmanager
def to_stream(settings: LogSettings, stream: TextIO) -> Generator[None]:
    """Log all that this process says, libraries and Python's warnings included, for the length of the block."""
    handler, root = _Handler(stream), logging.getLogger()
    handler.setFormatter(_FORMATTERS[settings.format]())
    handler.addFilter(RunFilter())
    level_before = root.level
    root.addHandler(handler)
    root.setLevel(settings.level.upper())
    logging.captureWarnings(capture=True)
    try:
        yield
    finally:
        logging.captureWarnings(capture=False)
        root.setLevel(level_before)
        root.removeHandler(handler)


def _parts(record: logging.LogRecord) -> dict[str, str]:
    """Return what a record says, by field, as it is said."""
    known = {name: getattr(record, name, None) for name in FIELDS}
    said = {
        "logger": record.name,
        "message": _message(record),
        **{name: str(value) for name, value in known.items() if value is not None},
    }
    if record.exc_info and record.exc_info[0] is not None:
        said["exception"] = logging.Formatter().formatException(record.exc_info)
    if record.stack_info:
        said["stack"] = record.stack_info
    return said


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception as error:  # noqa: BLE001 - a library's own mistake: said, and no line is lost by it
        return f"{record.msg!s} with arguments that do not fit it: {type(error).__name__}"


def _time(record: logging.LogRecord) -> str:
    return utc_text(dt.datetime.fromtimestamp(record.created, dt.UTC))


def _one_line(text: str) -> str:
    return "".join(map(spelled, text))
