"""`mahler_agents.record.open`: typed rows and frames of a record that it cannot change."""

import subprocess
import sys
from pathlib import Path

import pytest
from recorded import made_once

from mahler_agents import record
from mahler_agents.errors import ConfigError, InputError, UnknownIdError
from mahler_agents.record.queries import RunFilter
from mahler_agents.record.rows import RunSummary
from mahler_agents.record.trace_rows import RunTrace


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_once(tmp_path_factory)


def test_iterating_gives_the_runs_as_typed_rows(database: Path) -> None:
    [run] = record.open(database)
    assert isinstance(run, RunSummary)
    assert record.open(str(database)).runs(RunFilter(failed=True)) == (run,)
    assert record.open(database).runs(RunFilter(status="running")) == ()


def test_a_trace_is_fetched_by_id_by_its_beginning_or_as_the_latest(database: Path) -> None:
    [run] = record.open(database)
    latest = record.open(database).trace()
    assert isinstance(latest, RunTrace)
    assert latest == record.open(database).trace(run.id) == record.open(database).trace(run.id[:10])
    with pytest.raises(UnknownIdError):
        record.open(database).trace("none")


def test_positions_that_are_open_come_as_rows(database: Path) -> None:
    held = record.open(database).open_positions()
    assert held
    assert all(position.contracts > 0 for position in held)


def test_a_frame_holds_what_the_query_asks_for(database: Path) -> None:
    desk = record.open(database)
    frame = desk.frame("SELECT * FROM decisions WHERE decision = ? ORDER BY rank", ["traded"])
    assert list(frame["candidate_id"]) == [one.id for one in desk.trace().candidates if one.decision == "traded"]
    assert len(desk.frame("SELECT 1 AS one WHERE 1 = :n", {"n": 2})) == 0


def test_the_frame_of_runs_is_by_id_with_instants(database: Path) -> None:
    [run] = record.open(database)
    frame = record.open(database).runs_frame()
    assert list(frame.index) == [run.id]
    assert str(frame["as_of"].dt.tz) == "UTC"
    assert frame.loc[run.id, "llm_calls"] == run.llm_calls


def test_an_empty_record_has_an_empty_frame(tmp_path: Path) -> None:
    record.open_database(tmp_path / "empty.db", create=True)
    assert record.open(tmp_path / "empty.db").runs_frame().empty


@pytest.mark.parametrize("query", ["DELETE FROM runs", "SELECT nothing FROM runs", "SELECT 1; SELECT 2"])
def test_a_query_that_cannot_be_answered_names_the_file_and_changes_nothing(database: Path, query: str) -> None:
    before = database.read_bytes()
    with pytest.raises(InputError, match=r"mahler\.db: "):
        record.open(database).frame(query)
    assert database.read_bytes() == before


def test_only_a_record_that_is_there_can_be_opened(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        record.open(tmp_path / "none.db")
    assert not list(tmp_path.iterdir())


def test_opening_a_record_does_not_import_pandas(database: Path) -> None:
    code = (
        f"import sys; from mahler_agents import record; list(record.open({str(database)!r}));"
        "assert not {'pandas', 'numpy', 'pydantic', 'sqlite_utils'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
