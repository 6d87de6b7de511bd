"""Command line: the log of a verb on standard error, if one is asked for; else only what a user must be told."""

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import wraps
from typing import ParamSpec, TypeVar

import click

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
        click.get_current_context().with_resource(_log(level, form))
        return verb(*args, **kwargs)

    return logging_verb


@contextmanager
def _log(level: object, form: object) -> Generator[None]:
    given = {name: value for name, value in (("level", level), ("format", form)) if value}
    if given:
        from mahler_agents.logs import LogSettings, to_stream  # pydantic: only for who asks for a log

        with to_stream(LogSettings.model_validate(given), sys.stderr):
            yield
    else:
        from mahler_agents.cli.notices import notices  # not before a verb runs: `mahler --help` has none

        with notices():
            yield
