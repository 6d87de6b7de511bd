"""Record: may anything be opened? The newest trading state and the file beside the record in, one answer out.

The stricter of the two holds, and what cannot be read counts as halted.
"""

import datetime as dt
import json
import os
import sqlite3
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from mahler_agents.clock import NEW_YORK


class TradingState(StrEnum):
    """What the desk may do. Exits, cancels, monitor passes and reconciling always go on."""

    ACTIVE = "active"
    REDUCING = "reducing"
    """Scans review and record, and open nothing."""
    HALTED = "halted"
    """Scans are refused."""


@dataclass(frozen=True, kw_only=True)
class Standing:
    """The trading state now, and whose word it is."""

    state: TradingState
    reason: str = ""
    by: str = ""
    """A user, or `reconcile`; empty if that is not known."""
    since: str | None = None
    """An instant in UTC; None if that is not known."""
    number: int | None = None
    """Of the newest row of the history; None if there is none, or it cannot be read."""
    by_file: bool = False
    """True if the file beside the record halts the desk, whatever the record says."""

    @property
    def active(self) -> bool:
        """Whether anything may be opened."""
        return self.state is TradingState.ACTIVE

    @property
    def text(self) -> str:
        """The state in one line."""
        since = f" since {_new_york(self.since)}" if self.since else ""
        by = f" by {self.by}" if self.by else ""
        reason = f": {self.reason}" if self.reason else ""
        return f"{self.state.upper()}{since}{by}{reason}"


@dataclass(frozen=True, kw_only=True)
class HaltNote:
    """What the file that halts a desk says."""

    reason: str
    by: str = ""
    at: str | None = None


def halt_file(database: Path) -> Path:
    """Return the file whose presence halts the desks of a record."""
    return Path(f"{database}.halt")


def read_standing(connection: sqlite3.Connection, database: Path) -> Standing:
    """Return the trading state. Never raises: what cannot be read counts as halted, and says why."""
    recorded = _recorded(connection)
    note = read_halt_file(database)
    if note is None:
        return recorded
    return Standing(
        state=TradingState.HALTED,
        reason=note.reason,
        by=note.by,
        since=note.at,
        number=recorded.number,
        by_file=True,
    )


def read_halt_file(database: Path) -> HaltNote | None:
    """Return what the halt file says, None only if there is none for certain. Never raises."""
    path = halt_file(database)
    try:
        os.lstat(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        return HaltNote(reason=f"{path} cannot be looked for: {error.strerror}")
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        return HaltNote(reason=str(said["reason"]), by=str(said["by"]), at=str(said["at"]))
    except OSError as error:
        return HaltNote(reason=f"{path} is there and cannot be read: {error.strerror}")
    except (ValueError, KeyError, TypeError):  # made by hand: that it is there is enough
        return HaltNote(reason=f"{path} is there")


def write_halt_file(database: Path, note: HaltNote) -> None:
    """Put the halt file beside the record, durable at power loss. Raises `OSError`."""
    content = json.dumps({"at": note.at, "by": note.by, "reason": note.reason}, ensure_ascii=False)
    descriptor = os.open(halt_file(database), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(f"{content}\n")
        file.flush()
        os.fsync(descriptor)
    folder = os.open(database.absolute().parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _new_york(since: str) -> str:
    try:
        return f"{dt.datetime.fromisoformat(since).astimezone(NEW_YORK):%Y-%m-%d %H:%M} New York"
    except ValueError:  # a file that was made by hand
        return since


def _recorded(connection: sqlite3.Connection) -> Standing:
    try:
        row = connection.execute("SELECT id, at, state, reason, by FROM trading_states ORDER BY id DESC").fetchone()
        if row is None:
            return Standing(state=TradingState.ACTIVE)
        return Standing(
            state=TradingState(row["state"]), reason=row["reason"], by=row["by"], since=row["at"], number=row["id"]
        )
    except (sqlite3.Error, ValueError, UnicodeDecodeError) as error:
        return Standing(state=TradingState.HALTED, reason=f"the trading state cannot be read: {error}")
