"""`mahler halt`, `unhalt`, `reconcile`, and how the other verbs show that nothing is opened."""

import json
import os
import pty
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from desks import START, scan

from mahler_agents.cli import main
from mahler_agents.record import open_database
from mahler_agents.record.trading_state import TradingState, halt_file, read_standing

DESKS = ("mahler-alpaca-alpaca.db", "mahler-csv-paper.db", "mahler-sample-paper.db")
RERUN, COPY = "mahler-recorded-20260316-paper.db", "mahler-sample-paper.before-m004.db"
PROGRAM = (sys.executable, "-c", "import sys; from mahler_agents.cli import main; sys.exit(main())")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return open_database(tmp_path / "desk.db", create=True)


@pytest.fixture(scope="module")
def traded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A record in which a scan has opened positions."""
    database = tmp_path_factory.mktemp("traded") / "desk.db"
    scan(database, "none", as_of=START)
    return database


def state(path: Path) -> TradingState:
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        return read_standing(connection, path).state


def query(path: Path, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection, connection:
        return connection.execute(sql).fetchall()


def test_a_halt_says_what_it_halted_and_who_and_why(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["halt", "--db", str(path), "--reason", "the feed lies"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("HALTED by user ")
    assert first.endswith(": the feed lies")
    assert str(path) in second
    assert state(path) is TradingState.HALTED


def test_a_halt_of_a_record_that_does_not_exist_is_bad_input(tmp_path: Path) -> None:
    assert main(["halt", "--db", str(tmp_path / "typo.db")]) == 2
    assert not halt_file(tmp_path / "typo.db").exists()


def test_a_halt_of_a_damaged_record_is_in_force_and_says_where_it_is_not(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path.write_bytes(b"damaged" * 1000)
    assert main(["halt", "--db", str(path)]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("HALTED")
    assert "halted, but not in every place" in err
    assert halt_file(path).exists()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the verbs run in: two desks' records, a third of another broker, a re-run's, and a copy."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MAHLER_DB", raising=False)
    for name in (*DESKS, RERUN, COPY):
        open_database(tmp_path / name, create=True)
    return tmp_path


@pytest.mark.parametrize("then", [TradingState.HALTED, TradingState.REDUCING])
@pytest.mark.parametrize(
    ("narrowed", "halted"),
    [
        ([], DESKS),
        (["--broker", "paper"], DESKS[1:]),
        (["--broker", "alpaca"], DESKS[:1]),
        (["--db", DESKS[1]], DESKS[1:2]),
    ],
)
def test_a_halt_that_names_no_record_halts_every_desk_in_the_folder_and_says_so_of_each(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    then: TradingState,
    narrowed: list[str],
    halted: tuple[str, ...],
) -> None:
    reducing = ["--reducing"] if then is TradingState.REDUCING else []
    assert main(["halt", "--reason", "stop all", *reducing, *narrowed]) == 0
    told = [line for line in capsys.readouterr().out.splitlines() if line.startswith("record: ")]
    assert [name for line in told for name in (*DESKS, RERUN, COPY) if f"--db {name}`" in line] == list(halted)
    assert len(told) == len(halted)
    assert [name for name in (*DESKS, RERUN, COPY) if state(folder / name) is not TradingState.ACTIVE] == list(halted)
    assert {state(folder / name) for name in halted} == {then}


@pytest.mark.parametrize("damaged", DESKS)
def test_a_damaged_record_keeps_no_other_desk_from_its_halt(
    folder: Path, capsys: pytest.CaptureFixture[str], damaged: str
) -> None:
    (folder / damaged).write_bytes(b"damaged" * 1000)
    assert main(["halt"]) == 0
    assert capsys.readouterr().err.count("halted, but not in every place") == 1
    assert all(halt_file(folder / name).exists() for name in DESKS)


@pytest.mark.parametrize("damaged", DESKS)
def test_a_record_that_cannot_be_reduced_is_told_and_the_other_desks_are_reduced(
    folder: Path, capsys: pytest.CaptureFixture[str], damaged: str
) -> None:
    (folder / damaged).write_bytes(b"damaged" * 1000)
    assert main(["halt", "--reducing"]) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert damaged in line
    assert {state(folder / name) for name in DESKS if name != damaged} == {TradingState.REDUCING}


def test_reducing_never_loosens_a_halt(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["halt", "--db", str(path), "--reducing", "--reason", "only look"]) == 0
    assert state(path) is TradingState.REDUCING
    main(["halt", "--db", str(path)])
    assert main(["halt", "--db", str(path), "--reducing"]) == 0
    assert "already HALTED" in capsys.readouterr().out
    assert state(path) is TradingState.HALTED


def test_un_halting_without_a_terminal_shows_the_halt_and_is_refused(
    path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    main(["halt", "--db", str(path), "--reason", "the feed lies"])
    with Path(os.devnull).open() as nobody:
        monkeypatch.setattr(sys, "stdin", nobody)
        assert main(["unhalt", "--db", str(path)]) == 2
    out, err = capsys.readouterr()
    assert "the feed lies" in out
    assert str(halt_file(path)) in out
    assert "--yes" in err
    assert state(path) is TradingState.HALTED


def test_un_halting_with_yes_ends_it_and_the_history_says_who(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["halt", "--db", str(path)])
    assert main(["unhalt", "--db", str(path), "--yes", "--reason", "looked at"]) == 0
    assert state(path) is TradingState.ACTIVE
    assert not halt_file(path).exists()
    [halted, active] = query(path, "SELECT state, reason FROM trading_states ORDER BY id")
    assert (halted, active) == (("halted", ""), ("active", "looked at"))
    capsys.readouterr()
    assert main(["unhalt", "--db", str(path)]) == 0
    assert "ACTIVE: nothing is halted" in capsys.readouterr().out


@pytest.mark.parametrize(("answer", "then"), [("y", TradingState.ACTIVE), ("n", TradingState.HALTED)])
def test_on_a_terminal_it_asks(path: Path, answer: str, then: TradingState) -> None:
    main(["halt", "--db", str(path)])
    ours, theirs = pty.openpty()
    with subprocess.Popen((*PROGRAM, "unhalt", "--db", str(path)), stdin=theirs, stdout=subprocess.PIPE) as program:
        os.close(theirs)
        os.write(ours, f"{answer}\n".encode())
        assert program.stdout is not None
        out = program.stdout.read().decode()
    os.close(ours)
    assert "Let the desk open positions again?" in out
    assert program.returncode == (0 if answer == "y" else 1)
    assert state(path) is then


def test_un_halting_says_what_stays_blocked_and_that_the_breaker_is_another_thing(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    query(path, "INSERT INTO broker_differences (account_id, kind, item, underlying, explanation, first_seen_at,"
          " last_seen_at) VALUES ('a', 'missing', 'SPY260417P00540000', 'SPY', 'the leg is gone', '', '')")  # fmt: skip
    query(path, """INSERT INTO breaker_states VALUES ('a', '{"halts": [{"rule": "drawdown"}]}')""")
    main(["halt", "--db", str(path)])
    capsys.readouterr()
    assert main(["unhalt", "--db", str(path), "--yes"]) == 0
    told = capsys.readouterr().out
    assert "stays blocked: the leg is gone" in told
    assert "stays halted by the circuit breaker, by its own rules: drawdown" in told


def test_reconciling_says_that_all_agrees(traded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reconcile", "--db", str(traded)]) == 0
    told = capsys.readouterr().out
    assert "desk: paper trading, account paper-sample-22 at paper, host embedded" in told
    assert "the broker holds what the ledger says" in told
    assert main(["reconcile", "--db", str(traded), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["broker_check"]["differences"] == []
    assert document["identity"]["account_id"] == "paper-sample-22"


def test_reconciling_explains_what_differs_and_ends_with_1_and_the_others_show_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    database = tmp_path / "desk.db"
    scan(database, "none", as_of=START)
    [(leg, label)] = query(database, "SELECT long_symbol, underlying FROM positions LIMIT 1")
    query(database, f"DELETE FROM paper_positions WHERE symbol = '{leg}'")
    assert main(["reconcile", "--db", str(database)]) == 1
    told = capsys.readouterr().out
    assert "missing: " in told
    assert str(leg) in told
    assert "trading: REDUCING since " in told
    assert main(["positions", "--db", str(database)]) == 0
    shown = capsys.readouterr().out
    assert "trading: REDUCING" in shown
    assert f"missing: {leg}" in shown
    assert main(["monitor", "--db", str(database), "--as-of", "2026-03-17"]) == 0
    passed = capsys.readouterr().out
    assert "trading: REDUCING" in passed
    assert f"missing: {leg}" in passed
    assert str(label) in passed


# --- Closed by hand ---------------------------------------------------------------------------------------------------

LATER = ("--as-of", "2026-03-16T15:00")


@pytest.fixture
def closed_by_hand(traded: Path, tmp_path: Path) -> tuple[Path, str, int]:
    """A record of which the user has bought one spread back at the broker at 0.30: its id and contracts."""
    database = Path(shutil.copy(traded, tmp_path / "desk.db"))
    [(order_id, short, long, contracts)] = query(
        database, "SELECT entry_order_id, short_symbol, long_symbol, contracts FROM positions ORDER BY 1 LIMIT 1"
    )
    query(database, f"DELETE FROM paper_positions WHERE symbol IN ('{short}', '{long}')")
    cents = round(30 * 100 * int(str(contracts))) + 120
    query(database, f"UPDATE paper_accounts SET cash_cents = cash_cents - {cents}")
    return database, str(order_id), int(str(contracts))


def test_what_was_closed_by_hand_is_booked_at_the_user_s_figures_and_the_books_add_up(
    closed_by_hand: tuple[Path, str, int], capsys: pytest.CaptureFixture[str]
) -> None:
    database, position, contracts = closed_by_hand
    [(credit, entry_fees)] = query(
        database, f"SELECT entry_credit, fees FROM positions WHERE entry_order_id='{position}'"
    )
    booking = [
        "reconcile",
        "--closed",
        position[:-3],
        "--debit",
        "0.30",
        "--fees",
        "1.20",
        *LATER,
        "--db",
        str(database),
    ]
    assert main([*booking, "--yes"]) == 0
    told = capsys.readouterr().out
    assert f"{position}: " in told
    assert f"{30 * contracts:,.2f} dollars, and 1.20 dollars of fees" in told
    assert "the broker holds what the ledger says" in told
    [outcome] = query(database, "SELECT rule, contracts, exit_order_id, exit_debit, fees, pnl_dollars FROM outcomes")
    fees = float(str(entry_fees)) + 1.20
    pnl = (float(str(credit)) - 0.30) * 100 * contracts - fees
    assert outcome == ("closed_by_hand", contracts, None, 0.3, pytest.approx(fees), pytest.approx(pnl))
    assert query(database, f"SELECT state FROM positions WHERE entry_order_id = '{position}'") == [("closed",)]
    assert query(database, "SELECT COUNT(*) FROM broker_differences WHERE gone_at IS NULL") == [(0,)]
    assert query(database, "SELECT level FROM events WHERE code = 'closed_by_hand'") == [("info",)]
    assert state(database) is TradingState.REDUCING, "until the user un-halts"
    assert main(["monitor", "--db", str(database), "--as-of", "2026-03-17"]) == 0
    assert "no closing order is sent" not in capsys.readouterr().out
    assert main(["report", "--db", str(database), "--json"]) == 0
    books = json.loads(capsys.readouterr().out)["reconciliation"]
    assert books["difference_dollars"] == pytest.approx(0, abs=0.005)
    assert main([*booking, "--yes"]) == 2, "it is closed already"


@pytest.mark.parametrize("kept", ["short_symbol", "long_symbol", "short_symbol, long_symbol"])
def test_what_the_broker_still_holds_a_leg_of_is_not_booked_as_closed(
    traded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], kept: str
) -> None:
    database = Path(shutil.copy(traded, tmp_path / "desk.db"))
    [(position, short, long, *held)] = query(
        database, f"SELECT entry_order_id, short_symbol, long_symbol, {kept} FROM positions ORDER BY 1 LIMIT 1"
    )
    for symbol in {short, long} - set(held):
        query(database, f"DELETE FROM paper_positions WHERE symbol = '{symbol}'")
    assert main(["reconcile", "--closed", str(position), "--debit", "0.3", "--yes", *LATER, "--db", str(database)]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert f"{position} is not closed at the broker" in line
    assert query(database, "SELECT * FROM outcomes") == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--closed", "POSITION"], "go together"),
        (["--debit", "0.3"], "go together"),
        (["--fees", "1"], "go together"),
        (["--closed", "", "--debit", "0.3"], "is more than one position"),
        (["--closed", "SPY-typo", "--debit", "0.3"], "no position"),
        (["--closed", "POSITION", "--debit", "nan"], "must be numbers"),
        (["--closed", "POSITION", "--debit", "0.3", "--fees", "-1"], "not below 0"),
        (["--closed", "POSITION", "--debit", "0.3", "--at", "2026-03-16"], "say the time"),
        (["--closed", "POSITION", "--debit", "0.3", "--at", "2026-03-13T10:00"], "was not closed at"),
        (["--closed", "POSITION", "--debit", "0.3", "--at", "2030-03-13T10:00"], "was not closed at"),
        (["--closed", "POSITION", "--debit", "0.3", "--as-of", "2026-05-01"], "had expired"),
        (["--closed", "POSITION", "--debit", "0.3"], "--yes"),
    ],
)
def test_a_close_by_hand_that_is_not_clear_is_refused_in_one_line_and_nothing_is_booked(
    closed_by_hand: tuple[Path, str, int],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    words: str,
) -> None:
    database, position, _ = closed_by_hand
    given = [position if one == "POSITION" else one for one in options]
    with Path(os.devnull).open() as nobody:
        monkeypatch.setattr(sys, "stdin", nobody)
        assert main(["reconcile", *LATER, *given, "--db", str(database)]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert words in line
    assert query(database, "SELECT * FROM outcomes") == []
