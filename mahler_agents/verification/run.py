"""Verification: a record's file and a number of sessions in, all findings out."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mahler_agents.clock import NEW_YORK
from mahler_agents.market import calendar
from mahler_agents.record.conduct import ConductReader
from mahler_agents.report import Span, only_account, read_report
from mahler_agents.report.span import day_of
from mahler_agents.schedule import ScheduleSettings
from mahler_agents.verification.finding import Check, Evidence, Finding, Verdict
from mahler_agents.verification.registry import CHECKS

DAYS = 5
"""Sessions that are looked at unless it is said otherwise."""


@dataclass(frozen=True, kw_only=True)
class Verification:
    """What a record shows of a desk's last sessions."""

    account_id: str
    first: dt.date
    last: dt.date
    sessions: int
    synthetic: bool
    findings: tuple[Finding, ...]

    @property
    def failed(self) -> int:
        """Checks that failed."""
        return sum(one.verdict is Verdict.FAIL for one in self.findings)

    def as_json(self) -> dict[str, Any]:
        """Return it as a JSON document."""
        return {
            **asdict(self),
            "first": self.first.isoformat(),
            "last": self.last.isoformat(),
            "failed": self.failed,
        }


def verify(
    path: Path,
    *,
    now: dt.datetime,
    days: int = DAYS,
    account_id: str | None = None,
    times: ScheduleSettings | None = None,
) -> Verification | None:
    """Return what the record shows of an account's last sessions; None if it tells nothing yet.

    The last of them is that of `now` where a schedule runs on the record, so that a desk that is dead since is seen;
    else that of the record's last instant. Raises `UnknownIdError` or `InputError` for an account that is not there or
    must be chosen, `ConfigError` or `RecordError` if the record cannot be read.
    """
    with ConductReader(path) as reader:
        account = only_account(reader.accounts(), account_id)
        last_at = None if account is None else reader.last_instant(account)
        if account is None or last_at is None:
            return None
        last = max(day_of(last_at), now.astimezone(NEW_YORK).date()) if reader.scheduled() else day_of(last_at)
        dates = _sessions_until(last, days)
        span = Span(first=dates[0], last=max(last, dates[-1]))
        report, _ = read_report(reader, account, span)
        evidence = Evidence(
            conduct=reader.conduct(account, span.begins, span.ends),
            now=now,
            last_at=last_at,
            times=times or ScheduleSettings(),
            books=report.reconciliation,
        )
    return Verification(
        account_id=account,
        first=dates[0],
        last=dates[-1],
        sessions=len(dates),
        synthetic=report.synthetic,
        findings=judge(evidence),
    )


def judge(evidence: Evidence, checks: Sequence[Check] = CHECKS) -> tuple[Finding, ...]:
    """Return what every check finds in the evidence."""
    return tuple(check.find(evidence) for check in checks)


def _sessions_until(last: dt.date, days: int) -> tuple[dt.date, ...]:
    first = max(calendar.FIRST_DATE, last - dt.timedelta(days=2 * days + 10))
    return calendar.sessions(first, last)[-days:]
