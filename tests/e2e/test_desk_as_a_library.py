"""End to end: the desk in a program of your own: sync code, a running loop, twice in one process, one review."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from desks import START, TRADE_TABLES

from mahler_agents import Desk
from mahler_agents.analysts import ANALYSTS
from mahler_agents.clock import Ids, SimulatedClock
from mahler_agents.config import DeskConfig
from mahler_agents.errors import InputError
from mahler_agents.graphs import review as review_graph
from mahler_agents.review import ReviewInput
from mahler_agents.scan import ScanResult
from mahler_agents.testing import virtual_time
from mahler_agents.testing.scripted import ScriptedModel


def desk_on(database: Path, **choices: Any) -> Desk:
    return Desk(database=database, clock=SimulatedClock(START), environ={}, **{"model": "none", **choices})


async def scanned(database: Path, slot: str) -> ScanResult:
    async with desk_on(database) as desk:
        return await desk.scan(slot=slot)


def traded(result: ScanResult) -> int:
    return sum(review.decision.decision == "traded" for review in result.reviews)


def test_sync_code_may_run_a_desk_as_often_as_it_likes(tmp_path: Path) -> None:
    first = asyncio.run(scanned(tmp_path / "desk.db", "one"))
    second = asyncio.run(scanned(tmp_path / "desk.db", "two"))
    again = asyncio.run(scanned(tmp_path / "desk.db", "one"))
    assert traded(first) == 2
    assert second.report.rejected_pairs["duplicate_position"] == 2, "the second knows what the first has opened"
    assert traded(again) == 0, "the same slot orders nothing twice"


def test_in_a_running_loop_two_desks_may_be_open_at_once(tmp_path: Path) -> None:
    async def both() -> list[ScanResult]:
        return await asyncio.gather(*(scanned(tmp_path / f"{name}.db", "one") for name in ("a", "b")))

    first, second = asyncio.run(both())
    assert traded(first) == traded(second) == 2


def reviewed(database: Path, **asked: Any) -> tuple[ScanResult, Any]:
    """Scan without a model and without a trade, then have the panel review the scan's first candidate."""

    async def run() -> tuple[ScanResult, Any]:
        async with desk_on(database, ids=Ids(1), config=DeskConfig(max_trades_per_scan=0)) as desk:
            result = await desk.scan(slot="one")
        async with desk_on(database, model=ScriptedModel.always().endpoint, ids=Ids(2)) as desk:
            return result, await desk.review(result.reviews[0].candidate, **asked)

    return virtual_time.run(run())


def rows(database: Path, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute(sql).fetchall()


def test_a_review_hears_the_whole_panel_and_opens_nothing(tmp_path: Path) -> None:
    database = tmp_path / "desk.db"
    result, review = reviewed(database)
    assert review.candidate.spread == result.reviews[0].candidate.spread
    assert {opinion.analyst for opinion in review.opinions} == {analyst.name for analyst in ANALYSTS}
    assert review.verdict is not None
    assert review.advice is not None
    assert (review.decision.decision, review.decision.reason.value) == ("skipped", "review_only")
    for table in TRADE_TABLES:
        assert table in {"sizings", "paper_accounts"} or rows(database, f"SELECT * FROM {table}") == []


def test_a_review_is_kept_apart_from_the_advice_that_orders_followed(tmp_path: Path) -> None:
    database = tmp_path / "desk.db"
    reviewed(database)
    assert rows(database, "SELECT retrospective, status FROM runs ORDER BY rowid") == [(0, "done"), (1, "done")]
    assert rows(database, "SELECT COUNT(*) FROM candidates WHERE reason = 'review_only'") == [(1,)]


def test_a_spread_that_does_not_pass_the_screen_cannot_be_reviewed(tmp_path: Path) -> None:
    async def run() -> None:
        async with desk_on(tmp_path / "desk.db") as desk:
            spread = (await desk.scan(slot="one")).reviews[0].candidate.spread
            await desk.review(spread.model_copy(update={"short_strike": 1.0, "long_strike": 0.5}))

    with pytest.raises(InputError, match="does not pass the screen"):
        asyncio.run(run())


def test_the_graph_alone_is_a_compiled_langgraph_with_a_typed_input() -> None:
    graph = review_graph.build()
    assert set(graph.get_input_jsonschema()["properties"]) == set(ReviewInput.__annotations__)
    assert {"brief", "fund_manager", "advisory", "size", "execute", "record"} <= set(graph.nodes)
