"""Command line, `mahler status` on a terminal: the status again and again on a screen of its own, until q or Ctrl-C."""

import contextlib
import select
import termios
import tty
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Protocol, TextIO

from rich.console import Console, Group
from rich.control import Control
from rich.live import Live
from rich.text import Text

from mahler_agents.cli.console import make_console
from mahler_agents.cli.status.view import fitting, lines
from mahler_agents.record.status_rows import Status
from mahler_agents.text import instant

_QUIT = frozenset("qQ")
_GLANCE_SECONDS = 0.5
"""How soon a terminal of another size is drawn anew."""


class Keyboard(Protocol):
    """What tells which keys were pressed, and is what the view waits on."""

    def reading(self) -> contextlib.AbstractContextManager[None]:
        """Take keys as they are pressed, for the length of a block."""
        ...

    def wait(self, seconds: float) -> str:
        """Return the keys pressed by the time that one is or so long has passed; nothing if none was."""
        ...


class Keys:
    """The keys of a terminal; of anything else none ever come, and its waits only take their time."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream if stream.isatty() else None

    @contextmanager
    def reading(self) -> Generator[None]:
        """Take keys one by one and unseen; as the terminal was, it is again after the block."""
        if self._stream is None:
            yield
            return
        descriptor = self._stream.fileno()
        before = termios.tcgetattr(descriptor)
        try:
            tty.setcbreak(descriptor)
            yield
        finally:
            termios.tcsetattr(descriptor, termios.TCSADRAIN, before)

    def wait(self, seconds: float) -> str:
        """Return the key that is pressed within so many seconds, nothing if none is."""
        streams = [] if self._stream is None else [self._stream]
        ready, _, _ = select.select(streams, [], [], seconds)
        return self._stream.read(1) if self._stream is not None and ready else ""


def watch(read: Callable[[], Status], stream: TextIO, keys: Keyboard, *, every: float) -> None:
    """Show what `read` returns until q or Ctrl-C, read anew each `every` seconds; the terminal is left as it was."""
    console = make_console(stream)
    status = read()  # what cannot be read is told before the screen is taken
    screen = Live(console=console, screen=True, auto_refresh=False, vertical_overflow="crop")
    with contextlib.suppress(KeyboardInterrupt), keys.reading(), screen, _wiped(console):
        while True:
            for _ in range(max(1, round(every / _GLANCE_SECONDS))):
                screen.update(Group(*_fitted(status, console, every)), refresh=True)
                if _QUIT & set(keys.wait(_GLANCE_SECONDS)):
                    return
            status = read()


@contextmanager
def _wiped(console: Console) -> Generator[None]:
    """Leave the screen empty: of one that has been resized some terminals (tmux) push what is on it into the other."""
    try:
        yield
    finally:
        console.control(Control.clear(), Control.home())


def _fitted(status: Status, console: Console, every: float) -> Iterator[Text]:
    """Yield as many lines as the terminal has room for, and how to leave."""
    found = list(lines(status, console))
    kept = fitting(found, console.height - 1)
    foot = f"q quits; read at {instant(status.asked_at)[11:]} New York, again every {every:g} s"
    if len(kept) < len(found):
        foot = f"{foot}; all: `mahler status --once`"
    yield from (line.text for line in kept)
    yield Text(foot, style="dim", no_wrap=True, overflow="ellipsis")
