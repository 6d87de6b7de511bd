"""Record: one SQLite file that holds every run, word and order; a leaf, which knows rows and not stages."""

from typing import TYPE_CHECKING

from mahler_agents.late import late

if TYPE_CHECKING:
    from mahler_agents.record.database import connect, open_database
    from mahler_agents.record.library import Record, open  # noqa: A004 - read as `record.open(...)`
    from mahler_agents.record.writer import Writer

__all__ = ["Record", "Writer", "connect", "open", "open_database"]

# A verb that lists runs needs no writer, and no types of what happened in one: 40 ms of its start.
__getattr__ = late(
    __name__,
    {
        "Record": "library",
        "Writer": "writer",
        "connect": "database",
        "open": "library",
        "open_database": "database",
    },
)
