"""Command line, `mahler doctor`: what is wrong around a desk, and what to do about it, before a scan finds out."""

import asyncio
import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mahler_agents.cli.advisors import advisors_options
from mahler_agents.cli.options import (
    SETTINGS_MARKET,
    as_json_option,
    broker_option,
    exits_option,
    market_database_option,
    seed_option,
)
from mahler_agents.cli.program import typable
from mahler_agents.errors import JobError
from mahler_agents.text import plain

if TYPE_CHECKING:
    from rich.text import Text

    from mahler_agents.doctor import Diagnosis, Finding, Situation

_MARKS = {"ok": "ok", "warn": "warn", "fail": "FAIL", "skipped": "-"}
_STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red", "skipped": "dim"}
_FIX = "fix: "
_LEAST = 20
"""Columns of text beside the margin, however narrow the terminal."""


@click.command()
@click.option("--market", show_default=SETTINGS_MARKET, metavar="sample|csv:PATH|alpaca", help="Where quotes are from.")
@broker_option
@click.option(
    "--model",
    metavar="MODEL",
    help="local, local:PATH.gguf, openai:NAME, none, or auto: the settings', else local.",
)
@advisors_options
@exits_option
@seed_option
@click.option("--offline", is_flag=True, help="Ask nobody: neither Alpaca nor Cboe nor a model.")
@market_database_option
@as_json_option
def doctor(
    *,
    market: str | None,
    broker: str | None,
    model: str | None,
    advisors: dict[str, Any],
    exits: str | None,
    seed: int | None,
    offline: bool,
    db: Path | None,
    as_json: bool,
) -> int:
    """Look at everything that a desk needs: keys, hosts, clocks, account, feeds, model, prompts, record, schedule.

    Give it the options of your scan. Each line is ok, warn or FAIL, with what to do under it; it trades nothing, writes
    nothing and migrates nothing. A model at a provider gets one tiny call. Exit code 1 if anything fails, 0 if all that
    there is are warnings.
    """
    options = {"market": market, "broker": broker, "model": model, "exits": exits, "seed": seed, "db": db}
    with _waiting(as_json=as_json):
        from mahler_agents.doctor import CHECKS, diagnose

        with _situation({**options, **advisors}, offline=offline) as situation:
            diagnosis = asyncio.run(diagnose(situation, CHECKS))
    if as_json:
        click.echo(json.dumps(_document(diagnosis)))
    elif sys.stdout.isatty():
        _print_on_terminal(diagnosis)
    else:
        click.echo("\n".join(_lines(diagnosis)))
    return JobError.exit_code if diagnosis.failed else 0


def _situation(options: Mapping[str, Any], *, offline: bool) -> "Situation":
    """Return what is looked at: the desk that a scan with these options would have."""
    from mahler_agents.doctor import Situation
    from mahler_agents.settings import Settings

    settings = Settings.load(options)
    return Situation.of_desk(
        settings.desk_arguments(),
        environment_told_by=settings.origin("environment").text,
        notify=settings.notify,
        offline=offline,
    )


def _waiting(*, as_json: bool) -> Any:
    if as_json or not sys.stdout.isatty():
        return nullcontext()
    from mahler_agents.cli.console import make_console

    return make_console(sys.stdout).status("looking at keys, hosts, feeds, model, record ...")


def _lines(diagnosis: "Diagnosis") -> Iterator[str]:
    """Yield the diagnosis off a terminal: a line a finding, its fix on the next."""
    margin = max(len(finding.check) for finding in diagnosis.findings)
    for group, findings in groupby(diagnosis.findings, key=lambda finding: finding.group):
        yield str(group)
        for finding in findings:
            yield f"  {_MARKS[finding.level]:<5} {finding.check:<{margin}}  {plain(finding.text)}"
            if finding.fix is not None:
                yield f"  {'':<5} {'':<{margin}}  {_FIX}{plain(typable(finding.fix))}"
    yield _sum(diagnosis)


def _print_on_terminal(diagnosis: "Diagnosis") -> None:
    """Print the same, in colours and wrapped beside its margin."""
    from rich.text import Text

    from mahler_agents.cli.console import make_console

    console = make_console(sys.stdout)
    width = max(len(finding.check) for finding in diagnosis.findings)
    for group, findings in groupby(diagnosis.findings, key=lambda finding: finding.group):
        console.print(Text(str(group), style="bold"))
        for finding in findings:
            mark = Text(f"  {_MARKS[finding.level]:<5} ", style=_STYLES[finding.level])
            head = Text.assemble(mark, f"{finding.check:<{width}}  ")
            for line in _wrapped(finding, max(_LEAST, console.width - len(head))):
                console.print(Text.assemble(head, line), soft_wrap=True)
                head = Text(" " * len(head))
    console.print(Text(_sum(diagnosis), style="bold red" if diagnosis.failed else "bold"))


def _wrapped(finding: "Finding", width: int) -> "Iterator[Text]":
    from rich.console import Console
    from rich.text import Text

    said = Text(plain(finding.text), style="dim" if finding.level == "skipped" else "")
    fix = [] if finding.fix is None else [Text(f"{_FIX}{plain(typable(finding.fix))}", style="cyan")]
    for text in (said, *fix):
        for line in text.wrap(Console(), width):
            line.rstrip()
            yield line


def _sum(diagnosis: "Diagnosis") -> str:
    return ", ".join(f"{number} {level}" for level, number in diagnosis.counts.items())


def _document(diagnosis: "Diagnosis") -> dict[str, Any]:
    return {
        "ok": not diagnosis.failed,
        "at": diagnosis.at.isoformat(),
        "version": diagnosis.version,
        "counts": {str(level): number for level, number in diagnosis.counts.items()},
        "findings": [asdict(finding) for finding in diagnosis.findings],
    }
