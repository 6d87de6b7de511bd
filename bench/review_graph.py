"""(a) The review graph, everything recorded, against the same nodes in plain LangGraph and in bare asyncio.gather."""

import asyncio
import gc
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from langgraph.runtime import Runtime

from bench.reviews import Ground, InstantBroker, NoLedger, NoRecording, Recorded, context, ground, reviewed
from mahler_agents.analysts import ANALYSTS
from mahler_agents.clock import SystemClock
from mahler_agents.graphs.review import build
from mahler_agents.llm.client import ChatClient
from mahler_agents.nodes import advisors
from mahler_agents.nodes import review as trade
from mahler_agents.review import ReviewContext
from mahler_agents.screen import Candidate
from mahler_agents.testing.scripted import ScriptedModel

ROUNDS = 40
Review = Callable[[int, Candidate], Awaitable[object]]


def run() -> dict[str, float]:
    """Return the median milliseconds of one review, in each of the three ways, measured in turn."""
    return asyncio.run(_run())


async def _run() -> dict[str, float]:
    on, graph = await ground(), build()
    endpoint = ScriptedModel.always(confidence=0.8).endpoint
    with tempfile.TemporaryDirectory() as folder, Recorded(Path(folder) / "bench.db", on) as recorded:
        logged = ChatClient(endpoint, clock=SystemClock(), log=recorded.recording)
        silent = ChatClient(endpoint, clock=SystemClock())
        for prompt in on.prompts.values():
            recorded.recording.prompt(prompt)
        async with logged, silent:
            shadows = recorded.shadows("bench")
            books = [recorded.books(f"bench-{number}") for number in range(ROUNDS)]

            async def ours(number: int, candidate: Candidate) -> object:
                ledger, broker = books[number]
                candidate_id = recorded.candidate(candidate, number)
                full = context(
                    on,
                    logged,
                    recording=recorded.recording,
                    ledger=ledger,
                    shadows=shadows,
                    broker=broker,
                    candidate_id=candidate_id,
                    index=number,
                )
                return await reviewed(full, graph.ainvoke({"candidate": candidate}, context=full))

            async def plain(number: int, candidate: Candidate) -> object:  # noqa: ARG001 - as the others
                unrecorded = _unrecorded(on, silent)
                return await reviewed(unrecorded, graph.ainvoke({"candidate": candidate}, context=unrecorded))

            async def bare(number: int, candidate: Candidate) -> object:  # noqa: ARG001 - as the others
                unrecorded = _unrecorded(on, silent)
                return await reviewed(unrecorded, _by_hand(candidate, unrecorded))

            return await _in_turn({"recorded": ours, "plain": plain, "gather": bare}, on.candidates[0])


def _unrecorded(on: Ground, llm: ChatClient) -> ReviewContext:
    return context(
        on,
        llm,
        recording=NoRecording(),
        ledger=NoLedger(),
        shadows=NoLedger(),
        broker=InstantBroker(),
        candidate_id="bench.none",
    )


async def _by_hand(candidate: Candidate, review: ReviewContext) -> object:
    """Run the stages without a graph."""
    runtime = Runtime(context=review)
    state: dict[str, Any] = {"candidate": candidate, "opinions": [], "failures": []}
    state |= await advisors.brief(ANALYSTS)(state, runtime=runtime)
    for update in await asyncio.gather(*(advisors.analyst(one)(state, runtime=runtime) for one in ANALYSTS)):
        state["opinions"] += update.get("opinions", [])
        state["failures"] += update.get("failures", [])
    state |= await advisors.fund_manager_stage(state, review)
    state |= await advisors.advisory_stage(state, review)
    state |= await trade.size_stage(state, review)
    state |= await trade.execute_stage(state, review)
    return state | await trade.record_stage(state, review)


async def _in_turn(ways: dict[str, Review], candidate: Candidate) -> dict[str, float]:
    """Time the ways one after another in every round, so that a noisy machine is noisy for all."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(ROUNDS):
        for name, review in ways.items():
            gc.collect()
            since = perf_counter()
            await review(number, candidate)
            times[name].append(perf_counter() - since)
    found = {f"{name}_ms": round(median(taken[5:]) * 1e3, 2) for name, taken in times.items()}
    ratios = [a / b for a, b in zip(times["recorded"][5:], times["plain"][5:], strict=True)]
    return found | {"recorded_to_plain": round(median(ratios), 2)}
