"""Command line: this program's own commands as the user can type them."""

import shlex
import shutil
import sys
from pathlib import Path

NAME = "mahler"


def program() -> str:
    """Return `mahler` if the shell finds this program by it, else the program as it was called, quoted."""
    called = Path(sys.argv[0])
    if called.stem != NAME:  # a test, or Python itself
        return NAME
    found = shutil.which(NAME)
    return NAME if found and Path(found).resolve() == called.resolve() else shlex.quote(sys.argv[0])


def typable(message: str) -> str:
    """Return a message with the commands in it, such as `mahler scan` in backquotes, as the user can type them."""
    return message.replace(f"`{NAME} ", f"`{program()} ")


def show_command(run_id: str, database: Path) -> str:
    """Return the command that shows a run, with `--db` unless it finds the record without."""
    return f"{program()} trace show {run_id}{_where(database)}"


def replay_command(run_id: str, database: Path) -> str:
    """Return the command that asks again what failed in a run, likewise."""
    return f"{program()} replay {run_id} --failed{_where(database)}"


def resume_command(run_id: str, database: Path) -> str:
    """Return the command that finishes a scan whose process died; the options of that scan are for the user to add."""
    return f"{program()} scan --resume {run_id}{_where(database)}"


def _where(database: Path) -> str:
    from mahler_agents.errors import ConfigError
    from mahler_agents.record.location import newest_database
    from mahler_agents.settings.file import configured_path

    try:
        by_itself = newest_database(configured_path("db")).resolve() == database.resolve()
    except ConfigError:
        by_itself = False
    return "" if by_itself else f" --db {shlex.quote(str(database))}"
