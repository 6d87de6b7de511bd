"""The views of the record: what a reader asks most, each held against the tables that it reads."""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from recorded import copy_of, made_once

from mahler_agents.record import connect
from mahler_agents.record.abandoned import mark_abandoned
from mahler_agents.wording import spread_label


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_once(tmp_path_factory)


def rows(database: Path, sql: str) -> list[Mapping[str, Any]]:
    with closing(connect(database, read_only=True)) as connection:
        return [dict(row) for row in connection.execute(sql)]


def change(database: Path, sql: str) -> None:
    with closing(connect(database)) as connection:
        connection.execute(sql)


# --- run_tree ---------------------------------------------------------------------------------------------------------


def test_the_tree_is_in_the_order_of_the_run_and_every_node_comes_after_its_parent(database: Path) -> None:
    tree = rows(database, "SELECT * FROM run_tree ORDER BY run_id, place")
    seen: dict[str | None, int] = {None: -1}
    for node in tree:
        assert node["depth"] > seen[node["parent_id"]], node
        seen[node["id"]] = node["depth"]
    assert [node["id"] for node in tree if node["kind"] == "candidate"] == [
        row["id"] for row in rows(database, "SELECT id FROM candidates ORDER BY rank")
    ]


@pytest.mark.parametrize(
    ("kind", "table"), [("run", "runs"), ("candidate", "candidates"), ("span", "spans"), ("call", "llm_calls")]
)
def test_every_row_of_the_tables_is_one_node(database: Path, kind: str, table: str) -> None:
    nodes = [row["id"] for row in rows(database, f"SELECT id FROM run_tree WHERE kind = '{kind}'")]
    assert sorted(nodes) == sorted(row["id"] for row in rows(database, f"SELECT id FROM {table}"))
    assert nodes


def test_a_node_s_tokens_are_the_sum_of_the_calls_below_it(database: Path) -> None:
    nodes = {row["id"]: row for row in rows(database, "SELECT * FROM run_tree")}
    sums: dict[str, int] = {}
    for call in (node for node in nodes.values() if node["kind"] == "call"):
        above = call
        while (parent := above["parent_id"]) is not None:
            sums[parent] = sums.get(parent, 0) + (call["prompt_tokens"] or 0)
            above = nodes[parent]
    assert sums
    for node in nodes.values():
        if node["kind"] != "call":
            assert (node["prompt_tokens"] or 0) == sums.get(node["id"], 0), node


def test_a_candidate_is_labelled_as_everywhere_else(database: Path, tmp_path: Path) -> None:
    copy = copy_of(database, tmp_path)
    change(copy, "UPDATE candidates SET short_strike = 1234.565, long_strike = 1230 WHERE rank = 1")
    for row in rows(copy, "SELECT candidates.*, label FROM candidates JOIN run_tree USING (id)"):
        names = ("underlying", "spread_type", "short_strike", "long_strike", "expiration")
        assert row["label"] == spread_label(**{name: row[name] for name in names})


def test_a_node_whose_process_died_is_unfinished_and_its_call_abandoned(database: Path, tmp_path: Path) -> None:
    copy = copy_of(database, tmp_path)
    [span] = rows(copy, "SELECT * FROM spans WHERE name = 'volatility' ORDER BY id LIMIT 1")
    change(copy, f"DELETE FROM spans WHERE id = '{span['id']}'")
    change(copy, f"UPDATE llm_calls SET ended_at = NULL, outcome = NULL WHERE span_id = '{span['id']}'")
    change(copy, "UPDATE runs SET status = 'running'")
    of_span = f"SELECT kind, status FROM run_tree WHERE '{span['id']}' IN (id, parent_id) ORDER BY place"
    assert [tuple(row.values()) for row in rows(copy, of_span)] == [("span", "unfinished"), ("call", "unfinished")]
    mark_abandoned(copy, at="2026-03-16T15:00:00.000Z")
    assert [tuple(row.values()) for row in rows(copy, of_span)] == [("span", "unfinished"), ("call", "abandoned")]


def test_the_tree_of_one_run_is_read_through_indexes_alone(database: Path) -> None:
    plan = [row["detail"] for row in rows(database, "EXPLAIN QUERY PLAN SELECT * FROM run_tree WHERE run_id = 'x'")]
    assert not [step for step in plan if step.startswith("SCAN ") and "run_tree" not in step], plan


# --- failed_calls -----------------------------------------------------------------------------------------------------


def test_a_failed_call_is_one_that_gave_no_answer_and_says_whether_another_did(database: Path) -> None:
    found = rows(
        database,
        "SELECT DISTINCT role, attempt, outcome, http_status, failure_kind, recovered FROM failed_calls ORDER BY role",
    )
    assert [tuple(row.values()) for row in found] == [
        ("greeks", 1, "http_error", 500, None, 1),
        ("sentiment", 1, "http_error", 401, "auth", 0),
        ("technical", 1, "replied", 200, None, 1),
    ]
    reviewed = rows(database, "SELECT id FROM candidates WHERE reviewed")
    assert len(rows(database, "SELECT * FROM failed_calls")) == 3 * len(reviewed)


# --- cost_by_prompt ---------------------------------------------------------------------------------------------------


def test_costs_are_counted_by_prompt_and_model(database: Path, tmp_path: Path) -> None:
    copy = copy_of(database, tmp_path)
    change(copy, "UPDATE llm_calls SET cost_dollars = 0.5 WHERE attempt = 1 AND role = 'greeks'")
    reviewed = len(rows(copy, "SELECT id FROM candidates WHERE reviewed"))
    by_role = {row["role"]: row for row in rows(copy, "SELECT * FROM cost_by_prompt")}
    assert set(by_role) == {"greeks", "technical", "sentiment", "volatility", "fund_manager"}
    greeks, sentiment, technical = by_role["greeks"], by_role["sentiment"], by_role["technical"]
    assert (greeks["questions"], greeks["calls"], greeks["failures"]) == (reviewed, 2 * reviewed, 0)
    assert (greeks["cost_dollars"], greeks["calls_of_unknown_cost"]) == (0.5 * reviewed, reviewed)
    assert (sentiment["questions"], sentiment["calls"], sentiment["failures"]) == (reviewed, reviewed, reviewed)
    assert sentiment["ungrounded_share"] is None
    [tokens] = rows(copy, "SELECT SUM(prompt_tokens) AS tokens FROM llm_calls WHERE role = 'technical'")
    assert technical["prompt_tokens"] == tokens["tokens"] > 0
    assert {row["prompt"] for row in by_role.values()} == set(by_role)


def test_the_ungrounded_share_is_of_numbers_whatever_the_provider_calls_its_model(
    database: Path, tmp_path: Path
) -> None:
    copy = copy_of(database, tmp_path)
    change(
        copy, "UPDATE opinions SET model = 'resolved', numbers = 4, ungrounded = '[\"17\"]' WHERE analyst = 'greeks'"
    )
    change(copy, "UPDATE verdicts SET numbers = 2, ungrounded = '[]'")
    shares = {row["role"]: row["ungrounded_share"] for row in rows(copy, "SELECT * FROM cost_by_prompt")}
    assert (shares["greeks"], shares["fund_manager"]) == (0.25, 0.0)


# --- decisions --------------------------------------------------------------------------------------------------------

TRADE_DECISION = (
    "underlying", "spread_type", "short_strike", "long_strike", "expiration", "credit", "decision", "reason",
    "ai_summary", "confidence", "iv_rank",
)  # fmt: skip


def test_a_decision_is_a_candidate_with_the_fields_that_users_know(database: Path) -> None:
    fields = ", ".join(TRADE_DECISION)
    assert rows(database, f"SELECT {fields} FROM decisions ORDER BY run_id, rank") == rows(
        database, f"SELECT {fields} FROM candidates ORDER BY run_id, rank"
    )
    traded = rows(database, "SELECT * FROM decisions WHERE decision = 'traded'")
    assert traded
    assert all(row["advice_level"] and row["contracts"] > 0 for row in traded)


def test_no_view_can_be_written_to(database: Path, tmp_path: Path) -> None:
    copy = copy_of(database, tmp_path)
    for view in ("run_tree", "failed_calls", "cost_by_prompt", "decisions"):
        with pytest.raises(sqlite3.OperationalError, match="cannot modify"):
            change(copy, f"DELETE FROM {view}")
