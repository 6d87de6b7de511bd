"""Command line, `mahler prompt show`, `render` and `diff`: a prompt's text, filled from a stored brief, or compared."""

import json
from difflib import unified_diff
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mahler_agents.cli.options import as_json_option, database_option
from mahler_agents.errors import InputError
from mahler_agents.text import visible

if TYPE_CHECKING:
    from mahler_agents.analysts.base import Brief
    from mahler_agents.evaluation.cases import Case
    from mahler_agents.llm.prompts import Prompt


@click.command()
@click.argument("prompt")
@database_option
@as_json_option
def show(prompt: str, db: Path | None, *, as_json: bool) -> None:
    """Print a prompt's text."""
    found = read_prompt(prompt, db)
    if as_json:
        document = {"role": found.name, "hash": found.content_hash, "path": found.path, "content": found.text}
        click.echo(json.dumps(document, ensure_ascii=False))
        return
    click.echo(visible(found.text), nl=False)


@click.command()
@click.argument("prompt")
@click.option("--case", "case_id", metavar="ID", help="A case, by the beginning of its id; else the role's newest.")
@database_option
@as_json_option
def render(prompt: str, case_id: str | None, db: Path | None, *, as_json: bool) -> None:
    """Fill a prompt from a stored brief, and print the messages as a model gets them."""
    from mahler_agents.evaluation.requests import messages_of

    found = read_prompt(prompt, db)
    case = case_of(found.name, case_id, db)
    messages = messages_of(found, case, brief_of(found, case, db))
    if as_json:
        document = {"role": found.name, "hash": found.content_hash, "case": case.id, "messages": messages}
        click.echo(json.dumps(document, ensure_ascii=False))
        return
    for message in messages:
        click.echo(f"--- {message['role']}")
        click.echo(visible(message["content"]))


@click.command()
@click.argument("before", metavar="A")
@click.argument("after", metavar="B")
@database_option
@as_json_option
def diff(before: str, after: str, db: Path | None, *, as_json: bool) -> None:
    """Show in which lines two prompts differ; A and B are prompts as `mahler prompt --help` says."""
    first, second = read_prompt(before, db), read_prompt(after, db)
    names = [f"{one.path} ({one.content_hash[:8]})" for one in (first, second)]
    lines = list(unified_diff(first.text.splitlines(), second.text.splitlines(), names[0], names[1], lineterm=""))
    if as_json:
        hashes = {"before": first.content_hash, "after": second.content_hash}
        click.echo(json.dumps({**hashes, "same": not lines, "diff": lines}, ensure_ascii=False))
        return
    for line in lines or ["nothing differs"]:
        click.echo(visible(line))


def read_prompt(text: str, db: Path | None) -> "Prompt":
    """Return the prompt that a text names; the record is opened for a version on record only."""
    from mahler_agents.evaluation.references import prompt_of
    from mahler_agents.record.location import newest_database
    from mahler_agents.record.prompt_versions import PromptReader

    def versions(role: str, version: str) -> tuple[str, str]:
        with PromptReader(newest_database(db)) as reader:
            return reader.content(role, version)

    return prompt_of(text, versions)


def brief_of(prompt: "Prompt", case: "Case", db: Path | None) -> "Brief":
    """Return the brief that a prompt is filled with: the case's, and what it asks for of similar trades."""
    from mahler_agents.evaluation.remembering import Remembering
    from mahler_agents.record.location import newest_database

    return Remembering(newest_database(db))(prompt, case) if prompt.front.memory else case.brief


def case_of(role: str, case_id: str | None, db: Path | None) -> "Case":
    """Return a role's case, the newest unless one is named. Raises `InputError` if there is none, or several."""
    from mahler_agents.evaluation.cases import read_cases
    from mahler_agents.record.cases import CaseFilter, CaseReader
    from mahler_agents.record.location import newest_database

    chosen = CaseFilter(roles=(role,), limit=1) if case_id is None else CaseFilter(roles=(role,), ids=(case_id,))
    with CaseReader(newest_database(db)) as reader:
        rows, path = reader.cases(chosen), reader.path
    if not rows:
        which = "" if case_id is None else f" `{case_id}`"
        raise InputError(f"no case{which} of {role} in {path}: `mahler case list analyst={role}` shows what there is")
    if len(rows) > 1:
        raise InputError(f"`{case_id}` fits {len(rows)} cases of {role}; type more of the id")
    cases, unreadable = read_cases(rows)
    if not cases:
        raise InputError(unreadable[0])
    return cases[0]
