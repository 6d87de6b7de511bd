"""The record's file and its writer: shared, older, newer, full or broken, nothing is lost in silence."""

import asyncio
import multiprocessing
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mahler_agents.errors import ConfigError, RecordError
from mahler_agents.record import Writer, connect, database, open_database
from mahler_agents.record.durable import DurableConnection
from mahler_agents.record.migrations import MIGRATIONS
from mahler_agents.record.writer import as_json

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
FORK = multiprocessing.get_context("fork")
SECOND_MIGRATION = ("m999_test", ("CREATE TABLE later (id INTEGER PRIMARY KEY)",))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return open_database(tmp_path / "mahler.db", create=True)


@pytest.fixture(autouse=True)
def _no_long_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_SECONDS", 5.0)


def rows(path: Path, sql: str) -> list[Any]:
    with closing(connect(path)) as connection:
        return [row[0] for row in connection.execute(sql)]


def tables(path: Path) -> set[str]:
    return set(rows(path, "SELECT name FROM sqlite_master WHERE type = 'table'"))


def an_event(message: object, *, level: str = "info") -> dict[str, object]:
    return {"at": "2026-03-16T14:00:00.000Z", "level": level, "code": "test", "message": message}


def in_threads(work: Callable[[], Any], *, count: int = 8) -> list[Any]:
    """Return what `work` returned in each of `count` threads that began together."""
    barrier = threading.Barrier(count)

    def begin(_: int) -> Any:
        barrier.wait()
        return work()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(begin, range(count)))


# --- Opening ----------------------------------------------------------------------------------------------------------


def test_a_new_record_has_the_tables_and_names_its_migrations(path: Path) -> None:
    assert {"runs", "snapshots", "candidates", "orders", "fills", "positions", "events"} <= tables(path)
    assert rows(path, "SELECT name FROM _sqlite_migrations ORDER BY rowid") == [name for name, _ in MIGRATIONS]
    assert rows(path, "PRAGMA journal_mode") == ["wal"]


def test_opening_again_changes_nothing(path: Path) -> None:
    before = path.read_bytes()
    assert open_database(path, create=True) == open_database(path) == path
    assert path.read_bytes() == before


def test_an_up_to_date_record_opens_without_importing_sqlite_utils(path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from mahler_agents.record import open_database;"
        f"open_database(Path({str(path)!r}));"
        "assert not {'sqlite_utils', 'pandas'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_threads_that_open_a_new_record_at_once_migrate_it_once(tmp_path: Path) -> None:
    path = tmp_path / "mahler.db"
    assert in_threads(lambda: open_database(path, create=True)) == [path] * 8
    assert rows(path, "SELECT name FROM _sqlite_migrations ORDER BY rowid") == [name for name, _ in MIGRATIONS]


def test_processes_that_open_a_new_record_at_once_migrate_it_once(tmp_path: Path) -> None:
    path = tmp_path / "mahler.db"
    barrier = FORK.Barrier(6)

    def begin() -> None:
        barrier.wait()
        open_database(path, create=True)

    processes = [FORK.Process(target=begin) for _ in range(6)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 6
    assert rows(path, "SELECT name FROM _sqlite_migrations ORDER BY rowid") == [name for name, _ in MIGRATIONS]


@pytest.mark.parametrize("create", [False, True])
def test_an_older_schema_is_migrated_and_the_file_as_it_was_is_kept_beside_it(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, *, create: bool
) -> None:
    with Writer(path) as writer:
        writer.insert("events", an_event("before"))
    before = tables(path)
    monkeypatch.setattr(database, "MIGRATIONS", (*MIGRATIONS, SECOND_MIGRATION))
    open_database(path, create=create)
    assert "later" in tables(path)
    assert rows(path, "SELECT name FROM _sqlite_migrations ORDER BY rowid")[-1] == "m999_test"
    copy = path.with_name("mahler.before-m999.db")
    assert [record.getMessage() for record in caplog.records] == [
        f"{path} was of an older version and has been migrated; as it was, it is kept as {copy}"
    ]
    monkeypatch.undo()
    assert open_database(copy) == copy
    assert tables(copy) == before
    assert rows(copy, "SELECT message FROM events") == ["before"]
    open_database(path.with_name("new.db"), create=True)
    assert not path.with_name("new.before-m001.db").exists()


def test_a_copy_never_takes_the_place_of_another(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    earlier = path.with_name("mahler.before-m999.db")
    earlier.write_text("another copy")
    monkeypatch.setattr(database, "MIGRATIONS", (*MIGRATIONS, SECOND_MIGRATION))
    open_database(path)
    assert earlier.read_text() == "another copy"
    assert path.with_name("mahler.before-m999-2.db").exists()


def test_migrations_that_came_in_another_order_are_not_taken_for_pending(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "MIGRATIONS", (SECOND_MIGRATION, *MIGRATIONS))
    open_database(path)
    before = path.stat().st_mtime_ns, sorted(path.parent.iterdir())
    open_database(path)
    assert (path.stat().st_mtime_ns, sorted(path.parent.iterdir())) == before


def test_a_migration_that_fails_leaves_nothing_behind(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = tables(path)
    half = ("m999_test", (*SECOND_MIGRATION[1], "CREATE TABLE runs (id TEXT)"))
    monkeypatch.setattr(database, "MIGRATIONS", (*MIGRATIONS, half))
    with pytest.raises(RecordError, match=r"mahler\.db: table runs already exists"):
        open_database(path)
    assert tables(path) == before
    assert not list(path.parent.glob("*.before-*"))
    monkeypatch.undo()
    assert open_database(path) == path


def test_a_newer_schema_is_refused_and_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "MIGRATIONS", (*MIGRATIONS, SECOND_MIGRATION))
    open_database(path)
    monkeypatch.undo()
    for create in (False, True):
        with pytest.raises(ConfigError, match=r"written by a newer version \(schema m999_test\): upgrade"):
            open_database(path, create=create)


def test_a_missing_file_or_folder_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.db does not exist: run `mahler scan` first, or name the file"):
        open_database(tmp_path / "none.db")
    with pytest.raises(ConfigError, match=r"the folder .*/none does not exist; make it first"):
        open_database(tmp_path / "none" / "mahler.db", create=True)
    with pytest.raises(ConfigError, match="is a folder: name a file with --db"):
        open_database(tmp_path, create=True)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("create", [False, True])
def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path, *, create: bool) -> None:
    path = tmp_path / "README.md"
    path.write_text("# Not a database\n" * 100, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"README\.md is not a record of mahler-agents: name another file"):
        open_database(path, create=create)
    assert path.read_text(encoding="utf-8") == "# Not a database\n" * 100


@pytest.mark.parametrize("create", [False, True])
@pytest.mark.parametrize(
    "made_by", ["CREATE TABLE addresses (name TEXT)", "CREATE TABLE _sqlite_migrations (migration_set, name)"]
)
def test_a_database_of_something_else_is_refused_and_left_alone(tmp_path: Path, made_by: str, *, create: bool) -> None:
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as other:
        other.execute(made_by)
    before = path.read_bytes()
    with pytest.raises(ConfigError, match=r"other\.db is not a record of mahler-agents"):
        open_database(path, create=create)
    assert path.read_bytes() == before


def test_an_empty_file_becomes_a_record_only_where_one_is_made(tmp_path: Path) -> None:
    path = tmp_path / "mahler.db"
    path.touch()
    with pytest.raises(ConfigError, match="is not a record"):
        open_database(path)
    open_database(path, create=True)
    assert "runs" in tables(path)


def test_a_damaged_record_is_an_error_that_names_it(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[100:1000] = b"\xff" * 900
    path.write_bytes(content)
    with pytest.raises(RecordError, match=r"mahler\.db: .*malformed"):
        open_database(path)


# --- Connections ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("durable", "level"), [(False, 1), (True, 2)], ids=["normal", "full"])
def test_every_connection_has_its_pragmas(path: Path, level: int, *, durable: bool) -> None:
    with closing(connect(path, durable=durable)) as connection:
        assert connection.execute("PRAGMA foreign_keys").fetchone()[0] == 1
        assert connection.execute("PRAGMA synchronous").fetchone()[0] == level
        assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
        assert connection.execute("PRAGMA busy_timeout").fetchone()[0] == 5000


def test_a_row_without_its_parent_is_refused(path: Path) -> None:
    with closing(connect(path)) as connection, pytest.raises(sqlite3.IntegrityError, match="FOREIGN KEY"):
        connection.execute("INSERT INTO spans VALUES ('s', 'no such run', NULL, 'size', 'ok', 'now', 1.0, '')")


def test_a_read_only_connection_reads_and_cannot_write(path: Path) -> None:
    with closing(connect(path, read_only=True)) as connection:
        assert connection.execute("SELECT COUNT(*) FROM events").fetchone()[0] == 0
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            connection.execute("DELETE FROM events")


@pytest.mark.parametrize("name", ["a b.db", "50%.db", "what?.db", "#1.db", "ünïcode.db"])
def test_any_file_name_will_do(tmp_path: Path, name: str) -> None:
    open_database(tmp_path / name, create=True)
    assert (tmp_path / name).exists()
    assert "runs" in tables(tmp_path / name)


def test_a_locked_record_is_waited_for_and_then_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.05)
    with closing(connect(path)) as other, closing(DurableConnection(path)) as books:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(RecordError, match=r"mahler\.db: database is locked"), books.transaction():
            pytest.fail("two writers at once")
        with books.reading() as connection:  # readers do not wait for writers
            assert connection.execute("SELECT COUNT(*) FROM events").fetchone()[0] == 0
        other.execute("ROLLBACK")
        with books.transaction() as connection:
            connection.execute("DELETE FROM events")


# --- Transactions on money --------------------------------------------------------------------------------------------

ACCOUNT = "INSERT INTO paper_accounts VALUES ('a', 1)"


def test_a_transaction_commits_at_its_end(path: Path) -> None:
    with closing(DurableConnection(path)) as books, books.transaction() as connection:
        connection.execute(ACCOUNT)
        assert rows(path, "SELECT * FROM paper_accounts") == []
    assert rows(path, "SELECT account_id FROM paper_accounts") == ["a"]


@pytest.mark.parametrize("error", [ValueError("mine"), KeyboardInterrupt(), sqlite3.IntegrityError("theirs")])
def test_any_exception_rolls_a_transaction_back_and_leaves_the_connection_fit_for_use(
    path: Path, error: BaseException
) -> None:
    def interrupted(books: DurableConnection) -> None:
        with books.transaction() as connection:
            connection.execute(ACCOUNT)
            raise error

    with closing(DurableConnection(path)) as books:
        with pytest.raises(RecordError if isinstance(error, sqlite3.Error) else type(error)):
            interrupted(books)
        assert rows(path, "SELECT * FROM paper_accounts") == []
        with books.transaction() as connection:
            connection.execute(ACCOUNT)
    assert rows(path, "SELECT account_id FROM paper_accounts") == ["a"]


def test_two_readings_in_one_block_are_of_one_moment(path: Path) -> None:
    with closing(DurableConnection(path)) as mine, closing(DurableConnection(path)) as theirs:
        with mine.reading() as connection:
            assert connection.execute("SELECT COUNT(*) FROM paper_accounts").fetchone()[0] == 0
            with theirs.transaction() as other:
                other.execute(ACCOUNT)
            assert connection.execute("SELECT COUNT(*) FROM paper_accounts").fetchone()[0] == 0
        with mine.reading() as connection:
            assert connection.execute("SELECT COUNT(*) FROM paper_accounts").fetchone()[0] == 1


def test_no_change_is_lost_between_two_connections(path: Path) -> None:
    with closing(DurableConnection(path)) as one:
        with one.transaction() as connection:
            connection.execute(ACCOUNT)

        def add_twenty() -> None:
            with closing(DurableConnection(path)) as books:
                for _ in range(20):
                    with books.transaction() as connection:
                        cents = connection.execute("SELECT cash_cents FROM paper_accounts").fetchone()[0]
                        connection.execute("UPDATE paper_accounts SET cash_cents = ?", (cents + 1,))

        in_threads(add_twenty, count=4)
    assert rows(path, "SELECT cash_cents FROM paper_accounts") == [81]


# --- The writer -------------------------------------------------------------------------------------------------------


def test_rows_are_written_in_the_order_in_which_they_were_given(path: Path) -> None:
    with Writer(path) as writer:
        for number in range(2_000):
            writer.insert("events", an_event(str(number)))
    assert rows(path, "SELECT message FROM events ORDER BY id") == [str(number) for number in range(2_000)]


def test_a_flush_returns_once_everything_before_it_is_committed(path: Path) -> None:
    async def flushed() -> list[list[str]]:
        seen = []
        for message in ("one", "two"):
            writer.insert("events", an_event(message))
            await writer.flush()
            seen.append(rows(path, "SELECT message FROM events ORDER BY id"))
        return seen

    with Writer(path) as writer:
        assert asyncio.run(flushed()) == [["one"], ["one", "two"]]


def test_leaving_commits_what_is_queued_even_after_an_exception(path: Path) -> None:
    def interrupted() -> None:
        with Writer(path) as writer:
            writer.insert("events", an_event("evidence"))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert rows(path, "SELECT message FROM events") == ["evidence"]


def test_a_row_is_updated_by_its_key_and_one_that_is_there_already_is_left(path: Path) -> None:
    prompt = {"hash": "h", "name": "greeks", "content": "text"}
    with Writer(path) as writer:
        writer.insert_once("prompts", prompt)
        writer.insert_once("prompts", prompt | {"content": "other"})
        writer.insert_once("prompts", {"hash": "i", "name": "greeks", "content": "text"})
        writer.update("prompts", {"hash": "i"}, {"name": "volatility", "content": "new"})
    assert rows(path, "SELECT hash || name || content FROM prompts ORDER BY hash") == ["hgreekstext", "ivolatilitynew"]


async def _flush(writer: Writer) -> None:
    async with asyncio.timeout(20):
        await writer.flush()


def twice(writer: Writer, table: str, row: dict[str, object]) -> None:
    writer.insert(table, row)
    writer.insert(table, row)


BAD_ROWS: dict[str, Callable[[Writer], None]] = {
    "a code that the schema does not know": lambda writer: writer.insert("events", an_event("x", level="fatal")),
    "a missing parent": lambda writer: writer.insert("events", an_event("x") | {"run_id": "none"}),
    "a null": lambda writer: writer.insert("events", an_event(None)),
    "an unknown table": lambda writer: writer.insert("nothing", {"a": 1}),
    "an unknown column": lambda writer: writer.insert("events", {"colour": "red"}),
    "a value that is no value": lambda writer: writer.insert("events", an_event(object())),
    "the same key twice": lambda writer: twice(writer, "prompts", {"hash": "h", "name": "n", "content": "c"}),
    "a change of a row that is not there": lambda writer: writer.update("runs", {"id": "none"}, {"status": "done"}),
}  # fmt: skip


@pytest.mark.parametrize("write_bad_row", BAD_ROWS.values(), ids=BAD_ROWS.keys())
def test_a_row_that_cannot_be_written_surfaces_everywhere_and_what_came_before_it_is_kept(
    path: Path, write_bad_row: Callable[[Writer], None]
) -> None:
    writer = Writer(path)
    writer.insert("events", an_event("before"))
    write_bad_row(writer)  # before the thread starts, so that it is in the same batch
    writer.insert("events", an_event("after"))

    def use() -> None:
        with writer:
            with pytest.raises(RecordError, match=r"mahler\.db: "):
                asyncio.run(_flush(writer))
            with pytest.raises(RecordError, match=r"mahler\.db: "):
                writer.insert("events", an_event("too late"))

    with pytest.raises(RecordError, match=r"mahler\.db: "):
        use()
    assert rows(path, "SELECT message FROM events") == ["before"]


def test_a_broken_record_is_noted_on_an_exception_that_is_on_its_way(path: Path) -> None:
    writer = Writer(path)
    writer.insert("nothing", {"a": 1})

    def use() -> None:
        with writer:
            raise ValueError("the real trouble")

    with pytest.raises(ValueError, match="the real trouble") as raised:
        use()
    assert any("record is incomplete" in note for note in raised.value.__notes__)


def test_a_closed_writer_takes_nothing(path: Path) -> None:
    with Writer(path) as writer:
        writer.insert("events", an_event("in time"))
    for use in (lambda: writer.insert("events", an_event("late")), lambda: asyncio.run(_flush(writer))):
        with pytest.raises(RecordError, match="the writer is closed"):
            use()
    assert rows(path, "SELECT message FROM events") == ["in time"]


def test_a_flush_that_is_cancelled_leaves_the_writer_at_work(path: Path) -> None:
    async def cancelled() -> None:
        writer.insert("events", an_event("one"))
        flushing = asyncio.ensure_future(writer.flush())
        await asyncio.sleep(0)
        flushing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await flushing
        writer.insert("events", an_event("two"))
        await _flush(writer)

    with Writer(path) as writer:
        asyncio.run(cancelled())
    assert rows(path, "SELECT message FROM events ORDER BY id") == ["one", "two"]


def test_half_a_surrogate_pair_and_a_huge_number_are_kept_as_text(path: Path) -> None:
    with Writer(path) as writer:
        writer.insert("events", an_event("half \ud83d of a smile \U0001f600"))
        writer.insert("events", an_event(10**30))
    assert rows(path, "SELECT message FROM events ORDER BY id") == ["half \\ud83d of a smile \U0001f600", str(10**30)]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One record for all examples of a property, so that each does not migrate its own."""
    return open_database(tmp_path_factory.mktemp("record") / "shared.db", create=True)


@settings(max_examples=40)
@given(texts=st.lists(st.text(st.characters(codec=None), max_size=30), max_size=8))
def test_no_text_that_a_model_writes_can_stop_the_record(shared: Path, texts: list[str]) -> None:
    before = rows(shared, "SELECT COUNT(*) FROM events")[0]
    with Writer(shared) as writer:
        for text in texts:
            writer.insert("events", an_event(text))
    written = rows(shared, f"SELECT message FROM events WHERE id > {before} ORDER BY id")
    assert written == [text.encode("utf-8", "backslashreplace").decode() for text in texts]


def test_json_in_the_record_is_canonical_and_has_no_nan() -> None:
    assert as_json({"b": 1, "a": [None, True, "ü"]}) == '{"a":[null,true,"ü"],"b":1}'
    with pytest.raises(ValueError, match="not JSON compliant"):
        as_json({"a": float("nan")})


# --- Disk full --------------------------------------------------------------------------------------------------------


def in_a_child_with_a_full_disk(path: Path, work: Callable[[], None]) -> None:
    """Run `work` in a forked child whose files cannot grow beyond the database's size plus 64 kB, and wait for it."""

    def limited() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # so that writing fails instead of killing
        most = path.stat().st_size + 65_536
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
        work()

    child = FORK.Process(target=limited)
    child.start()
    child.join()
    assert child.exitcode == 0


def test_a_full_disk_surfaces_and_what_was_committed_before_is_whole(path: Path) -> None:
    async def fill(writer: Writer) -> None:
        for number in range(1_000):
            writer.insert("events", an_event(f"{number} {'x' * 4_000}"))
            await writer.flush()

    def work() -> None:
        writer = Writer(path)
        with pytest.raises(RecordError, match=r"mahler\.db: .*(full|disk I/O error)"), writer:
            asyncio.run(fill(writer))

    in_a_child_with_a_full_disk(path, work)
    messages = rows(path, "SELECT message FROM events ORDER BY id")
    assert 0 < len(messages) < 1_000
    assert [int(message.split()[0]) for message in messages] == list(range(len(messages)))
    assert rows(path, "PRAGMA integrity_check") == ["ok"]


def test_a_full_disk_undoes_a_whole_transaction_on_money_and_says_that_it_is_full(path: Path) -> None:
    with closing(DurableConnection(path)) as books:
        with books.transaction() as connection:
            connection.execute(ACCOUNT)
            pages = connection.execute("PRAGMA page_count").fetchone()[0]
        with books.reading() as connection:
            connection.execute(f"PRAGMA max_page_count = {pages + 2}")

        def spend() -> None:
            with books.transaction() as connection:
                connection.execute("UPDATE paper_accounts SET cash_cents = 0")
                connection.execute("INSERT INTO prompts VALUES ('h', 'n', ?)", ("x" * 100_000,))

        with pytest.raises(RecordError, match="database or disk is full"):
            spend()
        with books.transaction() as connection:  # and the connection is fit for use again
            connection.execute("UPDATE paper_accounts SET cash_cents = cash_cents + 1")
    assert rows(path, "SELECT cash_cents FROM paper_accounts") == [2]
    assert rows(path, "SELECT * FROM prompts") == []


def test_a_file_that_cannot_be_made_is_an_error_that_names_it(tmp_path: Path) -> None:
    # Not by permissions, which do not bind the superuser: by a link to a folder that is gone.
    (tmp_path / "mahler.db").symlink_to(tmp_path / "gone" / "mahler.db")
    with pytest.raises(RecordError, match=r"mahler\.db: unable to open database file"):
        open_database(tmp_path / "mahler.db", create=True)
