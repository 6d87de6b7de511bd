"""Orders worked together: whatever ends one of them, the others go on to their ends."""

import asyncio
import datetime as dt
from collections.abc import AsyncGenerator

import pytest

from mahler_agents.errors import BrokerError, JobError
from mahler_agents.execution.lock_step import in_lock_step

START = dt.datetime(2026, 3, 17, 14, 3, tzinfo=dt.UTC)
STEP = dt.timedelta(seconds=30)


async def _way(
    steps: int, seen: list[tuple[str, int]], name: str, error: Exception | None
) -> AsyncGenerator[dt.datetime]:
    for step in range(1, steps + 1):
        seen.append((name, step))
        yield START + step * STEP
    if error is not None:
        raise error


@pytest.mark.parametrize(
    ("error", "told"),
    [(BrokerError("paper: refused"), "paper: refused"), (ValueError("no UUID"), "ValueError: no UUID")],
)
def test_what_ends_one_order_ends_that_one_alone(error: Exception, told: str) -> None:
    seen: list[tuple[str, int]] = []
    waited: list[dt.datetime] = []

    async def wait(instant: dt.datetime) -> None:
        waited.append(instant)

    async def run() -> dict[int, str | None]:
        ways = [_way(3, seen, "a", None), _way(1, seen, "b", error), _way(2, seen, "c", None)]
        ended = {}
        async for place, one in in_lock_step(ways, start=START, wait=wait):
            assert one is None or isinstance(one, JobError)
            ended[place] = one and str(one)
        return ended

    assert asyncio.run(run()) == {1: told, 2: None, 0: None}
    assert seen == [("a", 1), ("b", 1), ("c", 1), ("a", 2), ("c", 2), ("a", 3)]
    assert waited == [START + step * STEP for step in (1, 2, 3)]
