"""Time from the first request to the candidates against a fake Alpaca: `python -m bench.alpaca_market`.

The fake is another process and answers each request after 50 ms. What is ours is the CPU time of this process: parsing,
columns, the screen, and the HTTP of `requests` below the vendor's client, which is told apart; all else is waiting for
the fake, which is slower than the real one at making a chain.
"""

import asyncio
import json
import multiprocessing
from collections.abc import Generator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from statistics import median
from time import perf_counter, process_time, thread_time
from typing import Any

import requests

from mahler_agents.alpaca import alpaca_settings, find_credentials
from mahler_agents.alpaca.api import AlpacaApi
from mahler_agents.clock import SimulatedClock
from mahler_agents.market.alpaca import AlpacaMarket
from mahler_agents.market.sample import DEFAULT_AS_OF
from mahler_agents.screen import ScreenParams, screen
from mahler_agents.types import UNIVERSE, Environment

LATENCY_SECONDS = 0.05
CONTRACTS = 10_000


def serve(pipe: Connection, contracts: int | None) -> None:
    """Run a fake until told to stop; send its variables first."""
    from mahler_agents.testing.fake_alpaca import FakeAlpaca
    from mahler_agents.testing.fake_alpaca.settings import MarketDataSettings

    market_data = MarketDataSettings(chain_contracts=contracts)
    with FakeAlpaca(latency_seconds=LATENCY_SECONDS, null_greeks=0.2, market_data=market_data) as fake:
        pipe.send(fake.environ)
        pipe.recv()


def measure(contracts: int | None, *, times: int = 5) -> dict[str, float]:
    """Return medians over snapshots of the five underlyings, after one that fills the fake's caches."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    server = context.Process(target=serve, args=(theirs, contracts))
    server.start()
    try:
        return _measured(ours.recv(), times)
    finally:
        ours.send("stop")
        server.join()


def _measured(environ: dict[str, str], times: int) -> dict[str, float]:
    clock = SimulatedClock(DEFAULT_AS_OF)
    settings = alpaca_settings({**environ, "MAHLER_ALPACA_REQUESTS_PER_MINUTE": "10000"}, Environment.PAPER)
    wall: list[float] = []
    cpu: list[float] = []
    http: list[float] = []
    held = 0
    with AlpacaApi(settings, find_credentials(environ), clock) as api, _metered() as spent:
        api.connect()
        market = AlpacaMarket(api, clock)
        for _ in range(times + 1):
            spent.clear()
            began, used = perf_counter(), process_time()
            snapshot = asyncio.run(market.snapshot(clock.now(), UNIVERSE))
            screen(snapshot, ScreenParams())
            wall.append(1000 * (perf_counter() - began))
            cpu.append(1000 * (process_time() - used))
            http.append(1000 * sum(spent))
            held = sum(len(one.chain) for one in snapshot.underlyings.values())
    shares = [100 * used / whole for used, whole in zip(cpu[1:], wall[1:], strict=True)]
    above = [100 * (used - sent) / whole for used, sent, whole in zip(cpu[1:], http[1:], wall[1:], strict=True)]
    return {
        "contracts": held,
        "fetch_to_candidates_ms": round(median(wall[1:]), 1),
        "ours_ms": round(median(cpu[1:]), 1),
        "ours_percent": round(median(shares), 1),
        "of_which_http_ms": round(median(http[1:]), 1),
        "ours_above_http_percent": round(median(above), 1),
    }


@contextmanager
def _metered() -> Generator[list[float]]:
    """Yield the CPU seconds of each request that `requests` sends, its answer read."""
    spent: list[float] = []
    send = requests.Session.send

    def timed(self: requests.Session, *arguments: Any, **options: Any) -> requests.Response:
        used = thread_time()
        try:
            return send(self, *arguments, **options)
        finally:
            spent.append(thread_time() - used)

    requests.Session.send = timed
    try:
        yield spent
    finally:
        requests.Session.send = send


def run() -> dict[str, float]:
    """Return the figures of chains as the sample market has them, and of large ones."""
    large = measure(CONTRACTS, times=3)
    return {**measure(None), **{f"large_{name}": figure for name, figure in large.items()}}


if __name__ == "__main__":
    print(json.dumps(run(), indent=1))
