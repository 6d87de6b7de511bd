"""Stage 8, execute: the kill switch: changes of the trading state in, kept in the record and in a file beside it.

`Ledger.reserve` reads it again in the transaction that commits an intent, so that a halt during a scan stops what comes
after it. Nothing that closes, cancels or reconciles asks for it.
"""

import sqlite3
from pathlib import Path

from mahler_agents.errors import InputError, MahlerError, RecordError
from mahler_agents.record import open_database
from mahler_agents.record.durable import Durable, insert
from mahler_agents.record.trading_state import (
    HaltNote,
    Standing,
    TradingState,
    halt_file,
    read_halt_file,
    read_standing,
    write_halt_file,
)
from mahler_agents.types import Frozen

__all__ = ["Change", "Halted", "Standing", "TradingState", "TradingStates", "halt"]

_STRICTNESS = tuple(TradingState)


class Change(Frozen):
    """A change of the trading state that somebody asks for."""

    state: TradingState
    reason: str
    by: str
    """A user, or `reconcile`."""
    at: str
    """An instant in UTC."""


class Halted(Frozen):
    """Where a halt is written down; one place is enough to be in force."""

    problems: tuple[str, ...] = ()
    """Where it could not be, one line each."""


class TradingStates(Durable):
    """The trading state of one record and its history, durable at power loss; methods block for a commit.

    They raise `RecordError` when the record cannot be read or written, unless they say otherwise.
    """

    def standing(self) -> Standing:
        """Return the trading state; if the record cannot be read, that counts as halted."""
        try:
            with self._books.reading() as connection:
                return read_standing(connection, self._books.path)
        except RecordError as error:
            return Standing(state=TradingState.HALTED, reason=f"the trading state cannot be read: {error}")

    def tighten(self, change: Change) -> bool:
        """Bring the state to what is asked unless it is that strict already, and return whether it changed."""
        with self._books.transaction() as connection:
            now = read_standing(connection, self._books.path).state
            stricter = _STRICTNESS.index(change.state) > _STRICTNESS.index(now)
            if stricter:
                _add(connection, change)
        return stricter

    def note(self, change: Change) -> None:
        """Add a change to the history, whatever the state is."""
        with self._books.transaction() as connection:
            _add(connection, change)

    def release(self, shown: Standing, change: Change) -> None:
        """Make the state active again, if it still is what the user was `shown`.

        The file goes last: until it has gone the desk is halted. Raises `InputError` if the state has changed
        meanwhile, `RecordError` if the file cannot be removed.
        """
        path = self._books.path
        with self._books.transaction() as connection:
            if read_standing(connection, path) != shown:
                raise InputError("the trading state has changed meanwhile: nothing is un-halted; look again")
            _add(connection, change)
        try:
            halt_file(path).unlink(missing_ok=True)
        except OSError as error:
            raise RecordError(f"{halt_file(path)}: {error.strerror}: the desk is halted while it is there") from error


def halt(database: Path, change: Change) -> Halted:
    """Halt the desks of a record, in the file first: that needs no database that can be written.

    Raises `RecordError` if neither place can be written.
    """
    problems: list[str] = []
    try:
        write_halt_file(database, HaltNote(reason=change.reason, by=change.by, at=change.at))
    except OSError as error:
        problems.append(f"{halt_file(database)}: {error.strerror}")
    try:
        with TradingStates(open_database(database)) as states:
            states.note(change)
    except MahlerError as error:
        problems.append(str(error))
    if len(problems) > 1 and read_halt_file(database) is None:
        raise RecordError(f"NOT HALTED: {'; '.join(problems)}")
    return Halted(problems=tuple(problems))


def _add(connection: sqlite3.Connection, change: Change) -> None:
    insert(connection, "trading_states", change.model_dump(mode="json"))
