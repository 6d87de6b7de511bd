"""Stage 4, LLM calls: what all calls to one provider share: its gate and whether it is out."""

import asyncio

from mahler_agents.llm.attempts import CallLimits
from mahler_agents.llm.gate import Gate
from mahler_agents.llm.outage import INCURABLE_OF_MODEL, OutageBreaker, OutageRule
from mahler_agents.llm.replies import Fault


class Provider:
    """One provider, whichever of its models is asked; it belongs to one event loop."""

    def __init__(self, limits: CallLimits) -> None:
        self.gate = Gate(max_in_flight=limits.max_in_flight, requests_per_minute=limits.requests_per_minute)
        rule = OutageRule(failures=limits.outage_failures, cool_down_seconds=limits.outage_seconds)
        self._whole = OutageBreaker(rule)
        self._rule_of_model = OutageRule(
            counted=frozenset(), at_once=INCURABLE_OF_MODEL, cool_down_seconds=limits.outage_seconds
        )
        self._of_model: dict[str, OutageBreaker] = {}

    def blocked(self, model: str) -> Fault | None:
        """Return the fault of a call that is not worth making now, None if it is."""
        now = asyncio.get_running_loop().time()
        return self._whole.blocked(now) or self._breaker(model).blocked(now)

    def admit(self, model: str) -> Fault | None:
        """Return what `blocked` does, as a call is about to be made."""
        now = asyncio.get_running_loop().time()
        return self.blocked(model) or self._whole.admit(now) or self._breaker(model).admit(now)

    def heard(self, model: str, fault: Fault | None) -> None:
        """Learn how a call ended."""
        now = asyncio.get_running_loop().time()
        self._whole.heard(fault, now)
        self._breaker(model).heard(fault, now)

    def _breaker(self, model: str) -> OutageBreaker:
        return self._of_model.setdefault(model, OutageBreaker(self._rule_of_model))
