"""Replay: one candidate's advisors are asked again, on the briefs that they had or, onward, on the new answers."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from mahler_agents.analysts import fund_manager as manager
from mahler_agents.analysts.base import Brief, Opinion
from mahler_agents.analysts.debate import Argument, DebateBrief, Turn, argument_facts, opposing_words, turns
from mahler_agents.analysts.hearing import hear_analyst, hear_debater, hear_fund_manager, walled_async
from mahler_agents.analysts.panel import QUORUM, PanelBrief, panel_facts
from mahler_agents.analysts.trade import TradeBrief
from mahler_agents.llm.failures import Failure
from mahler_agents.llm.past import MissError
from mahler_agents.llm.prompts import Prompt
from mahler_agents.llm.router import Asker
from mahler_agents.memory import Recall
from mahler_agents.replay.original import Original, OriginalCandidate, Outcome

Heard: TypeAlias = Callable[[str, Brief, Awaitable[Outcome]], Awaitable[Outcome]]
"""Awaits the answer of a node to a brief, and writes down both."""

_PORTFOLIO = [
    name for name in manager.FundManagerBrief.model_fields if name not in {*PanelBrief.model_fields, "arguments"}
]


@dataclass(frozen=True, kw_only=True)
class Rehearing:
    """One candidate that is heard again."""

    run_id: str
    candidate_id: str
    prompts: Mapping[str, Prompt]
    original: Original
    candidate: OriginalCandidate
    llm: Asker
    recall: Recall
    heard: Heard

    async def as_it_was(self, nodes: frozenset[str]) -> dict[str, Outcome | MissError]:
        """Return the answers of some nodes to the briefs that they had."""
        asked = [node for node in self.original.nodes if node in nodes]
        answers = await asyncio.gather(
            *(self._ask(node, self.candidate.briefs[node]) for node in asked), return_exceptions=True
        )
        found: dict[str, Outcome | MissError] = {}
        for node, answer in zip(asked, answers, strict=True):
            if isinstance(answer, BaseException) and not isinstance(answer, MissError):
                raise answer
            found[node] = answer
        return found

    async def onward(self, nodes: frozenset[str]) -> dict[str, Outcome]:
        """Return the answers of some nodes and of all stages after them, which read the new answers."""
        panel = {node: one for node, one in self.candidate.outcomes.items() if node in self.original.panel}
        analysts = [node for node in self.original.panel if node in nodes]
        answers = await asyncio.gather(*(self._ask(node, self.candidate.briefs[node]) for node in analysts))
        new = dict(zip(analysts, answers, strict=True))
        so_far = panel | new
        for turn in turns(self.original.rounds):
            if (new or turn.name in nodes) and _has_quorum(so_far):
                new[turn.name] = await self._ask(turn.name, self._debate_brief(turn, so_far))
            outcome = new.get(turn.name) or self.candidate.outcomes.get(turn.name)
            so_far |= {turn.name: outcome} if outcome is not None else {}
        new[manager.NAME] = await self._ask(manager.NAME, self._manager_brief(so_far))
        return new

    async def _ask(self, node: str, brief: Brief) -> Outcome:
        """Return one node's answer to a brief."""
        answer: Awaitable[Outcome]
        brief = await self._remembering(node, brief)
        if isinstance(brief, manager.FundManagerBrief):
            answer = hear_fund_manager(self.llm, brief, self)
        elif isinstance(brief, DebateBrief):
            turn = next(one for one in turns(self.original.rounds) if one.name == node)
            answer = hear_debater(self.llm, turn, brief, self)
        else:
            answer = hear_analyst(self.llm, self.original.panel[node], brief, self)
        return await self.heard(node, brief, walled_async(node, answer))

    async def _remembering(self, node: str, brief: Brief) -> Brief:
        """Return the brief that a node had; if another prompt asks for similar trades now, with those of its day."""
        prompt, then = self.prompts.get(node), self.original.prompts.get(node)
        if prompt is None or then is None or prompt.content_hash == then.content_hash:
            return brief
        return await asyncio.to_thread(self.recall, node, brief, prompt.front.memory)

    def _debate_brief(self, turn: Turn, so_far: Mapping[str, Outcome]) -> DebateBrief:
        return DebateBrief(**self._trade(), **_panel(so_far), opposing=opposing_words(turn, _arguments(so_far)))

    def _manager_brief(self, so_far: Mapping[str, Outcome]) -> manager.FundManagerBrief:
        arguments = argument_facts(_arguments(so_far))
        return manager.FundManagerBrief(**self._trade(), **_panel(so_far), arguments=arguments, **self._portfolio())

    def _trade(self) -> dict[str, Any]:
        """Return the facts of the trade that every brief of the candidate holds."""
        brief = next(iter(self.candidate.briefs.values()))
        return {name: getattr(brief, name) for name in TradeBrief.model_fields}

    def _portfolio(self) -> dict[str, Any]:
        """Return what the fund manager had read of the account; all None if no such brief is on record."""
        brief = self.candidate.briefs.get(manager.NAME)
        return {name: getattr(brief, name, None) for name in _PORTFOLIO}


def _panel(so_far: Mapping[str, Outcome]) -> dict[str, Any]:
    opinions = [one for one in so_far.values() if isinstance(one, Opinion)]
    return panel_facts(opinions, [one for one in so_far.values() if isinstance(one, Failure)])


def _arguments(so_far: Mapping[str, Outcome]) -> list[Argument]:
    return [one for one in so_far.values() if isinstance(one, Argument)]


def _has_quorum(so_far: Mapping[str, Outcome]) -> bool:
    return sum(isinstance(one, Opinion) for one in so_far.values()) >= QUORUM
