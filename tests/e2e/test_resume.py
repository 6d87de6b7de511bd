"""End to end: a scan that is killed at any moment is resumed to what it would have been, and asks nothing twice."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from conftest import at_scale
from crashes import CountedModel, Step, content, desk_of, finished, killed, resumed, scanned, status, steps_of

from mahler_agents.record import open_database
from mahler_agents.testing import virtual_time

SEED = 5
KILLS = at_scale(50 * 2) if at_scale(20) == 1 else 50


class Undisturbed(NamedTuple):
    content: dict[str, list[tuple[Any, ...]]]
    asked: Counter[str]
    moments: int


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    database = tmp_path_factory.mktemp("undisturbed") / "desk.db"
    open_database(database, create=True)
    asked: list[Counter[str]] = []

    def work(step: Step) -> None:
        model = CountedModel({}, step)
        scanned(database, model)
        asked.append(model.asked)

    moments = steps_of(work)
    return Undisturbed(content=content(database), asked=asked[0], moments=moments)


def put_right(database: Path, undisturbed: Undisturbed) -> None:
    """Resume what was left, or scan if there was no run yet, and hold the record to the undisturbed one."""
    before, stands = finished(database), status(database)
    model = CountedModel(before)
    if stands in {"running", "failed"}:
        result = resumed(database, model)
        assert result is not None
        assert result.resumed is not None
        assert result.resumed.stale is None
        assert result.resumed.served == before.total()
    elif stands is None:  # it had not begun to be
        scanned(database, model)
    assert model.asked == undisturbed.asked - before
    held = content(database)
    for table, rows in undisturbed.content.items():
        assert held[table] == rows, table


def moments(total: int, count: int = KILLS) -> list[int]:
    return sorted(np.random.default_rng(SEED).choice(np.arange(1, total), size=count, replace=False).tolist())


def test_a_scan_killed_at_any_moment_is_resumed_to_what_it_would_have_been(
    tmp_path: Path, undisturbed: Undisturbed
) -> None:
    died = 0
    for moment in moments(undisturbed.moments):
        database = tmp_path / f"{moment}.db"
        if killed(database, moment, scanned):  # batches of rows differ: a late moment may never come
            died += 1
            put_right(database, undisturbed)
    assert died >= 0.9 * KILLS


def interrupted(database: Path, at: int, *, commits: bool = True) -> bool:
    """Cancel a scan at its moment `at`, as Ctrl-C does; return whether it came to that."""
    tasks: list[asyncio.Task[object]] = []

    def cancel() -> None:
        tasks[0].get_loop().call_soon_threadsafe(tasks[0].cancel)

    def work(step: Step) -> None:
        async def scan() -> None:
            tasks.append(asyncio.ensure_future(_scan(database, CountedModel({}, step))))
            await asyncio.gather(*tasks, return_exceptions=True)

        virtual_time.run(scan())

    open_database(database, create=True)
    steps_of(work, at, commits=commits, then=cancel)
    return tasks[0].cancelled()


async def _scan(database: Path, model: CountedModel) -> None:
    async with desk_of(database, model.endpoint) as desk:
        await desk.scan(slot="test")


def test_a_scan_that_is_interrupted_at_any_moment_is_resumed_to_what_it_would_have_been(
    tmp_path: Path, undisturbed: Undisturbed
) -> None:
    for moment in moments(undisturbed.moments):
        database = tmp_path / f"{moment}.db"
        # The writer commits in a thread of its own: how far the scan was at a commit depends on the machine.
        if interrupted(database, moment) and status(database) != "done":
            put_right(database, undisturbed)


def test_a_scan_that_is_interrupted_at_any_request_has_failed_and_is_resumed_to_what_it_would_have_been(
    tmp_path: Path, undisturbed: Undisturbed
) -> None:
    requests = undisturbed.asked.total()
    for request in moments(requests, min(max(2, KILLS // 2), requests - 1)):
        database = tmp_path / f"{request}.db"
        assert interrupted(database, request, commits=False)
        assert status(database) == "failed"
        put_right(database, undisturbed)
