"""Command line: the log of a verb on standard error, if one is asked for; else only what a user must be told."""

import sys
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import click

if TYPE_CHECKING:
    from mahler_agents.logs import LogSettings

P = ParamSpec("P")
T = TypeVar("T")

_DAEMON = "run"
"""The verb that logs whether asked or not, by its settings."""
_GIVEN = "mahler_agents.log"
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
        asked = {"level": kwargs.pop("log_level"), "format": kwargs.pop("log_format")}
        given = {name: value for name, value in asked.items() if value}
        context = click.get_current_context()
        if context.invoked_subcommand == _DAEMON:
            context.meta[_GIVEN] = given
        else:
            context.with_resource(_log(given))
        return verb(*args, **kwargs)

    return logging_verb


@contextmanager
def daemon_log(settings: "LogSettings") -> Generator[None]:
    """Log for the block as options ask for, and else the settings; a daemon always does, its death too."""
    import logging

    from mahler_agents.errors import MahlerError
    from mahler_agents.logs import LogSettings, to_stream

    given: dict[str, object] = click.get_current_context().meta.get(_GIVEN, {})
    with to_stream(LogSettings.model_validate({**settings.model_dump(), **given}), sys.stderr):
        try:
            yield
        except Exception as error:
            defect = None if isinstance(error, MahlerError) else error
            logging.getLogger(__name__).critical("ended by %s: %s", type(error).__name__, error, exc_info=defect)
            raise


@contextmanager
def _log(given: Mapping[str, object]) -> Generator[None]:
    if given:
        from mahler_agents.logs import LogSettings, to_stream  # pydantic: only for who asks for a log

        with to_stream(LogSettings.model_validate(given), sys.stderr):
            yield
    else:
        from mahler_agents.cli.notices import notices  # not before a verb runs: `mahler --help` has none

        with notices():
            yield
