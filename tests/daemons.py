"""For tests of `mahler run` as a process of its own: at a fake Alpaca, asking a scripted model over HTTP."""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from mahler_agents.testing.fake_alpaca import FakeAlpaca
from mahler_agents.testing.fault_server import FaultServer
from mahler_agents.testing.scripted import MODEL, Script

PROGRAM = (sys.executable, "-c", "import sys; from mahler_agents.cli import main; sys.exit(main())")
PATIENCE_SECONDS = 400.0
"""Real seconds after which a daemon that says nothing is killed: the test then fails, and does not hang."""


@contextmanager
def model_server(script: Script) -> Iterator[dict[str, str]]:
    """Serve a scripted model over HTTP from a thread; yields the variables that point a desk at it."""
    environ: dict[str, str] = {}
    ready, ended = threading.Event(), threading.Event()
    loops: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def serve() -> None:
        stop = asyncio.Event()
        async with FaultServer(script) as server:
            environ.update(server.environ)
            loops.append((asyncio.get_running_loop(), stop))
            ready.set()
            await stop.wait()

    def work() -> None:
        try:
            asyncio.run(serve())
        finally:
            ready.set()
            ended.set()

    thread = threading.Thread(target=work)
    thread.start()
    ready.wait()
    try:
        yield environ
    finally:
        for loop, stop in loops:
            loop.call_soon_threadsafe(stop.set)
        thread.join()


@dataclass
class DaemonProcess:
    """A `mahler run` at work."""

    process: "subprocess.Popen[str]"
    said: list[str] = field(default_factory=list[str])
    """Its log so far."""

    @property
    def pid(self) -> int:
        return self.process.pid

    def until(self, words: str) -> bool:
        """Read its log until a line with these words; False if it ended before."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.said.append(line.rstrip("\n"))
            if words in line:
                return True
        return False

    def ended(self) -> int:
        """Read the rest of its log, and return its exit code."""
        self.until("\0")
        return self.process.wait()

    @property
    def open_files(self) -> int:
        """Its file handles."""
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    @property
    def megabytes(self) -> float:
        """Its resident memory."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@contextmanager
def daemon(folder: Path, fake: FakeAlpaca, model: dict[str, str], **variables: str) -> Iterator[DaemonProcess]:
    """Run the daemon in a folder; it is killed at the end of the block if it is still there."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("MAHLER_", "OPENAI_"))}
    command = [
        *PROGRAM,
        "run",
        "--market",
        "alpaca",
        "--broker",
        "alpaca",
        "--model",
        f"openai:{MODEL}",
        "--db",
        "desk.db",
    ]
    with subprocess.Popen(
        command,
        cwd=folder,
        env={**inherited, **fake.environ, "MAHLER_ALPACA_REQUESTS_PER_MINUTE": "10000", **model, **variables},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        watchdog = threading.Timer(PATIENCE_SECONDS, process.kill)
        watchdog.start()
        try:
            yield DaemonProcess(process)
        finally:
            watchdog.cancel()
            process.kill()
