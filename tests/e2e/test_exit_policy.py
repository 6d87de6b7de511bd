"""End to end: the exit policy that a trade's briefs state is the one that its order, position and shadow keep."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from desks import START, scan

from mahler_agents.exits import ExitParams, ExitPolicy, TradingGroup


def query(database: Path, sql: str) -> list[tuple[Any, ...]]:
    with sqlite3.connect(database) as connection:
        found = connection.execute(sql).fetchall()
    connection.close()
    return found


@pytest.fixture(scope="module")
def dynamic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    database = tmp_path_factory.mktemp("dynamic") / "desk.db"
    scan(database, "none", as_of=START, exit_policy=ExitPolicy(dynamic=TradingGroup.CONSERVATIVE))
    return database


def test_order_position_and_shadow_of_a_candidate_keep_the_same_thresholds(dynamic: Path) -> None:
    kept = query(
        dynamic,
        "SELECT orders.exit_params, positions.exit_params, shadows.exit_params FROM positions"
        " JOIN orders ON orders.client_order_id = positions.entry_order_id JOIN shadows USING (candidate_id)",
    )
    assert kept
    for order, position, shadow in kept:
        assert order == position == shadow
        assert ExitParams.model_validate_json(order) != ExitParams()


def test_each_underlying_has_its_own_thresholds_and_its_briefs_state_them(dynamic: Path) -> None:
    shadows = query(dynamic, "SELECT underlying, exit_params FROM shadows")
    by_underlying = {underlying: json.loads(params) for underlying, params in shadows}
    assert len({params["profit_target"] for params in by_underlying.values()}) > 1
    briefs = [json.loads(content) for (content,) in query(dynamic, "SELECT content FROM briefs")]
    assert briefs
    for brief in briefs:
        params = by_underlying[brief["underlying"]]
        assert brief["profit_target_pct"] == pytest.approx(100 * params["profit_target"], abs=0.051)
        assert brief["stop_loss_pct"] == pytest.approx(100 * params["stop_loss"], abs=0.051)


def test_the_run_records_the_policy_and_each_candidate_what_became_of_it(dynamic: Path) -> None:
    [(config,)] = query(dynamic, "SELECT config FROM runs")
    assert json.loads(config)["exits"]["dynamic"] == "conservative"
    told = query(dynamic, "SELECT candidate_id, message FROM events WHERE code = 'exit_policy'")
    reviewed = query(dynamic, "SELECT id FROM candidates WHERE reviewed")
    assert {candidate for candidate, _ in told} == {candidate for (candidate,) in reviewed}
    assert all("dynamic exits at a volatility of" in message for _, message in told)


def test_the_fixed_policy_is_kept_too_and_has_nothing_to_tell(tmp_path: Path) -> None:
    scan(tmp_path / "desk.db", "none", as_of=START, exit_policy=ExitPolicy(fixed=ExitParams(profit_target=0.5)))
    kept = {
        ExitParams.model_validate_json(one) for (one,) in query(tmp_path / "desk.db", "SELECT exit_params FROM shadows")
    }
    assert kept == {ExitParams(profit_target=0.5)}
    assert query(tmp_path / "desk.db", "SELECT * FROM events WHERE code = 'exit_policy'") == []
