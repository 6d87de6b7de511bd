"""(i) What recording adds to one review: the same graph with a writer and with none, in turn, on an instant transport.

The ledger, the embedded broker and the shadows are none of it, in memory in both: they are the trade's own, and (a) has
them. A scan's reviews run at once, so a panel of them is timed, and the time shared out among them.
"""

import asyncio
import gc
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any

from bench.reviews import InstantBroker, NoLedger, NoRecording, Recorded, context, ground, reviewed
from mahler_agents.clock import SystemClock
from mahler_agents.graphs.review import build
from mahler_agents.llm.client import ChatClient
from mahler_agents.review import ReviewContext
from mahler_agents.screen import Candidate
from mahler_agents.testing.scripted import ScriptedModel

ROUNDS, WARM, AT_ONCE = 40, 5, 10


def run() -> dict[str, float]:
    """Return the median milliseconds of one review, recorded and not, and the median of what recording added."""
    return asyncio.run(_run())


async def _run() -> dict[str, float]:
    on, graph = await ground(), build()
    endpoint = ScriptedModel.always(confidence=0.8).endpoint
    with tempfile.TemporaryDirectory() as folder, Recorded(Path(folder) / "bench.db", on) as recorded:
        logged = ChatClient(endpoint, clock=SystemClock(), log=recorded.recording)
        silent = ChatClient(endpoint, clock=SystemClock())
        for prompt in on.prompts.values():
            recorded.recording.prompt(prompt)

        def of_review(llm: ChatClient, recording: Any, candidate_id: str) -> ReviewContext:
            books = NoLedger()
            return context(
                on,
                llm,
                recording=recording,
                ledger=books,
                shadows=books,
                broker=InstantBroker(),
                candidate_id=candidate_id,
            )

        async def with_writer(number: int, candidate: Candidate) -> None:
            candidate_id = recorded.candidate(candidate, number)
            full = of_review(logged, recorded.recording, candidate_id)
            await reviewed(full, graph.ainvoke({"candidate": candidate}, context=full))

        async def without(number: int, candidate: Candidate) -> None:
            empty = of_review(silent, NoRecording(), f"none.{number}")
            await reviewed(empty, graph.ainvoke({"candidate": candidate}, context=empty))

        async with logged, silent:
            await recorded.recording.flush()
            return await _in_turn(with_writer, without, on.candidates[0], recorded.recording.flush)


async def _in_turn(
    with_writer: Callable[[int, Candidate], Awaitable[None]],
    without: Callable[[int, Candidate], Awaitable[None]],
    candidate: Candidate,
    flush: Callable[[], Awaitable[None]],
) -> dict[str, float]:
    """Time both in every round, the first of them now this, now that, so that a noisy machine is noisy for both."""
    ways = {"recorded": with_writer, "unrecorded": without}
    wall: dict[str, list[float]] = {name: [] for name in ways}
    processor: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(ROUNDS):
        for name in sorted(ways, reverse=number % 2 == 0):
            gc.collect()
            since, spent = perf_counter(), process_time()
            await asyncio.gather(*(ways[name](AT_ONCE * number + one, candidate) for one in range(AT_ONCE)))
            await flush()
            wall[name].append((perf_counter() - since) / AT_ONCE)
            processor[name].append((process_time() - spent) / AT_ONCE)
    found = {f"{name}_ms": round(median(taken[WARM:]) * 1e3, 2) for name, taken in wall.items()}
    return found | {"added_ms": _added(wall), "added_cpu_ms": _added(processor)}


def _added(taken: dict[str, list[float]]) -> float:
    pairs = zip(taken["recorded"][WARM:], taken["unrecorded"][WARM:], strict=True)
    return round(median(more - less for more, less in pairs) * 1e3, 2)
