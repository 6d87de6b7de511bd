"""Evaluation: words such as `analyst=greeks underlying=SPY outcome=loss` in, which cases they choose out."""

import datetime as dt
import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from mahler_agents.errors import InputError
from mahler_agents.record.cases import OUTCOMES, CaseFilter

ALL = "all"
_LISTS = {
    "analyst": "roles",
    "underlying": "underlyings",
    "type": "spread_types",
    "market": "markets",
    "outcome": "outcomes",
    "failure": "failures",
    "tag": "tags",
    "case": "ids",
}
"""Key to the field that its values, separated by commas, fill."""
KEYS = (*_LISTS, "date", "limit")
EXAMPLE = "analyst=greeks underlying=SPY,QQQ date=2026-03-01..2026-03-31 outcome=loss tag=hard limit=50"
_TYPES = ("bull_put", "bear_call")
_HASH = re.compile(r"[0-9a-f]{1,64}")


def parse_query(words: Iterable[str]) -> CaseFilter:
    """Return the filter that words spell, each `key=value[,value]`; `all`, or no word, is every case.

    Raises `InputError`, with the word and what is known.
    """
    fields: dict[str, Any] = {}
    for word in " ".join(words).split():
        if word == ALL:
            continue
        key, equals, value = word.partition("=")
        if not equals or key not in KEYS or not value:
            raise InputError(f"cases `{word}`: use words such as `{EXAMPLE}`; keys: {', '.join(KEYS)}")
        if key == "date":
            fields["since"], fields["until"] = _dates(value)
        elif key == "limit":
            fields["limit"] = _limit(value)
        else:
            fields[_LISTS[key]] = _values(key, value)
    return CaseFilter(**fields)


def of_role(chosen: CaseFilter, role: str) -> CaseFilter:
    """Return the filter for one role's cases. Raises `InputError` if it asks for those of another."""
    if set(chosen.roles) - {role}:
        raise InputError(f"cases: analyst={','.join(chosen.roles)}, and the prompts are of {role}: leave it out")
    return replace(chosen, roles=(role,))


def _values(key: str, value: str) -> tuple[str, ...]:
    values = tuple(part for part in value.split(",") if part)
    known = {"outcome": OUTCOMES, "type": _TYPES}.get(key)
    for one in values:
        if known is not None and one not in known:
            raise InputError(f"cases {key}={one}: use one of: {', '.join(known)}")
        if key == "case" and not _HASH.fullmatch(one):
            raise InputError(f"cases case={one}: use a case's id, or the beginning of one, as `mahler case list` has")
    return tuple(one.upper() for one in values) if key == "underlying" else values


def _limit(value: str) -> int:
    if not value.isdecimal() or int(value) < 1:
        raise InputError(f"cases limit={value}: use a number from 1 on")
    return int(value)


def _dates(value: str) -> tuple[dt.date | None, dt.date | None]:
    first, dots, last = value.partition("..")
    since, until = _date(first), _date(last if dots else first)
    if since is not None and until is not None and until < since:
        raise InputError(f"cases date={value}: the last date is before the first")
    return since, until


def _date(text: str) -> dt.date | None:
    if not text:
        return None
    try:
        return dt.date.fromisoformat(text)
    except ValueError as error:
        raise InputError(f"cases date={text}: use a date such as 2026-03-17, or FROM..TO") from error
