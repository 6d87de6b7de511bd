"""Command line, `mahler case`: stored briefs on which a role can be asked again: list, add, tag, export, import."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mahler_agents.cli.options import as_json_option, database_option
from mahler_agents.cli.table import Column, table_lines, terminal_width
from mahler_agents.errors import InputError
from mahler_agents.text import cents, count, instant, plain, words

if TYPE_CHECKING:
    from mahler_agents.record.cases import AddedCase, CaseRow

_SHOWN = 8
_QUERY = "QUERY is words such as `analyst=greeks underlying=SPY date=2026-03-01..2026-03-31 outcome=loss tag=hard`."


@click.group(epilog=_QUERY)
def case() -> None:
    """Look at the stored briefs, tag them, and exchange them as JSON Lines.

    Every brief that a scan recorded is a case. Keys of a query: analyst, underlying, type, market, date (one, or
    FROM..TO), outcome (profit, loss, known, pending), failure (any, none or a kind), tag, case, limit. Commas stand
    between several values of a key.
    """


@case.command("list")
@click.argument("query", nargs=-1)
@database_option
@as_json_option
def list_cases(query: tuple[str, ...], db: Path | None, *, as_json: bool) -> None:
    """List the cases that fit, oldest first."""
    rows, path = _found(query, db)
    if as_json:
        click.echo(json.dumps([_row(row) for row in rows], ensure_ascii=False))
        return
    click.echo(f"record: {plain(str(path))}")
    for line in table_lines(_columns(rows), terminal_width()) if rows else ["no case fits"]:
        click.echo(line)
    if rows:
        known = sum(row.pnl_dollars is not None for row in rows)
        click.echo(f"{count(len(rows), 'case')}, the outcome of {known:,} known")


@case.command()
@click.argument("role")
@click.argument("brief", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--as-of", required=True, metavar="TIME", help="Of its facts, with zone: 2026-03-17T14:00:00Z.")
@click.option("--market", default="by_hand", show_default=True, help="Where its facts are from.")
@click.option("--synthetic", is_flag=True, help="They are made up.")
@click.option("--pnl", type=float, metavar="DOLLARS", help="What one contract earned after fees, if it is known.")
@click.option("--tag", "tags", multiple=True, metavar="TAG", help="A word for it; may be repeated.")
@database_option
@as_json_option
def add(  # noqa: PLR0917 - click passes them by name
    role: str,
    brief: Path,
    as_of: str,
    market: str,
    synthetic: bool,  # noqa: FBT001 - as above
    pnl: float | None,
    tags: tuple[str, ...],
    db: Path | None,
    *,
    as_json: bool,
) -> None:
    """Add one case from a file that holds a brief of ROLE as JSON.

    `mahler case export` shows what a brief of each role has.
    """
    from mahler_agents.evaluation.cases import panel_roles
    from mahler_agents.evaluation.lines import parse_line

    try:
        facts = json.loads(brief.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{brief}: no JSON can be read from it: {' '.join(str(error).split())}") from error
    line = {
        "analyst": role,
        "as_of": as_of,
        "market": market,
        "synthetic": synthetic,
        "brief": facts,
        "outcome": None if pnl is None else {"pnl_dollars": pnl},
        "tags": list(tags),
    }
    _add([parse_line(json.dumps(line), panel_roles(), where=str(brief))], db, as_json=as_json)


@case.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@database_option
@as_json_option
def import_cases(file: Path, db: Path | None, *, as_json: bool) -> None:
    """Add the cases of a file of JSON Lines, as `mahler case export` writes it: all of them, or none.

    A case that is there already gets the tags of the file, and nothing else of it changes.
    """
    from mahler_agents.evaluation.lines import read_lines

    _add(read_lines(file), db, as_json=as_json)


@case.command()
@click.argument("query", nargs=-1)
@click.option("--out", metavar="FILE", type=click.Path(path_type=Path), help="The file; else the terminal.")
@database_option
def export(query: tuple[str, ...], out: Path | None, db: Path | None) -> None:
    """Write the cases that fit as JSON Lines, with outcomes and tags."""
    from mahler_agents.evaluation.lines import line_of

    rows, _ = _found(query, db)
    if not rows:
        raise InputError("no case fits: `mahler case list` shows what there is")
    text = "".join(f"{line_of(row)}\n" for row in rows)
    if out is None:
        click.echo(text, nl=False)
        return
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"--out {out}: cannot be written: {error.strerror}") from error
    click.echo(f"{count(len(rows), 'case')} in {plain(str(out))}", err=True)


@case.command()
@click.argument("tag")
@click.argument("query", nargs=-1, required=True)
@click.option("--remove", is_flag=True, help="Take the tag away instead.")
@database_option
@as_json_option
def tag(tag: str, query: tuple[str, ...], db: Path | None, *, remove: bool, as_json: bool) -> None:
    """Give the cases that fit a tag, a word by which they can be asked for."""
    from mahler_agents.evaluation.lines import check_tags
    from mahler_agents.record.cases import CaseBook

    check_tags([tag])
    rows, path = _found(query, db)
    if not rows:
        raise InputError("no case fits: `mahler case list` shows what there is")
    with CaseBook(path) as book:
        changed = book.tag([row.brief_hash for row in rows], [tag], remove=remove)
    if as_json:
        click.echo(json.dumps({"tag": tag, "cases": len(rows), "changed": changed}))
        return
    done = "taken from" if remove else "given to"
    click.echo(f"{plain(tag)} {done} {changed:,} of {count(len(rows), 'case')}")


def _found(query: Sequence[str], db: Path | None) -> "tuple[tuple[CaseRow, ...], Path]":
    from mahler_agents.evaluation.query import parse_query
    from mahler_agents.record.cases import CaseReader
    from mahler_agents.record.location import newest_database

    chosen = parse_query(query)
    with CaseReader(newest_database(db)) as reader:
        return reader.cases(chosen), reader.path


def _add(cases: "list[AddedCase]", db: Path | None, *, as_json: bool) -> None:
    from mahler_agents.clock import SystemClock, utc_text
    from mahler_agents.record.cases import CaseBook
    from mahler_agents.record.database import open_database
    from mahler_agents.record.location import newest_database

    with CaseBook(open_database(newest_database(db))) as book:
        new, there = book.add(cases, at=utc_text(SystemClock().now()))
    if as_json:
        click.echo(json.dumps({"added": new, "already_there": there}))
        return
    click.echo(f"{count(new, 'case')} added, {there:,} already there")


def _columns(rows: "Sequence[CaseRow]") -> list[Column]:
    outcomes = ["-" if row.pnl_dollars is None else cents(row.pnl_dollars) for row in rows]
    return [
        Column(heading="case", cells=[row.brief_hash[:_SHOWN] for row in rows]),
        Column(heading="as of", cells=[instant(row.as_of) for row in rows]),
        Column(heading="analyst", cells=[plain(words(row.role)) for row in rows]),
        Column(heading="trade", cells=[plain(words(f"{row.underlying} {row.spread_type}")) for row in rows]),
        Column(heading="market", cells=[plain(row.market) for row in rows], droppable=2),
        Column(heading="outcome", cells=outcomes, right=True),
        Column(heading="failure", cells=[words(row.failure or "-") for row in rows], droppable=3),
        Column(heading="tags", cells=[plain(", ".join(row.tags)) for row in rows], droppable=1),
    ]


def _row(row: "CaseRow") -> dict[str, object]:
    fields = dict(vars(row))
    return {**fields, "content": json.loads(row.content), "tags": list(row.tags)}
