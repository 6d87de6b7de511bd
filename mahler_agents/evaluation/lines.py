"""Evaluation: cases in, JSON Lines out, and back: one case a line, read strictly, all of a file or nothing of it."""

import datetime as dt
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from mahler_agents.analysts.roles import Roles
from mahler_agents.clock import utc_text
from mahler_agents.errors import InputError
from mahler_agents.evaluation.cases import panel_roles, unanswerable
from mahler_agents.llm.replies import explain
from mahler_agents.record.cases import AddedCase, CaseRow
from mahler_agents.record.writer import as_json

TAG = re.compile(r"[a-z0-9][a-z0-9_.-]{0,39}")
TAG_FORM = "1 to 40 small letters, digits, `_`, `-`, `.`"


class Outcome(BaseModel):
    """What became of one contract of the trade."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    pnl_dollars: float
    """After fees."""
    exit_rule: str | None = None


class CaseLine(BaseModel):
    """One line of a file of cases."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    case: str | None = None
    """The brief's hash; what it is, the brief says."""
    analyst: str
    as_of: Annotated[dt.datetime, Field(strict=False)]
    market: Annotated[str, Field(min_length=1)]
    synthetic: bool
    brief: dict[str, Any]
    outcome: Outcome | None = None
    tags: list[str] = []

    @field_validator("as_of")
    @classmethod
    def _aware(cls, value: dt.datetime) -> dt.datetime:
        if value.tzinfo is None:
            raise ValueError("write it with its zone, such as 2026-03-17T14:00:00Z")
        return value

    @field_validator("tags")
    @classmethod
    def _words(cls, tags: list[str]) -> list[str]:
        for tag in tags:
            if not TAG.fullmatch(tag):
                raise ValueError(f"`{tag}` is no tag: use {TAG_FORM}")
        return tags


def line_of(row: CaseRow) -> str:
    """Return a case as one line of JSON."""
    outcome = None if row.pnl_dollars is None else {"pnl_dollars": row.pnl_dollars, "exit_rule": row.exit_rule}
    line = {
        "case": row.brief_hash,
        "analyst": row.role,
        "as_of": row.as_of,
        "market": row.market,
        "synthetic": row.synthetic,
        "brief": json.loads(row.content),
        "outcome": outcome,
        "tags": list(row.tags),
    }
    return json.dumps(line, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def read_lines(path: Path) -> list[AddedCase]:
    """Return the cases of a file. Raises `InputError`, naming the file and the line, for the first that is none."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {' '.join(str(error).split())}") from error
    roles = panel_roles()
    found = [
        parse_line(line, roles, where=f"{path} line {number}")
        for number, line in enumerate(text.split("\n"), start=1)
        if line.strip()
    ]
    if not found:
        raise InputError(f"{path}: no case in it; write one JSON object a line, as `mahler case export` does")
    return found


def parse_line(text: str, roles: Roles, *, where: str) -> AddedCase:
    """Return the case of one line. Raises `InputError`, beginning with `where`, if it is none."""
    try:
        line = CaseLine.model_validate_json(text)
    except ValidationError as error:
        form = "write one JSON object a line, as `mahler case export` does"
        is_json = error.errors()[0]["type"] != "json_invalid"
        raise InputError(f"{where}: {explain(error) if is_json else f'no JSON object: {form}'}") from error
    if line.analyst not in roles:
        raise InputError(f"{where}: analyst: no role `{line.analyst}`; use one of: {', '.join(roles)}")
    try:
        brief = roles[line.analyst][0].model_validate_json(as_json(line.brief), strict=True)
    except (ValidationError, ValueError) as error:
        words = explain(error) if isinstance(error, ValidationError) else str(error)
        raise InputError(f"{where}: brief: {words}") from error
    if line.case not in {None, brief.content_hash}:
        raise InputError(f"{where}: case: it is not this brief's hash, {brief.content_hash}; leave it out, or mend one")
    if (why := unanswerable(line.analyst, brief)) is not None:
        raise InputError(f"{where}: brief: {why}")
    outcome = line.outcome
    return AddedCase(
        brief_hash=brief.content_hash,
        role=line.analyst,
        content=brief.text,
        as_of=utc_text(line.as_of),
        market=line.market,
        synthetic=line.synthetic,
        pnl_dollars=outcome and outcome.pnl_dollars,
        exit_rule=outcome and outcome.exit_rule,
        tags=tuple(line.tags),
    )


def check_tags(tags: Iterable[str]) -> None:
    """Raise `InputError` for a word that is no tag."""
    for tag in tags:
        if not TAG.fullmatch(tag):
            raise InputError(f"`{tag}` is no tag: use {TAG_FORM}")
