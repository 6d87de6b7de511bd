"""Command line, `mahler trace show`: a run's id in, what happened in it out: a tree, its prompts, or its raw calls."""

import json
import sys
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from mahler_agents.cli.options import as_json_option, database_option
from mahler_agents.cli.trace.selection import selected
from mahler_agents.errors import InputError
from mahler_agents.record.location import newest_database
from mahler_agents.record.queries import Reader
from mahler_agents.text import plain


@click.command()
@click.argument("run", metavar="ID")
@database_option
@click.option("--candidate", type=click.IntRange(min=1), metavar="N", help="Only the candidate of this rank.")
@click.option("--node", metavar="NAME", help="Only this node, such as greeks or fund_manager.")
@click.option("--prompt", "as_prompt", is_flag=True, help="The prompts as they were rendered for each call.")
@click.option("--raw", is_flag=True, help="Every request and response as it was sent.")
@as_json_option
def show(
    run: str, *, db: Path | None, candidate: int | None, node: str | None, as_prompt: bool, raw: bool, as_json: bool
) -> None:
    """Show what happened in one run: nodes, times, tokens, costs, opinions, failures, orders.

    ID is a run's id, the beginning of one, or `latest`. JSON holds every request and reply to the letter, too.
    """
    if as_prompt and raw:
        raise InputError("--prompt and --raw: choose one; --raw holds the prompt, too")
    with Reader(newest_database(db)) as reader:
        recorded = selected(reader.trace(reader.run_id(run)), candidate=candidate, node=node)
    if as_prompt or raw:
        from mahler_agents.cli.trace import calls

        shown = calls.prompts(recorded) if as_prompt else calls.raw(recorded)
        _print(shown, calls.prompt_lines if as_prompt else calls.raw_lines, reader.path, as_json=as_json)
        return
    if as_json:
        click.echo(json.dumps(asdict(recorded), ensure_ascii=False))
        return
    from mahler_agents.cli.console import make_console
    from mahler_agents.cli.trace.tree import run_tree

    click.echo(f"record: {plain(str(reader.path))}")
    make_console(sys.stdout).print(run_tree(recorded))
    if recorded.run.abandoned_at is not None and recorded.run.kind == "scan":
        from mahler_agents.cli.program import resume_command

        told = resume_command(recorded.run.id, reader.path)
        click.echo(f"its process died: `{plain(told)}`, with the options of that scan, finishes it")


def _print(shown: list[dict[str, Any]], lines: Any, path: Path, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(shown, ensure_ascii=False))
        return
    click.echo(f"record: {plain(str(path))}")
    told: Iterable[str] = lines(shown) if shown else ["no LLM call here"]
    for line in told:
        click.echo(line)
