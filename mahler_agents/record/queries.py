"""Record: questions in, frozen rows out; plain sqlite3, so that an answer takes milliseconds."""

import json

from mahler_agents.record.reading import read_row
from mahler_agents.record.rows import GroundednessRow, PositionRow
from mahler_agents.record.runs import LATEST, RunFilter, RunsReader
from mahler_agents.record.traces import TraceReader

__all__ = ["LATEST", "Reader", "RunFilter"]


class Reader(RunsReader, TraceReader):
    """Reads one record in one transaction, so that a run still being written is seen as of one moment.

    Entering it raises `ConfigError` for a missing file; all its methods raise `RecordError` if it cannot be read.
    """

    def open_positions(self) -> tuple[PositionRow, ...]:
        """Return the open positions of every account in the record, oldest first, each with its last mark."""
        rows = self._rows(
            "SELECT positions.*, marks.at AS marked_at, marks.mid_cost, marks.natural_cost FROM positions"
            " LEFT JOIN marks ON marks.entry_order_id = positions.entry_order_id AND marks.at ="
            " (SELECT MAX(at) FROM marks WHERE marks.entry_order_id = positions.entry_order_id AND mid_cost NOT NULL)"
            " WHERE state = 'open' ORDER BY account_id, opened_at, positions.entry_order_id"
        )
        return tuple(
            read_row(
                PositionRow,
                row,
                contracts=row["contracts"] - row["closed_contracts"],
                opened_contracts=row["contracts"],
                exit_params=json.loads(row["exit_params"]),
            )
            for row in rows
        )

    def groundedness(self) -> tuple[GroundednessRow, ...]:
        """Return, for each version of each role's prompt and each model, how many numbers were not in the brief.

        What replays brought stands in rows of its own.
        """
        rows = self._rows("SELECT * FROM groundedness ORDER BY role, prompt_hash, model, retrospective")
        return tuple(read_row(GroundednessRow, row) for row in rows)
