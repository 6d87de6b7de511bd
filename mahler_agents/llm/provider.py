"""Stage 4, LLM calls: what all calls to one provider share: its gate and whether it is out."""

import asyncio
from dataclasses import replace

from mahler_agents.llm.attempts import CallLimits
from mahler_agents.llm.gate import Gate
from mahler_agents.llm.outage import INCURABLE_OF_MODEL, OutageBreaker, OutageRule
from mahler_agents.llm.replies import Fault


class Provider:
    """One provider, whichever of its models is asked; it belongs to one event loop.

    A role that alone meets outages, since its prompt or its model is too slow, is out alone: the others are asked.
    """

    def __init__(self, limits: CallLimits) -> None:
        self.gate = Gate(max_in_flight=limits.max_in_flight, requests_per_minute=limits.requests_per_minute)
        rule = OutageRule(failures=limits.outage_failures, cool_down_seconds=limits.outage_seconds)
        self._whole = OutageBreaker(replace(rule, roles=2))
        self._rule_of_role = replace(rule, at_once=frozenset(), counted_means="the provider is out for this role")
        self._rule_of_model = replace(
            rule, counted=frozenset(), at_once=INCURABLE_OF_MODEL, at_once_means="the provider has no such model"
        )
        self._of_role: dict[str, OutageBreaker] = {}
        self._of_model: dict[str, OutageBreaker] = {}

    def blocked(self, model: str, role: str) -> Fault | None:
        """Return the fault of a call that is not worth making now, None if it is."""
        now = asyncio.get_running_loop().time()
        return next((fault for one in self._breakers(model, role) if (fault := one.blocked(now)) is not None), None)

    def admit(self, model: str, role: str) -> Fault | None:
        """Return what `blocked` does, as a call is about to be made."""
        if (blocked := self.blocked(model, role)) is not None:
            return blocked
        now = asyncio.get_running_loop().time()
        for breaker in self._breakers(model, role):
            breaker.admit(now)
        return None

    def heard(self, model: str, role: str, fault: Fault | None) -> None:
        """Learn how a call ended."""
        now = asyncio.get_running_loop().time()
        for breaker in self._breakers(model, role):
            breaker.heard(fault, now, role=role)

    def _breakers(self, model: str, role: str) -> tuple[OutageBreaker, ...]:
        of_model = self._of_model.setdefault(model, OutageBreaker(self._rule_of_model))
        return self._whole, of_model, self._of_role.setdefault(role, OutageBreaker(self._rule_of_role))
