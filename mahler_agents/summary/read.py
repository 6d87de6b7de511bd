"""Summary: the record's file, an account and a date in, `DaySummary` out; everything is read in one transaction."""

import datetime as dt
from pathlib import Path

from mahler_agents.market import calendar
from mahler_agents.record.conduct import ConductReader
from mahler_agents.report import Span, only_account, read_report
from mahler_agents.report.span import day_of
from mahler_agents.summary.build import DayFacts, summarise
from mahler_agents.summary.day import DaySummary


def day_summary(path: Path, account_id: str, date: dt.date) -> DaySummary:
    """Return what a New York date brought an account, as the record has it now.

    Raises `UnknownIdError` for an account that the record does not have, `InputError` outside the calendar's range,
    `ConfigError` or `RecordError` if the record cannot be read.
    """
    span = Span(first=date, last=date)
    hours = calendar.session(date) if calendar.is_session(date) else None
    with ConductReader(path) as reader:
        report, history = read_report(reader, account_id, span)
        return summarise(
            DayFacts(
                date=date,
                hours=hours,
                conduct=reader.conduct(account_id, span.begins, span.ends),
                report=report,
                history=history,
                marks=reader.last_marks(account_id, span.ends),
                last_scan=reader.newest_scan(account_id, span.ends),
            )
        )


def last_day(path: Path, account_id: str) -> dt.date | None:
    """Return the last New York date of which the record tells something of an account; None if it tells nothing."""
    with ConductReader(path) as reader:
        at = reader.last_instant(account_id)
    return None if at is None else day_of(at)


def chosen_account(path: Path, account_id: str | None) -> str | None:
    """Return the account that is meant, None if the record has none; raises `InputError` if it must be chosen."""
    with ConductReader(path) as reader:
        return only_account(reader.accounts(), account_id)
