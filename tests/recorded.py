"""Recorded scans for tests of the record: every kind of fault in one, so that the views have something to show."""

import shutil
from pathlib import Path

import pytest
from desks import scan

from mahler_agents.testing.faults import parse_script
from mahler_agents.testing.scripted import ScriptedModel

FAULTS = ("greeks=server_error,ok", "technical=85,ok", "sentiment=auth")
"""One role is heard at the second attempt, one repairs its reply, one is never heard."""


def record_scan(database: Path, *faults: str, seed_of_ids: int = 1, slot: str | None = "test") -> str:
    """Record a scan whose model fails as `faults` say, and return the run's id."""
    model = ScriptedModel(parse_script(faults)).endpoint
    return scan(database, model, seed_of_ids=seed_of_ids, slot=slot).run_id


def copy_of(database: Path, folder: Path) -> Path:
    """Return a copy to spoil, of a record that nobody writes to."""
    return Path(shutil.copy(database, folder / database.name))


def made_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the record of one scan with `FAULTS`."""
    database = tmp_path_factory.mktemp("recorded") / "mahler.db"
    record_scan(database, *FAULTS)
    return database
