"""Command line: standard output and error that never break the job which writes to them."""

import contextlib
import io
import os
import sys
from collections.abc import Generator, Iterable
from typing import Any, TextIO, cast


class Outlet:
    """Passes text on to a stream until that fails, then drops it.

    A scan must neither stop halfway through its orders nor end in a traceback because `head` has read enough or the
    disk is full. Characters that the stream's encoding lacks are escaped.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.error: OSError | None = None
        """What the first failed write raised."""
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write, or drop, all of the text."""
        with self._silenced():
            self._stream.write(text)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write, or drop, all of the lines."""
        self.write("".join(lines))

    def flush(self) -> None:
        """Pass on what is buffered, or drop it."""
        with self._silenced():
            self._stream.flush()

    @contextlib.contextmanager
    def _silenced(self) -> Generator[None]:
        try:
            yield
        except OSError as error:
            self.error = self.error or error
            # From here on all that is written, and what is still buffered, goes nowhere.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)


@contextlib.contextmanager
def outlets() -> Generator[Outlet]:
    """Put both standard streams behind an `Outlet` for the length of the block; yields that of standard output."""
    out, err = Outlet(sys.stdout), Outlet(sys.stderr)
    with contextlib.redirect_stdout(cast("TextIO", out)), contextlib.redirect_stderr(cast("TextIO", err)):
        try:
            yield out
        finally:
            out.flush()
            err.flush()
