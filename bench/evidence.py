"""(l) Evidence on 100,000 advised trades with 10,000 draws, from cases to the report: 40 a day for ten years.

Beside it what a record's reading does most of: the simulated P(profit) of as many spreads. To read the rows of such a
record takes the verb about as long again; to make one takes minutes, so that is not done here.
"""

from itertools import chain
from time import perf_counter, process_time

import numpy as np

from mahler_agents.evidence.report import evidence
from mahler_agents.evidence.settings import Settings
from mahler_agents.evidence.simulated import Terms, simulated_p_profit
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
    return {"trades": found.cases, "seconds": seconds, "cpu_seconds": cpu, "simulated_seconds": _simulate()}


def _simulate() -> float:
    random = np.random.default_rng(1)
    spots, volatilities = random.uniform(90, 600, TRADES), random.uniform(0.1, 0.5, TRADES)
    days = random.integers(28, 46, TRADES)
    spreads = [
        Terms(
            is_put=True,
            spot=spot,
            short_strike=0.93 * spot,
            long_strike=0.91 * spot,
            short_volatility=volatility,
            long_volatility=1.05 * volatility,
            dte=dte,
            credit=0.003 * spot,
            profit_target=0.65,
            stop_loss=1.25,
            time_exit_dte=21,
            fees=0.04,
        )
        for spot, volatility, dte in zip(spots.tolist(), volatilities.tolist(), days.tolist(), strict=True)
    ]
    begun = perf_counter()
    found = simulated_p_profit(spreads)
    assert None not in found
    return perf_counter() - begun


if __name__ == "__main__":
    print(run())
