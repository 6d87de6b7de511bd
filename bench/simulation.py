"""(g) A simulated span of the sample market through the real graphs, LLM off: sessions per second, and where time goes.

python -m bench.simulation 2026-01-02 2026-03-31
"""

import asyncio
import cProfile
import datetime as dt
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter

from mahler_agents.clock import Ids, SimulatedClock
from mahler_agents.desk import Desk
from mahler_agents.simulate import simulate

FIRST, LAST = dt.date(2026, 1, 5), dt.date(2026, 1, 8)
_WAITS = ("acquire", "poll", "'get'", "'join'", "flock")
"""Built-in functions in which a thread waits for another, whose own time counts."""
_PARTS = {
    "/mahler_agents/market/": "market: quotes and snapshots",
    "/mahler_agents/pricing": "market: quotes and snapshots",
    "/numpy/": "NumPy, SciPy, scikit-learn: market, screen, regime",
    "/scipy/": "NumPy, SciPy, scikit-learn: market, screen, regime",
    "/sklearn/": "NumPy, SciPy, scikit-learn: market, screen, regime",
    "/mahler_agents/execution/": "ledger and embedded broker",
    "/mahler_agents/record/durable": "commits of the ledger, broker, breaker and shadows",
    "/mahler_agents/record/": "recording",
    "/mahler_agents/": "the rest of the desk",
    "/langgraph/": "LangGraph",
    "/langchain_core/": "LangGraph",
    "/asyncio/": "asyncio, and hops to threads",
    "/concurrent/": "asyncio, and hops to threads",
    "threading": "asyncio, and hops to threads",
}
"""Part of a file's path -> what its functions belong to, their built-in functions included; the first that fits."""


def run() -> dict[str, float]:
    """Return the wall time of a few sessions, and how many a second."""
    return _timed(FIRST, LAST)


def _timed(first: dt.date, last: dt.date) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        _simulate(Path(folder) / "warm.db", first, first)  # imports, the calendar and the market's paths
        since = perf_counter()
        sessions = _simulate(Path(folder) / "bench.db", first, last)
        seconds = perf_counter() - since
    return {
        "sessions": sessions,
        "seconds": round(seconds, 1),
        "sessions_per_second": round(sessions / seconds, 2),
        "ms_a_session": round(1e3 * seconds / sessions),
    }


def _simulate(database: Path, first: dt.date, last: dt.date) -> int:
    async def simulated() -> int:
        clock = SimulatedClock(dt.datetime.combine(first, dt.time(), dt.UTC))
        async with Desk(model="none", database=database, clock=clock, ids=Ids(0), environ={}) as desk:
            return len((await simulate(desk, clock, first, last)).days)

    return asyncio.run(simulated())


@contextmanager
def _profiled() -> Generator[list[cProfile.Profile]]:
    """Profile this thread and every thread that is begun inside the block."""
    profiles = [cProfile.Profile()]

    def begin(*_: object) -> None:
        profiles.append(cProfile.Profile())
        profiles[-1].enable()  # takes the place of this function, in the new thread only

    threading.setprofile(begin)
    profiles[0].enable()
    yield profiles
    profiles[0].disable()
    threading.setprofile(None)


def _by_part(profiles: list[cProfile.Profile]) -> Counter[str]:
    """Return the seconds at work by part: a function's own, and those of the built-in functions that it calls."""
    found: Counter[str] = Counter()
    for profile in profiles:
        for entry in profile.getstats():
            if isinstance(entry.code, str):  # counted where it is called
                continue
            called = [one for one in entry.calls or () if isinstance(one.code, str) and not _waits(one.code)]
            seconds = entry.inlinetime + sum(one.inlinetime for one in called)
            found[_part_of(entry.code.co_filename)] += seconds
    return found


def _waits(builtin: str) -> bool:
    return any(name in builtin for name in _WAITS)


def _part_of(path: str) -> str:
    return next((part for mark, part in _PARTS.items() if mark in path), "the rest of Python")


def main(first: str, last: str) -> None:
    """Print the figures of a span, and the profile of a second run over it, which slows Python's own code the most."""
    span = dt.date.fromisoformat(first), dt.date.fromisoformat(last)
    for name, value in _timed(*span).items():
        print(f"{name:<22} {value:>10,g}")
    with tempfile.TemporaryDirectory() as folder, _profiled() as profiles:
        _simulate(Path(folder) / "profile.db", *span)
    found = _by_part(profiles)
    for part, seconds in found.most_common():
        print(f"{seconds / found.total():>6.1%}  {part}")


if __name__ == "__main__":
    main(*sys.argv[1:])
