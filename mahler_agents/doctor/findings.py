"""Doctor, findings: what one look says, and what all of them say together."""

import datetime as dt
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARN = "warn"
    """The desk works, and not as well as it could; or it soon will not."""
    FAIL = "fail"
    """A scan or a pass would fail, or would do another thing than its user thinks."""
    SKIPPED = "skipped"
    """Not looked at, and why."""


class Group(StrEnum):
    """What a check is about, in the order in which they are told."""

    CONFIGURATION = "configuration"
    KEYS = "keys"
    BROKER = "broker"
    MARKET = "market"
    MODEL = "model"
    PROMPTS = "prompts"
    RECORD = "record"
    SCHEDULE = "schedule"
    MACHINE = "machine"


@dataclass(frozen=True, kw_only=True)
class Said:
    """One line of a check."""

    level: Level
    text: str
    fix: str | None = None
    """What to do about it; there is one of every `warn` and `fail`."""

    def __post_init__(self) -> None:
        """Refuse a complaint that does not say what to do."""
        if (self.fix is not None) is not (self.level in {Level.WARN, Level.FAIL}):
            raise ValueError(f"a {self.level} with the fix {self.fix!r}: {self.text}")


@dataclass(frozen=True, kw_only=True)
class Finding(Said):
    """One line of the doctor's."""

    check: str
    group: Group


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """All findings, in the order of the checks."""

    at: dt.datetime
    """By the real clock, whatever the desk's says."""
    version: str
    findings: Sequence[Finding]

    @property
    def counts(self) -> Mapping[Level, int]:
        """How many findings there are of each level."""
        found = Counter(finding.level for finding in self.findings)
        return {level: found[level] for level in Level}

    @property
    def failed(self) -> bool:
        """Whether anything is to be put right before the desk is used."""
        return self.counts[Level.FAIL] > 0


def ok(text: str) -> Said:
    """Return a line that is as it should be."""
    return Said(level=Level.OK, text=text)


def warn(text: str, *, fix: str) -> Said:
    """Return a line that is not, yet nothing fails of it."""
    return Said(level=Level.WARN, text=text, fix=fix)


def fail(text: str, *, fix: str) -> Said:
    """Return a line that must be put right."""
    return Said(level=Level.FAIL, text=text, fix=fix)


def skipped(text: str) -> Said:
    """Return a line of what was not looked at."""
    return Said(level=Level.SKIPPED, text=text)
