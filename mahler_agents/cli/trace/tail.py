"""Command line, `mahler trace tail`: a record that others write to in, a line for each thing that is added out."""

import json
import sys
from contextlib import aclosing, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mahler_agents.cli.options import database_option
from mahler_agents.record.location import newest_database
from mahler_agents.text import plain

if TYPE_CHECKING:
    from mahler_agents.clock import Clock
    from mahler_agents.record.following import Happening


@click.command()
@database_option
@click.option("--once", is_flag=True, help="Tell what the newest run holds so far, and end.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document a line.")
def tail(*, db: Path | None, once: bool, as_json: bool) -> None:
    """Tell what is recorded as it happens: runs, LLM calls, nodes, events, fills and decisions.

    It begins with the newest run and ends with Ctrl-C, which is its usual end: the exit code is 0.
    """
    from mahler_agents.clock import SystemClock

    path = newest_database(db)
    if not as_json:
        click.echo(f"record: {plain(str(path))}")
    if once:
        from mahler_agents.record.following import Bookmark, FollowReader

        with FollowReader(path) as reader:
            for happening in reader.look(Bookmark()):
                click.echo(_line(happening, as_json=as_json))
        return
    import asyncio

    with suppress(KeyboardInterrupt):
        asyncio.run(_tail(path, SystemClock(), as_json=as_json))


async def _tail(path: Path, clock: "Clock", *, as_json: bool) -> None:
    from mahler_agents.record.following import follow

    async with aclosing(follow(path, clock)) as happenings:
        async for happening in happenings:
            click.echo(_line(happening, as_json=as_json))
            sys.stdout.flush()
            if getattr(sys.stdout, "error", None) is not None:  # nobody reads on
                return


def _line(one: "Happening", *, as_json: bool) -> str:
    if as_json:
        return json.dumps(asdict(one), ensure_ascii=False)
    from mahler_agents.cli.trace.happenings import happening_line

    return happening_line(one)
