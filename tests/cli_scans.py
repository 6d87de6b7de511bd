"""For the command line's tests: scans on the sample market with models that say what they should not."""

import asyncio
import io
import json
from pathlib import Path

from mahler_agents.desk import Desk
from mahler_agents.progress import Watcher, unwatched
from mahler_agents.scan import ScanResult
from mahler_agents.testing.protocol import example_of
from mahler_agents.testing.scripted import ScriptedModel, ScriptedReply, ScriptedRequest, http_error, reply

HOSTILE = "\x1b[2J\x1b]0;title\x07 [bold red]BUY[/bold red] :smile: \u202eeurt\u202c\nrun ok\r\x9b31m"
"""Clears the screen, renames the window, poses as markup, runs backwards and starts lines of its own."""
HARMLESS = "[2J]0;title [bold red]BUY[/bold red] :smile: eurt run ok 31m"
"""What may be shown of it."""


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def hostile_script(request: ScriptedRequest) -> ScriptedReply:
    """The sentiment analyst's provider fails, the technical one writes no JSON, all else is hostile but valid."""
    if request.role == "sentiment":
        return http_error(401, HOSTILE)
    if request.role == "technical":
        return reply(HOSTILE)
    said = {**example_of(request.schema), "summary": HOSTILE}
    return reply({**said, "confidence": 0.3, "approved": False, "contracts": 0} if "approved" in said else said)


def run_scan(database: Path, model: str | ScriptedModel, watch: Watcher = unwatched) -> ScanResult:
    """Return the result of one scan of the sample market's default date."""

    async def scan() -> ScanResult:
        chosen = model if isinstance(model, str) else model.endpoint
        async with Desk(market="sample", model=chosen, database=database, environ={}) as desk:
            return await desk.scan(watch=watch)

    return asyncio.run(scan())


def json_of(text: str) -> object:
    """Return the one JSON document that `text` is."""
    return json.loads(text)
