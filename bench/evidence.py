"""(l) Evidence on 100,000 advised trades with 10,000 draws, from cases to the report: 40 a day for ten years."""

from itertools import chain
from time import perf_counter, process_time

from mahler_agents.evidence.report import evidence
from mahler_agents.evidence.settings import Settings
from mahler_agents.testing import synthetic_truth

TRADES, WEEKS = 100_000, 520


def run() -> dict[str, float]:
    """Return the seconds that the report takes, and how many trades it was of."""
    trades = len(synthetic_truth.cases("weak", weeks=WEEKS))
    histories = (synthetic_truth.cases("weak", weeks=WEEKS, seed=seed) for seed in range(TRADES // trades + 2))
    cases = tuple(chain.from_iterable(histories))[:TRADES]
    begun, worked = perf_counter(), process_time()
    found = evidence(cases, Settings())
    seconds, cpu = perf_counter() - begun, process_time() - worked
    assert found.enough_periods
    return {"trades": found.cases, "seconds": seconds, "cpu_seconds": cpu}


if __name__ == "__main__":
    print(run())
