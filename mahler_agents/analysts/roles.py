"""Stage 3, opinion: a panel and its debate in, what each role reads, must write and is told to do out."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from mahler_agents.analysts import fund_manager as manager
from mahler_agents.analysts.base import Analyst, Brief, StrictReply
from mahler_agents.analysts.debate import ArgumentReply, DebateBrief, Side
from mahler_agents.errors import ConfigError
from mahler_agents.llm.prompts import Prompt, check_prompt, load_prompt

Roles = dict[str, tuple[type[Brief], type[StrictReply]]]


def roles_of(panel: Iterable[Analyst], debate_rounds: int) -> Roles:
    """Return what each role that a model plays reads and must write."""
    analysts = {analyst.name: (analyst.facts, analyst.reply) for analyst in panel}
    sides = {side.value: (DebateBrief, ArgumentReply) for side in Side if debate_rounds}
    return {**analysts, **sides, manager.NAME: (manager.FundManagerBrief, manager.VerdictReply)}


def load_prompts(roles: Roles, folder: Path | None, *, debate: bool) -> Mapping[str, Prompt]:
    """Read and check every role's prompt now, so that a slip in one is the user's to mend before anything runs.

    `folder` is where they are; None: the package's own. Raises `ConfigError`.
    """
    prompts: dict[str, Prompt] = {}
    for name, (facts, reply) in roles.items():
        prompts[name] = load_prompt(name, folder)
        check_prompt(prompts[name], tuple(facts.model_fields), reply)
    verdict = prompts[manager.NAME]
    if debate and "arguments" not in verdict.used_variables:
        raise ConfigError(f"{verdict.path}: show `arguments`, or the fund manager does not hear the debate")
    return prompts
