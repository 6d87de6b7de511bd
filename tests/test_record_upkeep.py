"""Looking after the record: copies, damage, what dead processes left, and pruning, which loses nothing that counts."""

import asyncio
import json
import multiprocessing
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from cli_scans import json_of
from recorded import copy_of, made_once, record_scan

from mahler_agents.cli import main
from mahler_agents.errors import ConfigError, RecordError
from mahler_agents.record import connect, open_database
from mahler_agents.record.abandoned import ERROR, mark_abandoned
from mahler_agents.record.backup import back_up
from mahler_agents.record.checking import check
from mahler_agents.record.presence import alone_now, at_work
from mahler_agents.record.pruning import Pruning, prune
from mahler_agents.record.queries import Reader

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
FORK = multiprocessing.get_context("fork")
NOW = "2030-01-01T00:00:00.000Z"


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The record of one scan, whose trades and shadows have all ended."""
    database = made_once(tmp_path_factory)
    change(database, "UPDATE positions SET state = 'closed'")
    change(database, "UPDATE shadows SET exit_at = entered_at, daily_exit_at = entered_at")
    return database


@pytest.fixture
def database(recorded: Path, tmp_path: Path) -> Path:
    return copy_of(recorded, tmp_path)


def change(database: Path, sql: str) -> None:
    with closing(connect(database)) as connection:
        connection.execute(sql)


def value(database: Path, sql: str) -> Any:
    with closing(connect(database, read_only=True)) as connection:
        return connection.execute(sql).fetchone()[0]


def dump(database: Path, *, without: tuple[str, ...] = ()) -> dict[str, list[tuple[Any, ...]]]:
    """Return every table's rows, but for some tables."""
    with closing(connect(database, read_only=True)) as connection:
        names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {
            name: sorted(map(tuple, connection.execute(f"SELECT * FROM {name}")), key=repr)
            for name in names
            if name not in without
        }


def problems(database: Path) -> list[str]:
    return sorted({finding.code for finding in check(database) if finding.problem})


def while_another_process_is_at_work(database: Path, work: Callable[[], object]) -> None:
    """Do `work` while a forked child is present on the record."""
    present, leave = FORK.Event(), FORK.Event()

    async def be_present() -> None:
        async with at_work(database, lambda: asyncio.sleep(0)):
            present.set()
            leave.wait()

    child = FORK.Process(target=lambda: asyncio.run(be_present()))
    child.start()
    try:
        assert present.wait(20)
        work()
    finally:
        leave.set()
        child.join()


# --- Backup -----------------------------------------------------------------------------------------------------------


def test_a_backup_holds_everything_that_was_committed_even_while_another_writes(database: Path, tmp_path: Path) -> None:
    target = tmp_path / "copy.db"
    with closing(connect(database)) as writer:
        writer.execute("INSERT INTO prompts VALUES ('committed', 'n', 'c')")
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("INSERT INTO prompts VALUES ('not yet', 'n', 'c')")
        assert back_up(database, target) == target
        writer.execute("ROLLBACK")
    assert dump(target) == dump(database)
    assert open_database(target) == target
    assert problems(target) == []


def test_a_backup_overwrites_nothing_and_leaves_nothing_when_it_fails(database: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.txt"
    mine.write_text("precious")
    with pytest.raises(ConfigError, match=r"mine\.txt exists already, and a backup overwrites nothing"):
        back_up(database, mine)
    assert mine.read_text() == "precious"
    broken = tmp_path / "broken.db"
    broken.write_bytes(b"no database at all" * 1000)
    with pytest.raises(ConfigError, match="is not a record"):
        back_up(broken, tmp_path / "copy.db")
    assert not (tmp_path / "copy.db").exists()


# --- Damage -----------------------------------------------------------------------------------------------------------


def test_a_whole_record_has_no_problem(database: Path) -> None:
    assert problems(database) == []


def test_each_kind_of_damage_is_found(database: Path, tmp_path: Path) -> None:
    unhinged = copy_of(database, _folder(tmp_path, "unhinged"))
    with closing(sqlite3.connect(unhinged, isolation_level=None)) as connection:  # foreign keys are off by default
        connection.execute("DELETE FROM candidates WHERE rank = 1")
        connection.execute("DELETE FROM prompts WHERE name = 'greeks'")
    assert problems(unhinged) == ["references", "texts"]
    flipped = copy_of(database, _folder(tmp_path, "flipped"))
    content = bytearray(flipped.read_bytes())
    content[len(content) // 2 :: 4096] = b"\xff" * len(content[len(content) // 2 :: 4096])
    flipped.write_bytes(content)
    assert "pages" in problems(flipped) or "unreadable" in problems(flipped)
    left = copy_of(database, _folder(tmp_path, "left"))
    change(left, "UPDATE runs SET status = 'running'")
    assert problems(left) == ["left_running"]


def _folder(parent: Path, name: str) -> Path:
    (parent / name).mkdir()
    return parent / name


def test_a_run_in_progress_is_no_problem_while_its_process_is_at_work(database: Path) -> None:
    change(database, "UPDATE runs SET status = 'running'")

    def look() -> None:
        assert problems(database) == []
        assert "a process is at work; runs in progress: 1" in [finding.text for finding in check(database)]

    while_another_process_is_at_work(database, look)


# --- What dead processes left -----------------------------------------------------------------------------------------


def test_the_next_ad_hoc_scan_marks_the_run_of_a_dead_process_and_its_calls_and_nothing_else(
    database: Path,
) -> None:
    left = value(database, "SELECT id FROM runs")
    change(database, "UPDATE runs SET status = 'running', ended_at = NULL")
    change(database, "UPDATE llm_calls SET ended_at = NULL, outcome = NULL WHERE role = 'volatility'")
    unended = value(database, "SELECT COUNT(*) FROM llm_calls WHERE ended_at IS NULL")
    new = record_scan(database, seed_of_ids=2, slot=None)
    with closing(connect(database, read_only=True)) as connection:
        runs = {row["id"]: dict(row) for row in connection.execute("SELECT * FROM runs")}
    assert (runs[left]["status"], runs[left]["error"], runs[left]["ended_at"]) == ("failed", ERROR, None)
    assert runs[left]["abandoned_at"] is not None
    assert (runs[new]["status"], runs[new]["abandoned_at"]) == ("done", None)
    assert value(database, "SELECT COUNT(*) FROM llm_calls WHERE abandoned_at IS NOT NULL") == unended > 0
    assert left in value(database, "SELECT message FROM events WHERE code = 'abandoned'")
    with Reader(database) as reader:
        assert reader.trace(left).run.error == ERROR


def test_a_run_of_a_process_at_work_is_not_taken_for_a_dead_one_s(database: Path) -> None:
    change(database, "UPDATE runs SET status = 'running'")

    def scan_meanwhile() -> None:
        record_scan(database, seed_of_ids=2, slot="second")
        assert main(["db", "check", "--mend", "--db", str(database)]) == 1

    while_another_process_is_at_work(database, scan_meanwhile)
    assert value(database, "SELECT COUNT(*) FROM runs WHERE status = 'running' AND abandoned_at IS NULL") == 1


def test_mending_marks_what_was_left(database: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(database, "UPDATE runs SET status = 'running'")
    assert main(["db", "check", "--db", str(database)]) == 1
    assert "PROBLEM  left_running: 1 runs were left by processes that died" in capsys.readouterr().out
    assert main(["db", "check", "--mend", "--db", str(database)]) == 0
    assert "is marked as abandoned" in capsys.readouterr().err
    assert mark_abandoned(database, at=NOW) == ()


def test_only_one_can_be_alone(database: Path) -> None:
    with alone_now(database) as first, alone_now(database) as second:
        assert (first, second) == (True, False)
    with alone_now(database) as again:
        assert again


# --- Pruning ----------------------------------------------------------------------------------------------------------

BULKY = ("runs", "llm_calls", "failures", "snapshots", "briefs", "prompts", "sqlite_sequence")


def pruned(database: Path, *, really: bool = True, keep: int = 0) -> Pruning:
    return prune(database, keep=keep, at=NOW, really=really)


def test_pruning_drops_the_bulk_and_keeps_all_that_was_decided_and_traded(database: Path, tmp_path: Path) -> None:
    before, size = dump(database, without=BULKY), database.stat().st_size
    briefs = value(database, "SELECT COUNT(*) FROM briefs WHERE hash IN (SELECT brief_hash FROM opinions)")
    found = pruned(database)
    assert found.runs == 1
    assert {one.kind for one in found.bulk if one.count} >= {"requests", "replies", "snapshots"}
    assert dump(database, without=BULKY) == before
    assert value(database, "SELECT COUNT(*) FROM llm_calls WHERE request <> '' OR response IS NOT NULL") == 0
    assert value(database, "SELECT COUNT(*) FROM failures WHERE raw_reply IS NOT NULL") == 0
    assert value(database, "SELECT COUNT(*) FROM snapshots") == 0
    assert value(database, "SELECT COUNT(*) FROM briefs WHERE content <> ''") >= briefs > 0
    assert value(database, "SELECT pruned_at FROM runs") == NOW
    empty = open_database(tmp_path / "empty.db", create=True).stat().st_size  # pages of tables and indices alone
    assert database.stat().st_size == found.bytes_after
    assert found.bytes_after - empty < 0.6 * (size - empty)
    assert problems(database) == []
    with Reader(database) as reader:
        assert reader.trace(reader.run_id("latest")).candidates
    assert pruned(database).runs == 0


def test_a_dry_run_says_the_same_and_changes_nothing(database: Path) -> None:
    before = dump(database)
    dry = pruned(database, really=False)
    assert dump(database) == before
    really = pruned(database)
    assert (dry.runs, dry.still_open, dry.bulk) == (really.runs, really.still_open, really.bulk)
    assert (dry.done, really.done) == (False, True)


@pytest.mark.parametrize(
    "unfinished",
    [
        "UPDATE runs SET status = 'running'",
        "UPDATE runs SET abandoned_at = started_at",
        "UPDATE positions SET state = 'open'",
        "UPDATE orders SET state = 'sent'",
        "UPDATE shadows SET daily_exit_at = NULL",
    ],
)
def test_a_run_whose_business_is_unfinished_stays_whole(database: Path, unfinished: str) -> None:
    change(database, unfinished)
    before = dump(database)["llm_calls"]
    found = pruned(database)
    assert (found.runs, found.still_open) == (0, 1)
    assert dump(database)["llm_calls"] == before
    assert value(database, "SELECT COUNT(*) FROM snapshots") == 1


def test_what_a_kept_run_shares_with_a_pruned_one_stays(database: Path) -> None:
    old = value(database, "SELECT id FROM runs")
    record_scan(database, seed_of_ids=2, slot="second")  # of the same instant: another account state, the same prompts
    change(database, "UPDATE runs SET snapshot_hash = (SELECT MIN(hash) FROM snapshots)")
    change(database, "DELETE FROM snapshots WHERE hash NOT IN (SELECT snapshot_hash FROM runs)")
    change(database, f"UPDATE runs SET started_at = '2020-01-01' WHERE id = '{old}'")
    assert pruned(database, keep=1).runs == 1
    assert value(database, "SELECT COUNT(*) FROM snapshots") == 1
    assert value(database, f"SELECT COUNT(*) FROM llm_calls WHERE request = '' AND run_id <> '{old}'") == 0


def test_the_same_snapshot_can_be_recorded_again_after_it_was_pruned(tmp_path: Path) -> None:
    database = tmp_path / "mahler.db"
    record_scan(database)
    packed = value(database, "SELECT content FROM snapshots")
    change(database, "UPDATE positions SET state = 'closed'")
    change(database, "UPDATE shadows SET exit_at = entered_at, daily_exit_at = entered_at")
    pruned(database)
    for table in ("outcomes", "fills", "order_attempts", "positions", "orders", "paper_fills", "paper_orders"):
        change(database, f"DELETE FROM {table}")
    for table in ("paper_positions", "paper_spreads", "paper_accounts"):
        change(database, f"DELETE FROM {table}")
    record_scan(database, seed_of_ids=2, slot="second")
    assert value(database, "SELECT content FROM snapshots") == packed


def test_pruning_goes_by_when_a_run_started(database: Path) -> None:
    started = value(database, "SELECT started_at FROM runs")
    assert prune(database, before=started, at=NOW, really=True).runs == 0
    assert prune(database, before=NOW, at=NOW, really=True).runs == 1


def test_nothing_is_pruned_while_a_process_is_at_work(database: Path) -> None:
    def try_it() -> None:
        with pytest.raises(RecordError, match="a process is at work on it; prune when that has ended"):
            pruned(database)

    while_another_process_is_at_work(database, try_it)


# --- The verbs --------------------------------------------------------------------------------------------------------


def test_the_verbs_say_what_they_did(database: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    db = ["--db", str(database)]
    assert main(["db", "path", *db]) == 0
    assert capsys.readouterr().out == f"{database}\n"
    assert main(["db", "backup", str(tmp_path / "b.db"), *db]) == 0
    assert capsys.readouterr().out.startswith(f"{tmp_path / 'b.db'}: ")
    assert main(["db", "prune", "--keep", "0", *db]) == 0
    dry = capsys.readouterr().out
    assert "would drop the bulk of 1 run:" in dry
    assert "nothing was changed: --yes does it" in dry
    assert main(["db", "prune", "--older-than", "0", "--yes", *db]) == 0
    assert " before, " in capsys.readouterr().out
    assert main(["db", "check", *db]) == 0
    assert "PROBLEM" not in capsys.readouterr().out


def test_the_verbs_speak_json(database: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["path"], ["backup", str(tmp_path)], ["check"], ["prune", "--keep", "1"]):
        assert main(["db", *arguments, "--json", "--db", str(database)]) == 0
        assert isinstance(json_of(capsys.readouterr().out), dict)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["prune"], "either --older-than DAYS or --keep N"),
        (["prune", "--keep", "1", "--older-than", "1"], "either --older-than DAYS or --keep N"),
        (["prune", "--keep", "-1"], "--keep"),
        (["path"], "does not exist"),
        (["check"], "does not exist"),
        (["backup"], "does not exist"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    arguments: list[str], named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["db", *arguments, "--db", str(tmp_path / "none.db")]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert named in printed.err
    assert not list(tmp_path.iterdir())


def test_a_copy_is_never_taken_for_the_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    open_database(Path("mahler-sample-paper.db"), create=True)
    assert main(["db", "backup", "--json"]) == 0
    backup = json.loads(capsys.readouterr().out)["path"]
    assert backup.startswith("mahler-sample-paper.backup-")
    assert main(["db", "path"]) == 0
    assert capsys.readouterr().out == "mahler-sample-paper.db\n"
