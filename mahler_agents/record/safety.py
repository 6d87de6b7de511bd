"""Record: what keeps a desk from opening anything, as frozen rows, for verbs that only read."""

import json
from dataclasses import dataclass

from mahler_agents.record.reading import ReadTransaction
from mahler_agents.record.trading_state import Standing, read_standing


@dataclass(frozen=True, kw_only=True)
class DifferenceRow:
    """Something in which a broker's account differs from the ledger, and still does."""

    account_id: str
    kind: str
    item: str
    underlying: str | None
    in_ledger: int | None
    at_broker: int | None
    explanation: str
    first_seen_at: str


class SafetyReader(ReadTransaction):
    """A reader of the trading state and of what differs at the broker."""

    def standing(self) -> Standing:
        """Return the trading state; what cannot be read counts as halted."""
        return read_standing(self._connection, self.path)

    def differences(self) -> tuple[DifferenceRow, ...]:
        """Return what differs at the broker, of every account in the record."""
        return self._all(
            DifferenceRow, "SELECT * FROM broker_differences WHERE gone_at IS NULL ORDER BY account_id, kind, item"
        )

    def unread(self) -> tuple[str, ...]:
        """Return why the broker could not be read when it was last asked, for each account of which it could not."""
        rows = self._rows("SELECT error FROM broker_checks WHERE error IS NOT NULL ORDER BY account_id")
        return tuple(row["error"] for row in rows)

    def breaker_halts(self) -> tuple[str, ...]:
        """Return the rules of the circuit breaker that have halted an account."""
        states = [
            json.loads(row["state"]) for row in self._rows("SELECT state FROM breaker_states ORDER BY account_id")
        ]
        return tuple(halt["rule"] for state in states for halt in state["halts"])
