"""(b) 200 candidates whose LLM calls take one second, 50 in flight, against the ideal."""

import asyncio
import tempfile
from pathlib import Path
from time import perf_counter

from bench.reviews import InstantBroker, NoLedger, Recorded, context, ground, reviewed
from mahler_agents.clock import SystemClock
from mahler_agents.graphs.review import build
from mahler_agents.llm.attempts import CallLimits
from mahler_agents.llm.client import ChatClient
from mahler_agents.testing.scripted import ScriptedModel, ScriptedReply, ScriptedRequest, favourable

CANDIDATES, CALLS, IN_FLIGHT, SECONDS = 200, 5, 50, 1.0
IDEAL = CANDIDATES * CALLS * SECONDS / IN_FLIGHT


def run() -> dict[str, float]:
    """Return the seconds that 1,000 calls of one second took, and their ratio to the ideal."""
    return asyncio.run(_run())


def _slowly(request: ScriptedRequest) -> ScriptedReply:
    return ScriptedReply(body=favourable(request).body, delay=SECONDS)


async def _run() -> dict[str, float]:
    on, graph = await ground(), build()
    with tempfile.TemporaryDirectory() as folder, Recorded(Path(folder) / "bench.db", on) as recorded:
        limits = CallLimits(max_in_flight=IN_FLIGHT)
        client = ChatClient(ScriptedModel(_slowly).endpoint, clock=SystemClock(), log=recorded.recording, limits=limits)
        for prompt in on.prompts.values():
            recorded.recording.prompt(prompt)

        async def review(number: int) -> object:
            candidate = on.candidates[number % len(on.candidates)]
            full = context(
                on,
                client,
                recording=recorded.recording,
                ledger=NoLedger(),
                shadows=NoLedger(),
                broker=InstantBroker(),
                candidate_id=recorded.candidate(candidate, number),
                index=number,
            )
            return await reviewed(full, graph.ainvoke({"candidate": candidate}, context=full))

        async with client:
            await review(CANDIDATES)  # the client's first call builds what later ones share
            since = perf_counter()
            await asyncio.gather(*(review(number) for number in range(CANDIDATES)))
            taken = perf_counter() - since
    return {"seconds": round(taken, 2), "ideal_seconds": IDEAL, "to_ideal": round(taken / IDEAL, 3)}
