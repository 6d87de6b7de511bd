"""Doctor, machine: room and rights for the record, time zones, and the versions of Python and of what is installed."""

import datetime as dt
import os
import sys
from collections.abc import Sequence
from importlib import metadata
from zoneinfo import ZoneInfoNotFoundError

from packaging.requirements import Requirement

from mahler_agents.doctor.findings import Said, fail, ok, warn
from mahler_agents.doctor.record import BYTES_PER_REVIEW
from mahler_agents.doctor.situation import Situation

PACKAGE = "mahler-agents"
OLDEST_PYTHON = (3, 11)
_SCANS_A_YEAR = 252
_LEAST, _ENOUGH = 100_000_000, 1_000_000_000
"""Bytes on the disk below which a scan may not end, and below which it is told."""
_ZONE = "America/New_York"
_OFFSETS = {dt.datetime(2026, 1, 15): -5, dt.datetime(2026, 7, 15): -4}  # noqa: DTZ001 - told to the zone
"""New York's hours from UTC, in winter and in summer."""


def folder(situation: Situation) -> Said:
    """Whether the record, and its folder, can be written to.

    Fail: they cannot.
    """
    path = situation.record
    place = path.absolute().parent
    if not place.is_dir():
        return fail(f"the folder {place} does not exist", fix=f"mkdir -p {place}, or name another file with --db")
    closed = [one for one in (place, path) if one.exists() and not os.access(one, os.W_OK)]
    if closed:
        return fail(
            f"{' and '.join(map(str, closed))} cannot be written to by this user",
            fix="run as the record's owner, or name a file in a folder of yours with --db",
        )
    return ok(f"{place} can be written to")


def disk(situation: Situation) -> Said:
    """The room on the record's disk, and how fast the record grows.

    Warn: less than 1 GB, or no room for a copy of the record, which a migration makes.
    Fail: less than 100 MB.
    """
    path = situation.record
    free = situation.free_bytes(path.absolute().parent)
    size = path.stat().st_size if path.is_file() else 0
    a_year = BYTES_PER_REVIEW * situation.desk_config.max_candidates * _SCANS_A_YEAR
    shown = (
        f"{free / 1e9:,.1f} GB free; the record has {size / 1e6:,.1f} MB and grows by {BYTES_PER_REVIEW / 1e3:.0f} kB a"
        f" review, at most {a_year / 1e6:,.0f} MB a year of daily scans"
    )
    fix = "make room, or move the record to another disk (--db); `mahler db prune` drops the bulk of old runs"
    if free < _LEAST:
        return fail(f"{shown}. A full disk ends a scan in the middle", fix=fix)
    if free < max(_ENOUGH, 2 * size):
        return warn(f"{shown}; a migration or a backup needs room for a copy", fix=fix)
    return ok(shown)


def time_zones(situation: Situation) -> Said:
    """The time zone database, by which New York's time is told.

    Fail: there is none, or it is wrong of New York.
    """
    fix = "pip install --upgrade tzdata, and unset the variable PYTHONTZPATH if it is set"
    try:
        zone = situation.zone(_ZONE)
    except (ZoneInfoNotFoundError, OSError, ValueError) as error:
        return fail(f"no time zone {_ZONE}: {error}", fix=fix)
    for moment, hours in _OFFSETS.items():
        told = moment.replace(tzinfo=zone).utcoffset()
        if told != dt.timedelta(hours=hours):
            return fail(f"{_ZONE} is {told} from UTC on {moment:%Y-%m-%d}, and should be {hours} hours", fix=fix)
    return ok(f"{_ZONE} is known, with its daylight saving time")


def python(situation: Situation) -> Said:
    """The version of Python.

    Fail: it is older than 3.11.
    """
    version = situation.python
    shown = ".".join(map(str, version[:3]))
    if version[:2] < OLDEST_PYTHON:
        return fail(f"Python {shown}", fix="install into an environment of Python 3.11 or newer")
    return ok(f"Python {shown} ({sys.executable})")


def packages(situation: Situation) -> Sequence[Said]:
    """Whether what is installed is of the versions that mahler-agents needs.

    Warn: mahler-agents itself is not installed, so that its needs are not known.
    Fail: a package is missing or of a version outside the range.
    """
    try:
        needed = situation.requirements(PACKAGE)
    except metadata.PackageNotFoundError:
        return [warn(f"{PACKAGE} is not installed, only on Python's path", fix="pip install mahler-agents")]
    parsed = [Requirement(one) for one in needed]
    # Those of an extra have a marker that says so, and none of them is asked for here.
    wanted = [one for one in parsed if one.marker is None or one.marker.evaluate({"extra": ""})]
    wrong = [fail(text, fix=f"pip install '{one.name}{one.specifier}'") for one in wanted if (text := _wrong(one))]
    return wrong or [ok(f"{len(wanted)} packages, all of the versions that {PACKAGE} needs")]


def _wrong(requirement: Requirement) -> str | None:
    try:
        version = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return f"{requirement.name} is not installed"
    if requirement.specifier.contains(version, prereleases=True):
        return None
    return f"{requirement.name} {version} is installed, and {requirement.specifier} is needed"
