"""Command line: without a log, what this package's modules warn of on standard error, a line each."""

import logging
from collections.abc import Generator
from contextlib import contextmanager

import click

from mahler_agents.text import plain


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
