"""Verification: what a check is given (`Evidence`), what it says (`Judged`), and the finding that is shown of it."""

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from mahler_agents.record.conduct_rows import Conduct
from mahler_agents.report.equity import Reconciliation
from mahler_agents.schedule import ScheduleSettings


class Verdict(StrEnum):
    """How a check ended."""

    PASS = "pass"  # noqa: S105 - no password
    FAIL = "fail"
    NOTHING = "nothing to check"
    """The record holds no case of it: neither passed nor failed."""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What checks read; they ask nothing else."""

    conduct: Conduct
    now: dt.datetime
    """UTC: until then the schedule's slots should have run."""
    last_at: str
    """The last instant of which the record tells something, in UTC."""
    times: ScheduleSettings = field(default_factory=ScheduleSettings)
    books: Reconciliation | None = None
    """Whether the recorded equity follows from fills and marks; None without a point in the span."""


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A case: which run, candidate, order or position, and what is to be seen there."""

    where: str
    what: str


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What a check found."""

    checked: int
    """Cases that it looked at."""
    of: str
    """What a case is, in the plural; empty where it is not the cases that are right or wrong, but all together."""
    text: str
    """What was seen, in words: what a passed check says, and of a failed one that judges no cases."""
    wrong: tuple[Shown, ...] = ()
    shown: tuple[Shown, ...] = ()
    """Cases that are as they should be, where a reader wants to see them."""
    figures: Mapping[str, float] = field(default_factory=dict[str, float])


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing that a desk should have done."""

    name: str
    asks: str
    """What must hold, in one sentence."""
    judge: Callable[[Evidence], Judged]

    def find(self, evidence: Evidence) -> "Finding":
        """Return what the evidence says of it."""
        judged = self.judge(evidence)
        return Finding(
            name=self.name,
            verdict=_verdict(judged),
            text=_text(judged, self.asks),
            shown=(*judged.wrong, *judged.shown),
            wrong=len(judged.wrong),
            checked=judged.checked,
            figures=judged.figures,
        )


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line of `mahler verify`."""

    name: str
    verdict: Verdict
    text: str
    shown: tuple[Shown, ...]
    """The cases that show it, the wrong ones first."""
    wrong: int
    """How many of `shown` are wrong."""
    checked: int
    figures: Mapping[str, float]


def _verdict(judged: Judged) -> Verdict:
    if judged.wrong:
        return Verdict.FAIL
    return Verdict.PASS if judged.checked else Verdict.NOTHING


def _text(judged: Judged, asks: str) -> str:
    if not judged.wrong or not judged.of:
        return judged.text
    return f"{len(judged.wrong):,} of {judged.checked:,} {judged.of} break this: {asks}"
