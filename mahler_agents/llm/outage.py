"""Stage 4, LLM calls: notices that a provider is out, so that a dead one costs a scan seconds instead of minutes."""

from dataclasses import dataclass

from mahler_agents.llm.failures import NOT_ASKED, FailureKind
from mahler_agents.llm.replies import Fault

COUNTED = frozenset({FailureKind.CONNECTION, FailureKind.TIMEOUT, FailureKind.SERVER_ERROR})
"""Faults that several in a row make an outage."""

INCURABLE = frozenset({FailureKind.AUTH, FailureKind.QUOTA})
"""Faults that no other call to this provider can escape."""

INCURABLE_OF_MODEL = frozenset({FailureKind.MODEL_NOT_FOUND})
"""Faults that no other call to this model can escape."""


@dataclass(frozen=True, kw_only=True)
class OutageRule:
    """When calls are no longer made."""

    counted: frozenset[FailureKind] = COUNTED
    failures: int = 5
    """So many counted faults, with nothing else between them."""
    at_once: frozenset[FailureKind] = INCURABLE
    """One of these is enough."""
    cool_down_seconds: float = 30.0
    """So often one call goes out to see whether the provider is back."""
    roles: int = 1
    """So many roles must be among those that met the counted faults."""
    counted_means: str = "the provider is out"
    at_once_means: str = "the provider refuses this key"


class OutageBreaker:
    """Opens when a provider is out; instants are seconds of one clock, the loop's.

    While it is open it lets one call through each cool-down. Whatever comes back that is no outage closes it.
    """

    def __init__(self, rule: OutageRule) -> None:
        self._rule = rule
        self._in_a_row = 0
        self._met_by: set[str] = set()
        self._opened_by: Fault | None = None
        self._next_probe = 0.0

    def blocked(self, now: float) -> Fault | None:
        """Return the fault of a call that would be made now, None if it may be."""
        cause = self._opened_by
        if cause is None or now >= self._next_probe:
            return None
        several = self._in_a_row > 1 and cause.kind in self._rule.counted
        why = f"{self._in_a_row} faults in a row, the last: " if several else ""
        means = self._rule.at_once_means if cause.kind in self._rule.at_once else self._rule.counted_means
        return Fault(kind=cause.kind, detail=f"{NOT_ASKED} {means} ({why}{cause.detail})", unsent=True)

    def admit(self, now: float) -> Fault | None:
        """Return what `blocked` does; a call that it lets through an open breaker is the only one of its cool-down."""
        blocked = self.blocked(now)
        if blocked is None and self._opened_by is not None:
            self._next_probe = now + self._rule.cool_down_seconds
        return blocked

    def heard(self, fault: Fault | None, now: float, *, role: str = "") -> None:
        """Learn how a call of a role ended."""
        kind = fault and fault.kind
        if kind not in self._rule.counted | self._rule.at_once:
            self._in_a_row, self._opened_by = 0, None
            self._met_by.clear()
            return
        self._in_a_row += 1
        self._met_by.add(role)
        lasting = self._in_a_row >= self._rule.failures and len(self._met_by) >= self._rule.roles
        if kind in self._rule.at_once or lasting:
            self._opened_by = fault
            self._next_probe = now + self._rule.cool_down_seconds
