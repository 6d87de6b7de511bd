"""Command line, `mahler prompt check`: a prompt file in, whether it is in order out."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mahler_agents.cli.options import as_json_option, database_option
from mahler_agents.cli.prompt.texts import brief_of, case_of, read_prompt
from mahler_agents.errors import ConfigError, InputError
from mahler_agents.text import count, plain

if TYPE_CHECKING:
    from mahler_agents.evaluation.checking import PromptCheck, TokenRate


@click.command()
@click.argument("prompt", metavar="FILE")
@click.option("--case", "case_id", metavar="ID", help="Fill it from this stored brief, too.")
@database_option
@as_json_option
def check(prompt: str, case_id: str | None, db: Path | None, *, as_json: bool) -> None:
    """Check a prompt: its form, its variables, its worked examples, its length, and whether it biases the forecast.

    The examples' replies are held against the schema of the role's reply. Exit code 2: the first thing that is wrong is
    named in one line.
    """
    from mahler_agents.evaluation.checking import check as checked

    found = read_prompt(prompt, db)
    brief = None if case_id is None else brief_of(found, case_of(found.name, case_id, db), db)
    result = checked(found, brief, _rate(found.name, db))
    if as_json:
        click.echo(json.dumps(asdict(result), ensure_ascii=False))
        return
    for line in _lines(result):
        click.echo(line)


def _lines(result: "PromptCheck") -> list[str]:
    examples = count(result.examples, "worked example")
    return [
        f"{plain(result.path)}: in order",
        f"role {result.role}, version {result.hash[:8]}, {count(result.variables, 'variable')}, {examples}",
        f"about {result.constant_tokens:,} tokens of system part and examples, {result.user_tokens:,} of user part",
        f"(filled from {result.filled_from}), at most {result.max_reply_tokens:,} of reply",
        f"counted {plain(result.counted)}",
    ]


def _rate(role: str, db: Path | None) -> "TokenRate":
    """Return how many characters a token of this role's recorded calls had, if there is a record."""
    from mahler_agents.evaluation.checking import TokenRate, rate_of
    from mahler_agents.record.location import newest_database
    from mahler_agents.record.prompt_versions import PromptReader

    try:
        with PromptReader(newest_database(db)) as reader:
            counted = reader.counted_tokens(role)
    except (ConfigError, InputError):
        if db is not None:
            raise
        return TokenRate()
    return TokenRate() if counted is None else rate_of(*counted)
