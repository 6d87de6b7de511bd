"""Command line, `mahler verify`: did the desk do what it should? A line a check, with the runs that show it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mahler_agents.cli.options import as_json_option, database_option
from mahler_agents.cli.table import terminal_width
from mahler_agents.errors import JobError
from mahler_agents.record.location import newest_database
from mahler_agents.text import count, hung, plain

if TYPE_CHECKING:
    from mahler_agents.verification import Finding, Verification

_NAMED = 3
"""Cases of one check that are named."""
_LEAST = 30
"""Columns of text beside its margin, however narrow the terminal."""


@click.command()
@click.option(
    "--days", type=click.IntRange(1, 1000), default=5, show_default=True, metavar="N", help="Sessions to look at."
)
@click.option("--account", metavar="ID", help="Where the record has more than one.")
@click.option("--all", "every", is_flag=True, help="Name every case, of passed checks too.")
@database_option
@as_json_option
def verify(*, days: int, account: str | None, every: bool, db: Path | None, as_json: bool) -> int:
    """Check from the record whether the desk did what it should in its last sessions.

    Each check passes, fails, or has nothing to check, which is neither. Nothing is asked of a market or a broker, and
    nothing is changed. Exit code 1 if a check fails.
    """
    from mahler_agents.remote_clock import clock_from
    from mahler_agents.settings import Settings
    from mahler_agents.verification import verify as verified

    settings, path = Settings.load({"db": db}), newest_database(db)
    now = clock_from(settings.environ).now()
    found = verified(path, now=now, days=days, account_id=account, times=settings.schedule)
    if as_json:
        click.echo(json.dumps(None if found is None else found.as_json(), ensure_ascii=False))
    else:
        click.echo(f"record: {plain(str(path))}")
        width = terminal_width()
        for line in ["nothing to check: no run yet"] if found is None else _lines(found, width, every=every):
            click.echo(line)
    return JobError.exit_code if found is not None and found.failed else 0


def _lines(found: "Verification", width: int | None, *, every: bool) -> Iterator[str]:
    from mahler_agents.wording import SYNTHETIC_MARKET

    if found.synthetic:
        yield SYNTHETIC_MARKET
    span = f"{found.first} to {found.last}" if found.sessions > 1 else f"{found.last}"
    yield f"account {plain(found.account_id)}, {count(found.sessions, 'session')}, {span}"
    margin = max(len(one.name) for one in found.findings)
    for one in found.findings:
        yield from _finding(one, margin, width, every=every)
    verdicts = [one.verdict.value for one in found.findings]
    told = [f"{verdicts.count(verdict):,} {said}" for verdict, said in _SUMMED.items()]
    yield ", ".join(told)


_SUMMED = {"pass": "passed", "fail": "failed", "nothing to check": "with nothing to check"}
_SHORT = {"pass": "pass", "fail": "FAIL", "nothing to check": "-"}


def _finding(one: "Finding", margin: int, width: int | None, *, every: bool) -> Iterator[str]:
    head = f"{_SHORT[one.verdict.value]:<4}  {one.name:<{margin}}  "
    text = f"nothing to check: {one.text}" if one.verdict.value == "nothing to check" else one.text
    least = len(head) + _LEAST
    yield from hung(plain(text), width, head=head, least=least)
    named = one.shown[: one.wrong] or one.shown
    cases = one.shown if every else named[:_NAMED]
    for case in cases:
        yield from hung(plain(f"{case.where}: {case.what}"), width, head=" " * len(head), least=least)
    if not every and len(named) > _NAMED:
        yield f"{' ' * len(head)}and {len(named) - _NAMED:,} more; --all names them"
