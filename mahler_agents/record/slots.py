"""Record: who runs which slot of the schedule: claims that only one process gets, and the daemons' signs of life.

A claim is a row, unique by job and slot. It is taken over when its lease has run out, or at once when no process that
holds one is alive: each holds a lock, which the system takes back when the process dies.
"""

import os
import socket
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from mahler_agents.record.database import connect, database_errors
from mahler_agents.record.durable import Durable, insert
from mahler_agents.record.presence import present
from mahler_agents.record.reading import read_row


class SlotStatus(StrEnum):
    """How a slot stands."""

    RUNNING = "running"
    RETRYING = "retrying"
    """Its job failed before it had begun, and is tried again."""
    DONE = "done"
    FAILED = "failed"
    MISSED = "missed"


@dataclass(frozen=True, kw_only=True)
class SlotRow:
    """A slot as the record has it; instants are texts in UTC."""

    job: str
    slot: str
    due_at: str
    status: SlotStatus
    owner: str | None
    attempts: int
    claimed_at: str | None
    lease_until: str | None
    ended_at: str | None
    run_id: str | None
    detail: str | None

    @property
    def ended(self) -> bool:
        """Whether nothing more is done about it."""
        return self.status in {SlotStatus.DONE, SlotStatus.FAILED, SlotStatus.MISSED}

    def free_at(self, at: str) -> bool:
        """Whether nobody holds it at an instant, and it does not wait for one."""
        return self.lease_until is None or self.lease_until <= at


@dataclass(frozen=True, kw_only=True)
class Heartbeat:
    """A daemon's last sign of life; instants are texts in UTC."""

    owner: str
    version: str
    started_at: str
    at: str
    stopped_at: str | None = None
    doing: str | None = None
    next_job: str | None = None
    next_at: str | None = None


_COLUMNS = ", ".join(SlotRow.__dataclass_fields__)


def this_process() -> str:
    """Return the name of this process among all that share the record, e.g. `desk1:4711`."""
    return f"{socket.gethostname()}:{os.getpid()}"


class SlotBook(Durable):
    """The claims of one record, durable at power loss; see `Durable` for how it is used."""

    @property
    def path(self) -> Path:
        """The record's file."""
        return self._books.path

    def holding_claims(self) -> AbstractContextManager[None]:
        """Be known as alive for the length of a block: claims of this process are not taken over before their time.

        If nobody else is alive, the claims that dead processes left are given back first.
        """
        return present(_lock(self.path), self._give_back)

    def claim(self, slot: Mapping[str, str], *, owner: str, at: str, lease_until: str, attempts: int) -> SlotRow | None:
        """Claim a slot (its `job`, `slot` and `due_at`); return None if it is this process's now, else how it stands.

        A slot that has ended, is running under a lease that still holds, or waits for its next try is not given. One
        that has been begun `attempts` times already ends as failed.
        """
        with self._books.transaction() as connection:
            row = _row(connection, slot)
            if row is None:
                claimed = {"owner": owner, "claimed_at": at, "lease_until": lease_until}
                insert(connection, "slots", {**slot, "status": SlotStatus.RUNNING.value, "attempts": 1, **claimed})
                return None
            if row.ended or not row.free_at(at):
                return row
            if row.attempts >= attempts:
                detail = row.detail or f"its process died, {row.attempts} times"
                _update(connection, slot, _abandoned(at, detail))
                return _row(connection, slot)
            _update(
                connection,
                slot,
                {
                    "status": SlotStatus.RUNNING.value,
                    "owner": owner,
                    "attempts": row.attempts + 1,
                    "claimed_at": at,
                    "lease_until": lease_until,
                },
            )
            return None

    def end(self, slot: Mapping[str, str], *, owner: str, values: Mapping[str, str | None]) -> bool:
        """Write how a claimed slot ended, or when it is tried again; False if another process has taken it over."""
        with self._books.transaction() as connection:
            row = _row(connection, slot)
            if row is None or row.owner != owner or row.ended:
                return False
            _update(connection, slot, values)
            return True

    def miss(self, slots: Iterable[tuple[Mapping[str, str], str]], *, at: str) -> None:
        """Write which slots are not run any more and why: missed, or failed if they had been begun.

        Those that have ended, or are at work under a lease that holds, keep their row.
        """
        with self._books.transaction() as connection:
            for slot, why in slots:
                row = _row(connection, slot)
                if row is None:
                    missed = {"status": SlotStatus.MISSED.value, "attempts": 0, "ended_at": at, "detail": why}
                    insert(connection, "slots", {**slot, **missed})
                elif row.status is SlotStatus.RETRYING or (not row.ended and row.free_at(at)):
                    detail = f"{row.detail or 'its process died'}; {why}"
                    _update(connection, slot, _abandoned(at, detail))

    def attempts(self, slot: Mapping[str, str]) -> int:
        """Return how many times a slot was begun."""
        with self._books.reading() as connection:
            row = _row(connection, slot)
        return row.attempts if row is not None else 0

    def last(self, job: str, *, at: str) -> SlotRow | None:
        """Return the job's latest slot on record that is due at an instant, None if there is none.

        What a clock that was ahead has left behind is none: it would keep every slot until then from being due.
        """
        with self._books.reading() as connection:
            row = connection.execute(
                f"SELECT {_COLUMNS} FROM slots WHERE job = ? AND due_at <= ? ORDER BY due_at DESC LIMIT 1", (job, at)
            ).fetchone()
        return None if row is None else slot_row(row)

    def first_due(self) -> str | None:
        """Return when the first slot on record was due, in UTC; None if there is none."""
        with self._books.reading() as connection:
            return connection.execute("SELECT MIN(due_at) AS at FROM slots").fetchone()["at"]

    def unended(self) -> tuple[SlotRow, ...]:
        """Return the slots that are running, or wait for another try, oldest first."""
        with self._books.reading() as connection:
            rows = connection.execute(
                f"SELECT {_COLUMNS} FROM slots WHERE status IN ('running', 'retrying') ORDER BY due_at, id"
            ).fetchall()
        return tuple(map(slot_row, rows))

    def beat(self, heartbeat: Heartbeat) -> None:
        """Write a sign of life."""
        row = vars(heartbeat)
        kept = ", ".join(f"{name} = excluded.{name}" for name in row if name != "owner")
        places = ", ".join("?" * len(row))
        with self._books.transaction() as connection:
            connection.execute(
                f"INSERT INTO heartbeats ({', '.join(row)}) VALUES ({places}) ON CONFLICT (owner) DO UPDATE SET {kept}",
                tuple(row.values()),
            )

    def _give_back(self) -> None:
        with self._books.transaction() as connection:
            connection.execute("UPDATE slots SET lease_until = NULL WHERE status = 'running'")


def read_slots(path: Path, *, since: str, until: str) -> tuple[SlotRow, ...]:
    """Return the slots due from `since` to `until`, both included, in UTC, oldest first. Raises `RecordError`."""
    with closing(connect(path, read_only=True)) as connection, database_errors(path):
        rows = connection.execute(
            f"SELECT {_COLUMNS} FROM slots WHERE due_at BETWEEN ? AND ? ORDER BY due_at, id", (since, until)
        ).fetchall()
    return tuple(map(slot_row, rows))


def read_heartbeats(path: Path) -> tuple[Heartbeat, ...]:
    """Return every daemon's last sign of life, the newest first. Raises `RecordError`."""
    columns = ", ".join(Heartbeat.__dataclass_fields__)
    with closing(connect(path, read_only=True)) as connection, database_errors(path):
        rows = connection.execute(f"SELECT {columns} FROM heartbeats ORDER BY at DESC").fetchall()
    return tuple(Heartbeat(**dict(row)) for row in rows)


def run_of(path: Path, slot: str) -> str | None:
    """Return the id of the run that a slot began, None if it began none. Raises `RecordError`."""
    with closing(connect(path, read_only=True)) as connection, database_errors(path):
        row = connection.execute("SELECT id FROM runs WHERE slot = ? ORDER BY rowid DESC LIMIT 1", (slot,)).fetchone()
    return None if row is None else row["id"]


def ended_run(path: Path, slot: str) -> tuple[str, str] | None:
    """Return the id and the status of the last run that a slot began, if it has ended. Raises `RecordError`."""
    with closing(connect(path, read_only=True)) as connection, database_errors(path):
        row = connection.execute(
            "SELECT id, status, abandoned_at FROM runs WHERE slot = ? ORDER BY rowid DESC LIMIT 1", (slot,)
        ).fetchone()
    if row is None or row["status"] == "running" or row["abandoned_at"] is not None:
        return None
    return row["id"], row["status"]


def _abandoned(at: str, detail: str) -> dict[str, str | None]:
    """Return how a slot ends whose process cannot end it: it is nobody's, by which it is known as not told of yet."""
    return {"status": SlotStatus.FAILED.value, "owner": None, "ended_at": at, "detail": detail}


def _lock(path: Path) -> Path:
    """Return what the lock of those who hold claims is named after: beside the record's own, which is another thing."""
    return path.with_name(f"{path.name}.slots")


def _row(connection: sqlite3.Connection, slot: Mapping[str, str]) -> SlotRow | None:
    found = connection.execute(
        f"SELECT {_COLUMNS} FROM slots WHERE job = ? AND slot = ?", (slot["job"], slot["slot"])
    ).fetchone()
    return None if found is None else slot_row(found)


def slot_row(row: sqlite3.Row) -> SlotRow:
    """Return a row of the table, which may have more columns than these."""
    return read_row(SlotRow, row, status=SlotStatus(row["status"]))


def _update(connection: sqlite3.Connection, slot: Mapping[str, str], values: Mapping[str, object]) -> None:
    names = ", ".join(f"{name} = ?" for name in values)
    connection.execute(
        f"UPDATE slots SET {names} WHERE job = ? AND slot = ?", (*values.values(), slot["job"], slot["slot"])
    )
