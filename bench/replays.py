"""(h) An exact replay of a whole scan, against the scan's own reviews with instant models."""

import asyncio
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter

from mahler_agents.desk import Desk
from mahler_agents.progress import Progress, Stage
from mahler_agents.replay import replay_exactly
from mahler_agents.risk import RiskLimits
from mahler_agents.testing.scripted import ScriptedModel

ROUNDS, WARM = 14, 2


def run() -> dict[str, float]:
    """Return the milliseconds of one review, scanned and replayed in turn, and the median ratio of the two."""
    return asyncio.run(_run())


async def _run() -> dict[str, float]:
    scanned: list[float] = []
    replayed: list[float] = []
    # Nothing is traded, so that every scan finds as much as the first.
    nothing = RiskLimits(max_risk_per_trade_pct=0.0001)
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "bench.db"
        model = ScriptedModel.always(confidence=0.8).endpoint
        async with Desk(model=model, database=database, limits=nothing, environ={}) as desk:
            for _ in range(ROUNDS):
                ended: dict[Stage, float] = {}

                def watch(progress: Progress, ended: dict[Stage, float] = ended) -> None:
                    ended[progress.stage] = perf_counter()

                scan = await desk.scan(watch=watch)
                scanned.append((ended[Stage.REVIEW] - ended[Stage.SCREEN]) / len(scan.reviews))
                since = perf_counter()
                exact = await replay_exactly(scan.run_id, database=database)
                replayed.append((perf_counter() - since) / len(scan.reviews))
                assert exact.succeeded
    ratios = [again / first for again, first in zip(replayed[WARM:], scanned[WARM:], strict=True)]
    return {
        "scanned_ms": round(1e3 * median(scanned[WARM:]), 1),
        "replayed_ms": round(1e3 * median(replayed[WARM:]), 1),
        "replayed_to_scanned": round(median(ratios), 2),
    }
