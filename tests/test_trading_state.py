"""The trading state: a row and a file beside the record; the stricter holds, and what cannot be read is halted."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from mahler_agents.errors import InputError, RecordError
from mahler_agents.execution.trading_state import Change, Standing, TradingState, TradingStates, halt
from mahler_agents.record import connect, open_database
from mahler_agents.record.trading_state import halt_file, read_standing

AT = "2026-03-16T14:00:00.000Z"
ACTIVE, REDUCING, HALTED = TradingState


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return open_database(tmp_path / "mahler.db", create=True)


@pytest.fixture
def states(path: Path) -> Iterator[TradingStates]:
    with TradingStates(path) as states:
        yield states


def change(state: TradingState, reason: str = "because") -> Change:
    return Change(state=state, reason=reason, by="user ana", at=AT)


def standing(path: Path) -> Standing:
    """What another process reads."""
    with closing(connect(path)) as connection:
        return read_standing(connection, path)


def history(path: Path) -> list[tuple[str, str, str, str]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT at, state, reason, by FROM trading_states ORDER BY id").fetchall()


def test_a_record_that_nobody_halted_is_active(path: Path, states: TradingStates) -> None:
    assert states.standing().state is ACTIVE
    assert standing(path).active


def test_a_halt_is_in_the_record_and_in_the_file_with_who_why_and_when(path: Path) -> None:
    assert halt(path, change(HALTED, "the VIX feed lies")).problems == ()
    found = standing(path)
    assert (found.state, found.reason, found.by, found.since) == (HALTED, "the VIX feed lies", "user ana", AT)
    assert found.by_file
    assert history(path) == [(AT, "halted", "the VIX feed lies", "user ana")]
    assert found.text == "HALTED since 2026-03-16 10:00 New York by user ana: the VIX feed lies"


def test_the_row_alone_halts_where_the_file_has_gone(path: Path) -> None:
    halt(path, change(HALTED))
    halt_file(path).unlink()
    assert standing(path).state is HALTED
    assert not standing(path).by_file


def an_empty_file(path: Path) -> None:
    halt_file(path).touch()


def a_file_of_other_bytes(path: Path) -> None:
    halt_file(path).write_bytes(b"\xff\xfe\x00")


def a_folder(path: Path) -> None:
    halt_file(path).mkdir()


def a_link_to_nowhere(path: Path) -> None:
    halt_file(path).symlink_to(path.parent / "nowhere")


def json_of_something_else(path: Path) -> None:
    halt_file(path).write_text("[1, 2]")


def no_table(path: Path) -> None:
    execute(path, "DROP TABLE trading_states")


def an_unknown_state(path: Path) -> None:
    execute(
        path, "PRAGMA ignore_check_constraints = ON", "INSERT INTO trading_states VALUES (1, 'x', 'ACTIVE', '', '')"
    )


def a_text_that_is_none(path: Path) -> None:
    execute(path, "INSERT INTO trading_states VALUES (1, 'x', 'active', CAST(x'ff' AS TEXT), '')")


def another_column(path: Path) -> None:
    execute(path, "ALTER TABLE trading_states RENAME COLUMN state TO status")


def execute(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


@pytest.mark.parametrize(
    "make",
    [
        an_empty_file,
        a_file_of_other_bytes,
        a_folder,
        a_link_to_nowhere,
        json_of_something_else,
        no_table,
        an_unknown_state,
        a_text_that_is_none,
        another_column,
    ],
)
def test_what_is_there_and_cannot_be_read_counts_as_halted(path: Path, make: Callable[[Path], None]) -> None:
    make(path)
    assert standing(path).state is HALTED
    assert standing(path).reason
    with TradingStates(path) as states:
        assert states.standing().state is HALTED


def test_a_folder_that_cannot_be_looked_into_counts_as_halted(path: Path) -> None:
    folder = path.parent / "folder"
    folder.symlink_to(folder)  # ELOOP, for every user
    with closing(connect(path)) as connection:
        assert read_standing(connection, folder / path.name).state is HALTED


def test_a_record_that_is_no_folder_s_any_more_counts_as_halted(path: Path) -> None:
    with closing(connect(path)) as connection:
        assert read_standing(connection, path / "beneath").state is HALTED  # ENOTDIR, not ENOENT


@pytest.mark.parametrize(
    ("now", "asked", "then"),
    [
        (ACTIVE, REDUCING, REDUCING),
        (ACTIVE, HALTED, HALTED),
        (REDUCING, HALTED, HALTED),
        (REDUCING, REDUCING, REDUCING),
        (HALTED, REDUCING, HALTED),
        (HALTED, HALTED, HALTED),
    ],
)
def test_tightening_never_loosens(
    path: Path, states: TradingStates, now: TradingState, asked: TradingState, then: TradingState
) -> None:
    states.note(change(now))
    assert states.tighten(change(asked)) is (asked is not now and then is asked)
    assert standing(path).state is then


def test_tightening_to_reducing_leaves_a_halt_by_file_a_halt(path: Path, states: TradingStates) -> None:
    an_empty_file(path)
    assert not states.tighten(change(REDUCING))
    assert standing(path).state is HALTED


def test_a_release_ends_row_and_file_and_the_history_stays(path: Path, states: TradingStates) -> None:
    halt(path, change(HALTED))
    states.release(states.standing(), change(ACTIVE, "looked at"))
    assert standing(path).active
    assert not halt_file(path).exists()
    assert [state for _, state, _, _ in history(path)] == ["halted", "active"]


def test_a_release_of_what_was_not_shown_is_refused(path: Path, states: TradingStates) -> None:
    states.note(change(REDUCING))
    shown = states.standing()
    halt(path, change(HALTED, "and now this"))
    with pytest.raises(InputError, match="changed meanwhile"):
        states.release(shown, change(ACTIVE))
    assert standing(path).state is HALTED


def test_a_file_that_cannot_be_removed_keeps_the_desk_halted(path: Path, states: TradingStates) -> None:
    a_folder(path)
    with pytest.raises(RecordError, match="the desk is halted while it is there"):
        states.release(states.standing(), change(ACTIVE))
    assert standing(path).state is HALTED


def test_a_halt_needs_no_database_that_can_be_written(path: Path) -> None:
    path.write_bytes(b"not a database at all" * 100)
    [problem] = halt(path, change(HALTED, "panic")).problems
    assert str(path) in problem
    assert halt_file(path).exists()


def test_a_halt_needs_no_file_that_can_be_written(path: Path) -> None:
    halt_file(path).mkdir()
    [problem] = halt(path, change(HALTED)).problems
    assert str(halt_file(path)) in problem
    assert history(path)[-1][1] == "halted"


def test_a_halt_that_is_nowhere_says_so_loudly(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="NOT HALTED"):
        halt(tmp_path / "no folder" / "mahler.db", change(HALTED))
