"""Replay: what a user asks to have replayed in, which advisors of which candidates are asked again out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mahler_agents.analysts import fund_manager as manager
from mahler_agents.analysts.debate import Side
from mahler_agents.errors import InputError
from mahler_agents.llm.failures import Failure
from mahler_agents.replay.original import Original, OriginalCandidate, role_of


@dataclass(frozen=True, kw_only=True)
class ReplayChoice:
    """Which answers to ask for again; without any choice every answer, each on its own recorded brief."""

    failed: bool = False
    """Only what failed, then the stages after it."""
    roles: Sequence[str] = ()
    """Only these: analysts, `bull`, `bear`, `fund_manager`."""
    ranks: Sequence[int] = ()
    """Only these candidates; empty is all."""
    downstream: bool = False
    """Also the stages after what is replayed, with its new answers."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What will be asked."""

    nodes: Mapping[str, frozenset[str]]
    """By candidate: its nodes that are asked; never none."""
    onward: bool
    """Whether the stages after them follow."""
    not_replayed: tuple[str, ...]
    """What was chosen and cannot be replayed, and why."""

    def roles(self, original: Original) -> list[str]:
        """Return the roles that may be asked, in the panel's order."""
        asked = {role_of(node) for nodes in self.nodes.values() for node in nodes}
        after = {manager.NAME, *(side.value for side in Side)} if self.onward else set[str]()
        return [role for role in original.roles if role in asked | after]


def planned(original: Original, choice: ReplayChoice) -> Plan:
    """Return what a choice comes to. Raises `InputError` if that is nothing, or names what the run has not."""
    _check(original, choice)
    nodes: dict[str, frozenset[str]] = {}
    refused: list[str] = []
    for candidate in original.candidates:
        if choice.ranks and candidate.row["rank"] not in choice.ranks:
            continue
        chosen = frozenset(node for node in _ended(candidate) if _is_chosen(node, candidate, choice))
        cannot = {node: why for node in chosen if (why := _refusal(node, candidate, choice)) is not None}
        refused += [f"{node} of {candidate.label}: {cannot[node]}" for node in original.nodes if node in cannot]
        if asked := chosen - cannot.keys():
            nodes[candidate.id] = asked
    if not nodes:
        raise InputError(_nothing(original, choice, refused))
    return Plan(nodes=nodes, onward=choice.failed or choice.downstream, not_replayed=tuple(refused))


def _check(original: Original, choice: ReplayChoice) -> None:
    run_id = original.run["id"]
    for role in choice.roles:
        if role not in original.roles:
            raise InputError(f"run {run_id} has no role `{role}`; use one of: {', '.join(original.roles)}")
    ranks = [candidate.row["rank"] for candidate in original.candidates]
    for rank in choice.ranks:
        if rank not in ranks:
            raise InputError(
                f"run {run_id} reviewed no candidate {rank}; it has: {', '.join(map(str, ranks)) or 'none'}"
            )


def _ended(candidate: OriginalCandidate) -> list[str]:
    return [*candidate.outcomes, *candidate.unfinished]


def _is_chosen(node: str, candidate: OriginalCandidate, choice: ReplayChoice) -> bool:
    if choice.roles and role_of(node) not in choice.roles:
        return False
    return not choice.failed or not _has_answer(node, candidate)


def _has_answer(node: str, candidate: OriginalCandidate) -> bool:
    return node in candidate.outcomes and not isinstance(candidate.outcomes[node], Failure)


def _refusal(node: str, candidate: OriginalCandidate, choice: ReplayChoice) -> str | None:
    """Return why a node cannot be asked again, None if it can."""
    outcome = candidate.outcomes.get(node)
    if outcome is None:
        return "it did not end (its process died), so there is no answer to replay"
    if choice.failed and isinstance(outcome, Failure) and not outcome.replayable:
        return f"{outcome.detail}: no replay can cure that"
    if node == manager.NAME and (choice.failed or choice.downstream):
        return None  # its brief is written anew
    return candidate.unreadable.get(node)


def _nothing(original: Original, choice: ReplayChoice, refused: Sequence[str]) -> str:
    run_id = original.run["id"]
    if refused:
        return f"run {run_id}: nothing can be replayed: {'; '.join(refused)}"
    return f"run {run_id}: nothing {'failed' if choice.failed else 'was said'} in what you chose: nothing to replay"
