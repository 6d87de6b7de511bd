"""Stage 3, opinion: a panel and its debate in, what each role reads, must write and is told to do out."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from mahler_agents.analysts import fund_manager as manager
from mahler_agents.analysts.base import Analyst, Brief, StrictReply
from mahler_agents.analysts.debate import ArgumentReply, DebateBrief, Side
from mahler_agents.errors import ConfigError
from mahler_agents.llm.prompts import Prompt, check_prompt, load_prompt

Role = tuple[type[Brief], type[StrictReply]]
Roles = dict[str, Role]


def roles_of(panel: Iterable[Analyst], debate_rounds: int) -> Roles:
    """Return what each role that a model plays reads and must write."""
    analysts = {analyst.name: (analyst.facts, analyst.reply) for analyst in panel}
    sides = {side.value: (DebateBrief, ArgumentReply) for side in Side if debate_rounds}
    return {**analysts, **sides, manager.NAME: (manager.FundManagerBrief, manager.VerdictReply)}


def load_prompts(roles: Roles, folder: Path | None, *, debate: bool) -> Mapping[str, Prompt]:
    """Read and check every role's prompt now, so that a slip in one is the user's to mend before anything runs.

    `folder` is where they are; None: the package's own. Raises `ConfigError`.
    """
    return {name: load_role(name, role, folder, debate=debate) for name, role in roles.items()}


def load_role(name: str, role: Role, folder: Path | None, *, debate: bool) -> Prompt:
    """Read and check one role's prompt, as `load_prompts` does those of all."""
    facts, reply = role
    prompt = load_prompt(name, folder)
    check_prompt(prompt, tuple(facts.model_fields), reply)
    if debate and name == manager.NAME and "arguments" not in prompt.used_variables:
        raise ConfigError(f"{prompt.path}: show `arguments`, or the fund manager does not hear the debate")
    return prompt
