"""Record: one SQLite file that holds every run, word and order; a leaf, which knows rows and not stages."""

from mahler_agents.record.database import connect, open_database
from mahler_agents.record.library import Record, open  # noqa: A004 - read as `record.open(...)`
from mahler_agents.record.writer import Writer

__all__ = ["Record", "Writer", "connect", "open", "open_database"]
