"""(d) Start-up of the light verbs, as whole processes."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter

ROUNDS = 9


def run() -> dict[str, float]:
    """Return the median milliseconds of `mahler --help` and of `mahler trace list` on a record with one run."""
    mahler = Path(sys.executable).with_name("mahler")
    with tempfile.TemporaryDirectory() as folder:
        database = str(Path(folder) / "bench.db")
        _call([str(mahler), "scan", "--model", "none", "--db", database])
        commands = {
            "help_ms": [str(mahler), "--help"],
            "trace_list_ms": [str(mahler), "trace", "list", "--db", database],
            "bare_python_ms": [sys.executable, "-c", "pass"],
        }
        times: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(ROUNDS):
            for name, command in commands.items():
                since = perf_counter()
                _call(command)
                times[name].append(perf_counter() - since)
    return {name: round(median(taken) * 1e3, 1) for name, taken in times.items()}


def _call(command: list[str]) -> None:
    # Byte code is kept between starts, as on a user's machine.
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run(command, check=True, capture_output=True, env=kept)
