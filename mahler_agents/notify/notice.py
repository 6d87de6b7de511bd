"""Notify: `Notice`, one thing that the user is told, before anybody knows through which channel."""

import datetime as dt
from collections.abc import Mapping
from enum import StrEnum

from pydantic import AwareDatetime

from mahler_agents.types import Frozen
from mahler_agents.wording import SYNTHETIC_MARKET


class Kind(StrEnum):
    """What a notice is about; `[notify] kinds` chooses among them."""

    ALERT = "alert"
    """Something of a position or at the broker that no rule acts on: a broken leg, no mark, unsettled, assignment."""
    JOB_FAILED = "job_failed"
    """A job, or a part of it, did not do what it should."""
    REFUSED = "refused"
    """The trading state forbids entries, or no longer does: `mahler halt`, a broken leg, `mahler unhalt`."""
    BREAKER = "breaker"
    """A rule of the circuit breaker reached another step, or left one."""
    EXIT = "exit"
    """A position was closed, whole or in part, or one tried to."""
    TRADE_PLACED = "trade_placed"
    SCAN_SUMMARY = "scan_summary"
    """One after every scan, trades or not."""
    DAY_SUMMARY = "day_summary"
    TRADE_SKIPPED = "trade_skipped"


class Severity(StrEnum):
    """How a channel colours a notice."""

    INFO = "info"
    SUCCESS = "success"
    WARNING = "warning"
    FAILURE = "failure"


class Notice(Frozen):
    """One thing that the user is told, in plain text: whoever shows it escapes it."""

    kind: Kind
    key: str
    """Of what it tells of: a key that the record has is not told again."""
    at: AwareDatetime
    """When what it tells of was, by the market's clock."""
    title: str
    fields: Mapping[str, str] = {}
    """Name to value, in the order in which they are shown."""
    body: str = ""
    severity: Severity = Severity.INFO
    notes: tuple[str, ...] = ()
    """What must not be overlooked: that the market is made up, that the model is a toy."""

    @property
    def urgent(self) -> bool:
        """Whether it may use the last quarter of what an hour may hold."""
        return self.severity in {Severity.WARNING, Severity.FAILURE}

    @property
    def rank(self) -> int:
        """Its place among others that wait: those that ask for the user first, skips last."""
        return tuple(Kind).index(self.kind)


def made_up(*, synthetic: bool) -> tuple[str, ...]:
    """Return what every notice of a market that is made up must say first."""
    return (SYNTHETIC_MARKET,) if synthetic else ()


def notice_of_test(at: dt.datetime) -> Notice:
    """Return the notice that shows that a channel works."""
    return Notice(
        kind=Kind.ALERT,
        key=f"test-{at.isoformat()}",
        at=at,
        title="Mahler Agents: a test",
        body="If you read this, notifications reach you here. Nothing was traded.",
    )
