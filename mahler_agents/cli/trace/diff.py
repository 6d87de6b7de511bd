"""Command line, `mahler trace diff`: two runs' ids in, what differs between them out."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mahler_agents.cli.options import as_json_option, database_option
from mahler_agents.record.location import newest_database
from mahler_agents.record.queries import Reader
from mahler_agents.text import plain, shortened

if TYPE_CHECKING:
    from rich.text import Text
    from rich.tree import Tree

    from mahler_agents.record.comparison import Change, NodeDiff, RunDiff

_VALUE_SHOWN = 160


@click.command()
@click.argument("before", metavar="A")
@click.argument("after", metavar="B")
@database_option
@as_json_option
def diff(before: str, after: str, *, db: Path | None, as_json: bool) -> None:
    """Show what differs between two runs: briefs, prompts, models, replies, opinions, verdicts, sizes.

    A and B are ids as `show` takes them. Spreads are matched by underlying, type, strikes and expiration; ids, ranks
    and times are not compared. The exit code is 0 whether or not the runs differ: 1 means that a job failed.
    """
    from mahler_agents.record.comparison import compare

    with Reader(newest_database(db)) as reader:
        found = compare(*(reader.trace(reader.run_id(one)) for one in (before, after)))
    if as_json:
        click.echo(json.dumps({**asdict(found), "same": found.same}, ensure_ascii=False))
        return
    from mahler_agents.cli.console import make_console

    click.echo(f"record: {plain(str(reader.path))}")
    make_console(sys.stdout).print(diff_tree(found))


def diff_tree(found: "RunDiff") -> "Tree":
    """Return the tree: the run, then each spread, under it each node, under that each thing that differs."""
    from rich.text import Text
    from rich.tree import Tree

    tree = Tree(Text.assemble(("from ", "bold"), found.before, ("  to ", "bold"), found.after))
    if found.same:
        tree.add(Text("nothing differs, apart from ids, ranks and times"))
    _add(tree, found.changes)
    for spread in found.spreads:
        branch = tree.add(Text(plain(spread.label), style="bold"))
        _add(branch, spread.changes)
        for node in spread.nodes:
            _add_node(branch, node)
    for run_id, labels in ((found.before, found.only_before), (found.after, found.only_after)):
        if labels:
            alone = tree.add(Text(f"only in {run_id}", style="bold"))
            for label in labels:
                alone.add(Text(plain(label)))
    return tree


def _add_node(branch: "Tree", node: "NodeDiff") -> None:
    from rich.text import Text

    told = branch.add(Text(plain(node.node), style="bold"))
    _add(told, node.changes)
    if node.prompt:
        lines = told.add(Text("prompt"))
        for line in node.prompt:
            lines.add(_prompt_line(line))


def _add(branch: "Tree", changes: "Sequence[Change]") -> None:
    for change in changes:
        branch.add(_change(change))


def _change(change: "Change") -> "Text":
    from rich.text import Text

    where = f"{change.subject} {change.field}".rstrip()
    parts: list[Any] = [f"{plain(where)}: ", (_value(change.before), "red"), " -> ", (_value(change.after), "green")]
    return Text.assemble(*parts)


def _prompt_line(line: str) -> "Text":
    from rich.text import Text

    style = {"+": "green", "-": "red"}.get(line[:1], "dim")
    return Text(line[:1] + plain(line[1:]), style=style)


def _value(value: object) -> str:
    if value is None:
        return "none"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return shortened(text, _VALUE_SHOWN)
