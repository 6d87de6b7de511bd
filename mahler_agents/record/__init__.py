"""Record: one SQLite file that holds every run, word and order; a leaf, which knows rows and not stages."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mahler_agents.record.database import connect, open_database
    from mahler_agents.record.library import Record, open  # noqa: A004 - read as `record.open(...)`
    from mahler_agents.record.writer import Writer

__all__ = ["Record", "Writer", "connect", "open", "open_database"]

_PLACES = {
    "Record": "library",
    "Writer": "writer",
    "connect": "database",
    "open": "library",
    "open_database": "database",
}


def __getattr__(name: str) -> Any:
    # A verb that lists runs needs no writer, and no types of what happened in one: 40 ms of its start.
    if name in _PLACES:
        return getattr(import_module(f"mahler_agents.record.{_PLACES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
