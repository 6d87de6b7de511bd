"""Command line, `mahler db`: where the record is, a copy of it, what is wrong with it, and less of it."""

import datetime as dt
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mahler_agents.cli.options import as_json_option, database_option
from mahler_agents.cli.table import Column, table_lines
from mahler_agents.errors import InputError, JobError
from mahler_agents.record.location import newest_database
from mahler_agents.text import count, plain, size

if TYPE_CHECKING:
    from mahler_agents.record.pruning import Pruning


@click.group(epilog="Exit codes: 0 done; 1 a check found a problem, or the job failed; 2 bad input.")
def db() -> None:
    """Look after the record, one SQLite file (docs/record.md says what is in it)."""


@db.command()
@database_option
@as_json_option
def path(db: Path | None, *, as_json: bool) -> None:
    """Print the record's file."""
    from mahler_agents.record.database import check_place

    found = newest_database(db)
    check_place(found)
    click.echo(json.dumps({"path": str(found), "bytes": found.stat().st_size}) if as_json else str(found))


@db.command()
@click.argument("to", required=False, type=click.Path(path_type=Path))
@database_option
@as_json_option
def backup(to: Path | None, db: Path | None, *, as_json: bool) -> None:
    """Copy the record to a file, of one moment even while a scan writes to it.

    TO is a file or a folder; by default NAME.backup-TIME.db beside the record. Nothing is overwritten.
    """
    from mahler_agents.record.backup import back_up
    from mahler_agents.record.database import check_place

    record = newest_database(db)
    check_place(record)
    dated = f"{record.name.removesuffix('.db')}.backup-{_now():%Y%m%d-%H%M%S}.db"
    target = record.with_name(dated) if to is None else to / dated if to.is_dir() else to
    check_place(target, create=True)
    back_up(record, target)
    written = target.stat().st_size
    click.echo(
        json.dumps({"path": str(target), "bytes": written}) if as_json else f"{plain(str(target))}: {size(written)}"
    )


@db.command()
@click.option("--mend", is_flag=True, help="First mark the runs that dead processes left running.")
@database_option
@as_json_option
def check(db: Path | None, *, mend: bool, as_json: bool) -> int:
    """Look for damage: pages, references, schema, texts, and runs that a dead process left.

    Exit code 1 if there is a problem. Nothing is changed but what --mend says.
    """
    from mahler_agents.record.checking import check as look

    record = newest_database(db)
    if mend:
        _mend(record)
    findings = look(record)
    problem = any(finding.problem for finding in findings)
    if as_json:
        click.echo(json.dumps({"path": str(record), "ok": not problem, "findings": [asdict(one) for one in findings]}))
    else:
        click.echo(f"record: {plain(str(record))}")
        for one in findings:
            click.echo(f"{'PROBLEM' if one.problem else 'ok':<8} {one.code}: {plain(one.text)}")
    return JobError.exit_code if problem else 0


@db.command()
@click.option("--older-than", metavar="DAYS", type=click.IntRange(min=0), help="Runs that started longer ago.")
@click.option("--keep", metavar="N", type=click.IntRange(min=0), help="All runs but the N that started last.")
@click.option("--yes", is_flag=True, help="Do it; otherwise only say what would go.")
@database_option
@as_json_option
def prune(db: Path | None, *, older_than: int | None, keep: int | None, yes: bool, as_json: bool) -> None:
    """Drop the bulk of old runs: requests, replies, snapshots, raw answers, and texts that nothing refers to.

    Orders, fills, positions, outcomes, equity, shadows, opinions, verdicts and their briefs stay, and so does every
    row that they refer to; a run keeps all until its trades and shadows have ended. A pruned run cannot be replayed.
    """
    if (older_than is None) == (keep is None):
        raise InputError("say which runs: either --older-than DAYS or --keep N")
    from mahler_agents.clock import utc_text
    from mahler_agents.record.pruning import prune as drop

    now = _now()
    before = None if older_than is None else utc_text(now - dt.timedelta(days=older_than))
    record = newest_database(db)
    pruning = drop(record, before=before, keep=keep, at=utc_text(now), really=yes)
    if as_json:
        click.echo(json.dumps({"path": str(record), **asdict(pruning)}))
        return
    click.echo(f"record: {plain(str(record))}")
    for line in _pruning_lines(pruning):
        click.echo(line)


def _mend(record: Path) -> None:
    from mahler_agents.clock import utc_text
    from mahler_agents.record.abandoned import mark_abandoned
    from mahler_agents.record.database import open_database
    from mahler_agents.record.presence import alone_now

    open_database(record)
    with alone_now(record) as alone:
        if not alone:
            raise JobError(f"{record}: a process is at work on it, and its runs are not abandoned")
        for run_id in mark_abandoned(record, at=utc_text(_now())):
            click.echo(f"mahler: run {run_id} is marked as abandoned", err=True)


def _pruning_lines(pruning: "Pruning") -> list[str]:
    verb = "dropped" if pruning.done else "would drop"
    lines = [f"{verb} the bulk of {count(pruning.runs, 'run')}:"]
    table = [
        Column(heading="what", cells=[one.kind for one in pruning.bulk]),
        Column(heading="count", cells=[f"{one.count:,}" for one in pruning.bulk], right=True),
        Column(heading="size", cells=[size(one.bytes) for one in pruning.bulk], right=True),
    ]
    lines += [f"  {line}" for line in table_lines(table, None)]
    if pruning.still_open:
        lines.append(
            f"{count(pruning.still_open, 'run')} as old stay whole: unfinished, or with a trade or shadow open"
        )
    if pruning.done:
        lines.append(f"the file: {size(pruning.bytes_before)} before, {size(pruning.bytes_after)} now")
    else:
        lines.append("nothing was changed: --yes does it")
    return lines


def _now() -> dt.datetime:
    from mahler_agents.clock import SystemClock

    return SystemClock().now()
