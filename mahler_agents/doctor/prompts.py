"""Doctor, prompts: every prompt of the panel, read and held against the brief and the reply of its role."""

from collections.abc import Sequence

from mahler_agents.analysts.roles import Roles, load_role, roles_of
from mahler_agents.doctor.findings import Said, fail, ok, warn
from mahler_agents.doctor.situation import Situation
from mahler_agents.errors import ConfigError, MahlerError
from mahler_agents.llm.prompts import Prompt

_SHOWN = 6
"""Characters of a prompt's version."""


def prompts(situation: Situation) -> Sequence[Said]:
    """The panel's prompts, the package's or those of your folder: each read, and held against its role.

    Warn: the folder has a prompt that no role reads.
    Fail: one is missing, or would be refused by a scan.
    """
    roles, debate = situation.panel, situation.desk_config.debate_rounds > 0
    said: list[Said] = []
    valid: dict[str, Prompt] = {}
    for name, role in roles.items():  # one by one, so that one slip does not hide another
        try:
            valid[name] = load_role(name, role, situation.prompts, debate=debate)
        except ConfigError as error:
            said.append(fail(str(error), fix="mend the file; `mahler scan` refuses the whole folder until then"))
    if len(valid) == len(roles):
        where = "the package's own" if situation.prompts is None else f"those of {situation.prompts}"
        versions = ", ".join(f"{name} {prompt.content_hash[:_SHOWN]}" for name, prompt in valid.items())
        said.append(ok(f"{len(valid)} prompts, {where}: {versions}"))
    return [*said, *_unread(situation, roles)]


def _unread(situation: Situation, roles: Roles) -> Sequence[Said]:
    if situation.prompts is None:
        return []
    known = {*roles, *roles_of(situation.analysts, 1)}
    found = sorted(path.name for path in situation.prompts.glob("*.md") if path.stem not in known)
    if not found:
        return []
    return [
        warn(
            f"no role reads {', '.join(found)} in {situation.prompts}",
            fix=f"name a file after its role: {', '.join(roles)}",
        )
    ]


def has_panel(situation: Situation) -> bool:
    """Return whether the desk has prompts to read: a folder that was named is read even if no model is asked."""
    try:
        spec = situation.models.spec
    except MahlerError:  # its own check tells it
        return True
    return situation.prompts is not None or spec.kind != "none"
