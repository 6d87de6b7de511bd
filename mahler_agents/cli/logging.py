"""Command line: the log of a verb on standard error, if one is asked for; else only what a user must be told."""

import logging
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import wraps
from typing import ParamSpec, TypeVar

import click

from mahler_agents.cli.text import plain

P = ParamSpec("P")
T = TypeVar("T")

_LEVELS = click.Choice(["debug", "info", "warning", "error"])
_FORMATS = click.Choice(["text", "json"])


def log_options(verb: Callable[P, T]) -> Callable[P, T]:
    """Give the program its options of the log, which holds until the verb has ended."""

    @click.option(
        "--log-level",
        envvar="MAHLER_LOG__LEVEL",
        type=_LEVELS,
        help="Log to standard error, from this level on; else MAHLER_LOG__LEVEL. With --log-format alone: info.",
    )
    @click.option(
        "--log-format",
        envvar="MAHLER_LOG__FORMAT",
        type=_FORMATS,
        help="text or json, one object a line; else MAHLER_LOG__FORMAT. With --log-level alone: text.",
    )
    @wraps(verb)
    def logging_verb(*args: P.args, **kwargs: P.kwargs) -> T:
        level, form = kwargs.pop("log_level"), kwargs.pop("log_format")
        click.get_current_context().with_resource(_log(level, form) if level or form else notices())
        return verb(*args, **kwargs)

    return logging_verb


@contextmanager
def _log(level: object, form: object) -> Generator[None]:
    from mahler_agents.logs import LogSettings, to_stream  # pydantic: only for who asks for a log

    given = {name: value for name, value in (("level", level), ("format", form)) if value}
    with to_stream(LogSettings.model_validate(given), sys.stderr):
        yield


class _Notices(logging.Handler):
    """Tells warnings of this package, a line each; not what has a code, which the verbs tell in their own way."""

    def emit(self, record: logging.LogRecord) -> None:
        from mahler_agents.redaction import Redactor

        if getattr(record, "code", None) is None:
            error = record.exc_info[1] if record.exc_info else None
            why = f": {type(error).__name__}: {error}" if error is not None else ""
            click.echo(f"mahler: {plain(Redactor.of()(record.getMessage() + why))}", err=True)


@contextmanager
def notices() -> Generator[None]:
    """Tell warnings of this package on standard error for the length of the block."""
    handler, ours = _Notices(logging.WARNING), logging.getLogger("mahler_agents")
    ours.addHandler(handler)
    try:
        yield
    finally:
        ours.removeHandler(handler)
