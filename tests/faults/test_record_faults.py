"""A record that is missing, damaged, locked, newer, read-only or on a full disk: one clear line, and nothing lost."""

import json
import multiprocessing
import os
import random
import resource
import signal
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from conftest import at_scale
from recorded import copy_of, made_once, record_scan

from mahler_agents.cli import main
from mahler_agents.errors import RecordError
from mahler_agents.record import Writer, connect, database, open_database

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
FORK = multiprocessing.get_context("fork")
READING = (["trace", "list"], ["trace", "show", "latest"], ["positions"], ["exits"], ["db", "check"])
WRITING = (
    ["scan", "--model", "none"],
    ["monitor", "--as-of", "2026-03-18T10:00"],
    ["db", "prune", "--keep", "0", "--yes"],
)
NOBODY = 65534


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_once(tmp_path_factory)


def refused(arguments: list[str], path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Run a verb on a record; return its exit code and the one line that it said."""
    code = main([*arguments, "--db", str(path)])
    printed = capsys.readouterr()
    assert printed.err.count("\n") == 1, printed.err
    assert printed.err.startswith("mahler: ")
    return code, printed.err


# --- What is no record, or not ours to read ---------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [*READING, ["db", "path"], ["db", "backup"], WRITING[-1]], ids=" ".join)
def test_a_missing_file_is_bad_input(arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = refused(arguments, tmp_path / "none.db", capsys)
    assert code == 2
    assert "none.db does not exist: run `mahler scan` first" in said


@pytest.mark.parametrize("arguments", [*READING, *WRITING], ids=" ".join)
@pytest.mark.parametrize("kind", ["a folder", "a text file", "a newer schema"])
def test_what_is_no_record_of_ours_is_bad_input_and_left_alone(
    arguments: list[str], kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "thing.db"
    if kind == "a folder":
        path.mkdir()
    elif kind == "a text file":
        path.write_text("# Notes\n" * 500)
    else:
        with monkeypatch.context() as newer:
            newer.setattr(database, "MIGRATIONS", (*database.MIGRATIONS, ("m999_later", ())))
            open_database(path, create=True)
    before = None if path.is_dir() else path.read_bytes()
    code, said = refused(arguments, path, capsys)
    assert code == 2
    assert {"a folder": "is a folder", "a text file": "is not a record", "a newer schema": "m999_later"}[kind] in said
    assert before == (None if path.is_dir() else path.read_bytes())


# --- Damage -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(at_scale(400)))
def test_bytes_that_flipped_are_one_line_or_none_and_never_a_traceback(
    seed: int, recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = copy_of(recorded, tmp_path)
    content, chance = bytearray(path.read_bytes()), random.Random(seed)  # noqa: S311 - not a secret
    start = chance.randrange(4096, len(content) - 600)
    length = chance.choice((1, 16, 512))
    content[start : start + length] = chance.randbytes(length)
    path.write_bytes(content)
    for arguments in (["trace", "show", "latest"], ["trace", "list"], ["positions"], ["db", "check"]):
        code = main([*arguments, "--json", "--db", str(path)])
        printed = capsys.readouterr()
        if printed.out:
            assert code == 0 or arguments[0] == "db"
            json.loads(printed.out)
        else:
            assert code == (2 if "is not a record" in printed.err else 1)
            assert printed.err.startswith(f"mahler: {path}")
            assert printed.err.count("\n") == 1


def test_a_damaged_record_says_how_to_save_it(
    recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = copy_of(recorded, tmp_path)
    content = bytearray(path.read_bytes())
    content[8192:] = b"\xff" * len(content[8192:])
    path.write_bytes(content)
    code, said = refused(["trace", "show", "latest"], path, capsys)
    assert code == 1
    assert "malformed (the file is damaged: restore a backup, or save what can be read with `sqlite3" in said
    assert path.read_bytes() == bytes(content)


# --- Locks ------------------------------------------------------------------------------------------------------------


def test_a_locked_record_is_read_and_a_writer_that_waited_says_who_is_in_the_way(
    recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = copy_of(recorded, tmp_path)
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.02)
    with closing(connect(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        for arguments in (["trace", "list"], ["trace", "show", "latest"], ["positions"]):
            assert main([*arguments, "--db", str(path)]) == 0
        capsys.readouterr()
        code, said = refused(["db", "prune", "--keep", "0", "--yes"], path, capsys)
        assert code == 1
        assert "database is locked (another process is writing to it; try again when that has ended)" in said
        other.execute("ROLLBACK")
    assert main(["db", "prune", "--keep", "0", "--yes", "--db", str(path)]) == 0


def test_the_wait_for_a_lock_is_the_caller_s_to_choose(recorded: Path, tmp_path: Path) -> None:
    path = copy_of(recorded, tmp_path)
    event = {"at": "now", "level": "info", "code": "test", "message": "one"}

    def write() -> None:
        with Writer(path, busy_seconds=0.0) as writer:
            writer.insert("events", event)

    with closing(connect(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(RecordError, match=r"mahler\.db: database is locked"):
            write()


# --- Places that cannot be written to ---------------------------------------------------------------------------------


def in_a_child(work: Callable[[], None]) -> None:
    """Run `work` in a forked child, and wait for it to succeed."""
    child = FORK.Process(target=work)
    child.start()
    child.join()
    assert child.exitcode == 0


def no_larger_than(size: int) -> None:
    """Let no file of this process grow beyond a size."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # so that writing fails instead of killing
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def test_a_scan_on_a_full_disk_is_one_line_and_what_was_committed_before_it_is_whole(
    recorded: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = copy_of(recorded, tmp_path)
    before = _dump(path, "orders", "fills", "positions", "opinions", "llm_calls")

    def scan() -> None:
        no_larger_than(200_000)
        assert main(["scan", "--model", "none", "--db", str(path)]) == 1

    in_a_child(scan)
    said = [line for line in capfd.readouterr().err.splitlines() if line.startswith("mahler: ")]
    assert len(said) == 1
    assert f"{path}: disk I/O error (the disk may be full or failing" in said[0]
    after = _dump(path, "orders", "fills", "positions", "opinions", "llm_calls")
    assert all(set(rows) <= set(after[table]) for table, rows in before.items())
    assert main(["db", "check", "--mend", "--db", str(path)]) == 0
    record_scan(path, seed_of_ids=5, slot="afterwards")


def test_a_migration_or_backup_on_a_full_disk_leaves_the_file_as_it_was(
    recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = copy_of(recorded, tmp_path)
    monkeypatch.setattr(database, "MIGRATIONS", (*database.MIGRATIONS, ("m999_later", ("CREATE TABLE later (x)",))))
    before, files = path.read_bytes(), _files(tmp_path)

    def work() -> None:
        no_larger_than(200_000)
        assert main(["trace", "list", "--db", str(path)]) == 1
        assert main(["db", "backup", str(tmp_path / "copy.db"), "--db", str(path)]) == 1

    in_a_child(work)
    assert path.read_bytes() == before
    assert _files(tmp_path) == files


@pytest.fixture
def closed(recorded: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Path:
    """Return a record in a folder in which a child of this process may read, and not write."""
    folder = tmp_path / "closed"
    folder.mkdir()
    path = copy_of(recorded, folder)
    for place in (folder, *folder.parents):
        if place.owner() == "root" and os.getuid() == 0 and Path(tempfile.gettempdir()) in place.parents:
            place.chmod(0o755)
    folder.chmod(0o555)
    # Imported here, since the child's user may not be let into the folder that the package lies in.
    for arguments in (*READING, ["deposit", "100"]):
        main([*arguments, "--db", str(copy_of(recorded, tmp_path))])
    capfd.readouterr()
    return path


def as_nobody(arguments: list[str], path: Path) -> None:
    """Run a verb in a child that is not the superuser, who may write anywhere; exit with its code plus 10."""
    if os.getuid() == 0:
        os.setuid(NOBODY)
    os._exit(10 + main([*arguments, "--db", str(path)]))


def code_of(arguments: list[str], path: Path) -> int:
    child = FORK.Process(target=as_nobody, args=(arguments, path))
    child.start()
    child.join()
    return (child.exitcode or 0) - 10


def refused_to_nobody(arguments: list[str], path: Path, capfd: pytest.CaptureFixture[str]) -> str:
    """Return the one line with which a verb refuses."""
    assert code_of(arguments, path) == 1
    said = capfd.readouterr().err
    assert said.count("\n") == 1, said
    assert said.startswith(f"mahler: {path}")
    return said


@pytest.mark.parametrize("arguments", [["deposit", "100"], ["db", "check"]], ids=" ".join)
def test_what_must_write_says_that_the_folder_cannot_be_written_to(
    arguments: list[str], closed: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert "must be writable" in refused_to_nobody(arguments, closed, capfd)


@pytest.mark.parametrize("arguments", READING[:4], ids=" ".join)
def test_a_record_in_a_folder_that_cannot_be_written_to_is_read(
    arguments: list[str], closed: Path, recorded: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = {path.name: path.read_bytes() for path in closed.parent.iterdir()}
    assert code_of([*arguments, "--json"], closed) == 0
    read = capfd.readouterr()
    assert main([*arguments, "--json", "--db", str(recorded)]) == 0
    assert read.out == capfd.readouterr().out != ""
    assert read.err == ""
    assert {path.name: path.read_bytes() for path in closed.parent.iterdir()} == before


def test_what_waits_beside_such_a_record_is_not_left_out(closed: Path, capfd: pytest.CaptureFixture[str]) -> None:
    closed.with_name(f"{closed.name}-wal").write_bytes(b"committed, and not yet in the file")
    assert "must be writable" in refused_to_nobody(["trace", "list"], closed, capfd)


def test_such_a_record_of_an_older_version_says_what_to_do(
    closed: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "MIGRATIONS", (*database.MIGRATIONS, ("m999_later", ("CREATE TABLE later (x)",))))
    assert "is of an older version" in refused_to_nobody(["trace", "list"], closed, capfd)


def _dump(path: Path, *tables: str) -> dict[str, list[tuple[object, ...]]]:
    with closing(sqlite3.connect(path)) as connection:
        return {table: connection.execute(f"SELECT * FROM {table}").fetchall() for table in tables}


def _files(folder: Path) -> set[str]:
    """Return the names in a folder, but for SQLite's own beside a record."""
    return {path.name for path in folder.iterdir() if not path.name.endswith(("-wal", "-shm", ".lock"))}
