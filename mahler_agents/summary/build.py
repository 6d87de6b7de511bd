"""Summary: the rows of one day in, `DaySummary` out; pure."""

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from mahler_agents.clock import utc_text
from mahler_agents.market.calendar import Session
from mahler_agents.record.accounts import AccountHistory, LastMark
from mahler_agents.record.conduct_rows import CandidateConduct, Conduct
from mahler_agents.record.trace_rows import EventRow, RunRow
from mahler_agents.report import AccountReport
from mahler_agents.schedule import Job
from mahler_agents.summary.day import (
    DayEquity,
    DaySummary,
    Hours,
    JobSlots,
    Llm,
    ScanLine,
    ShadowDecisions,
    Skip,
    Told,
    Watch,
)
from mahler_agents.summary.positions import exits_made, heat, held_positions, opened_trades
from mahler_agents.summary.risk import day_risk

_FULL_DAY = dt.timedelta(hours=6, minutes=30)
_ADHOC = "adhoc-"


@dataclass(frozen=True, kw_only=True)
class DayFacts:
    """All rows that a day's summary is made of."""

    date: dt.date
    hours: Session | None
    conduct: Conduct
    report: AccountReport
    """Of this day alone."""
    history: AccountHistory
    """Until the day's end."""
    marks: Mapping[str, LastMark]
    """The last ones at the day's end, by entry order id."""
    last_scan: RunRow | None
    """The last until the day's end, of this day or an earlier one."""


def summarise(facts: DayFacts) -> DaySummary:
    """Return what a day brought."""
    conduct, scan = facts.conduct, facts.last_scan
    reviewed = [one for one in conduct.candidates if one.reviewed]
    equity = _equity(facts)
    held = held_positions(conduct, facts.marks, facts.date)
    return DaySummary(
        date=facts.date,
        account_id=conduct.account_id,
        session=None if facts.hours is None else _hours(facts.hours),
        nothing=_nothing(facts),
        environment=scan and scan.environment,
        market=scan and scan.market,
        broker=scan and scan.broker,
        models=tuple(dict.fromkeys(run.model for run in conduct.runs)),
        synthetic=facts.report.synthetic,
        toy_model=any(run.toy_model for run in conduct.runs),
        equity=equity,
        opened=opened_trades(conduct),
        exits=exits_made(conduct),
        held=held,
        heat=heat(conduct, held, None if equity is None else equity.now, scan),
        scans=tuple(_scan_line(run, conduct.candidates) for run in conduct.runs),
        skipped=_skipped(reviewed),
        ranked_out=sum(not one.reviewed for one in conduct.candidates),
        advice=_advice(reviewed),
        llm=_llm(conduct),
        risk=day_risk(conduct),
        watch=_watch(facts),
        slots=_slots(conduct),
        alerts=_told(conduct.events, "warning"),
        errors=_told(conduct.events, "error"),
    )


def _nothing(facts: DayFacts) -> str | None:
    conduct = facts.conduct
    if any(point.at >= conduct.begins for point in conduct.equity) or conduct.runs or conduct.slots:
        return None
    closed = "the exchange was closed, and " if facts.hours is None else ""
    return f"{closed}the record has nothing of that day: no scan, no monitor pass"


def _hours(session: Session) -> Hours:
    return Hours(
        opens=session.open.isoformat(),
        closes=session.close.isoformat(),
        half_day=session.close - session.open < _FULL_DAY,
    )


def _equity(facts: DayFacts) -> DayEquity | None:
    books = facts.report.reconciliation
    if books is None:
        return None
    pnl = round(books.end.equity - books.start.equity - books.deposits_dollars, 2)
    change = round(books.unrealised.dollars - books.unrealised_at_start.dollars, 2)
    base = books.start.equity + max(0.0, books.deposits_dollars)
    return DayEquity(
        previous=books.start.equity,
        previous_at=books.start.at,
        first_day=books.start.at >= facts.conduct.begins,
        now=books.end.equity,
        now_at=books.end.at,
        deposits_dollars=books.deposits_dollars,
        pnl_dollars=pnl,
        pnl_share=pnl / base if base > 0 else None,
        realised_dollars=books.realised_dollars,
        open_change_dollars=change,
        open_dollars=books.unrealised.dollars,
        unexplained_dollars=books.difference_dollars,
        unmarked=sum(one.unmarked + one.marked_before for one in (books.unrealised_at_start, books.unrealised)),
    )


def _scan_line(run: RunRow, candidates: Sequence[CandidateConduct]) -> ScanLine:
    of_run = [one for one in candidates if one.run_id == run.id]
    screen = run.screen or {}
    return ScanLine(
        run_id=run.id,
        at=run.as_of,
        slot=run.slot,
        scheduled=not run.slot.startswith(_ADHOC),
        status=run.status,
        error=run.error,
        pairs=screen.get("pairs"),
        passed=screen.get("passed"),
        reviewed=sum(one.reviewed for one in of_run),
        traded=sum(one.decision == "traded" for one in of_run),
    )


def _skipped(reviewed: Sequence[CandidateConduct]) -> tuple[Skip, ...]:
    what: dict[str, list[str]] = defaultdict(list)
    for one in reviewed:
        if one.decision != "traded":
            what[one.reason or "unfinished"].append(one.underlying)
    ordered = sorted(what.items(), key=lambda item: (-len(item[1]), item[0]))
    return tuple(Skip(reason=reason, what=tuple(underlyings)) for reason, underlyings in ordered)


def _advice(reviewed: Sequence[CandidateConduct]) -> ShadowDecisions:
    given = [one.advice for one in reviewed if one.advice is not None]
    heard = [one for one in given if one.level != "none"]
    return ShadowDecisions(
        would_approve=sum(not one.would_veto for one in heard),
        would_veto=sum(one.would_veto for one in heard),
        none=len(reviewed) - len(heard),
        disapproved=sum(one.rejected and not one.would_veto for one in heard),
    )


def _llm(conduct: Conduct) -> Llm:
    failures: dict[str, list[str]] = defaultdict(list)
    for one in conduct.failures:
        failures[one.kind].append(one.role)
    return Llm(
        calls=conduct.calls.calls,
        tokens=conduct.calls.prompt_tokens + conduct.calls.completion_tokens,
        cost_dollars=conduct.calls.cost_dollars,
        unknown_costs=conduct.calls.unknown_costs,
        answers=sum(conduct.answers.values()),
        failures={kind: tuple(roles) for kind, roles in sorted(failures.items())},
    )


def _watch(facts: DayFacts) -> Watch:
    looks = [at for at in facts.conduct.looks if at >= facts.conduct.begins]
    gap, gap_from = None, None
    if facts.hours is not None and looks:
        within = [at for at in map(dt.datetime.fromisoformat, looks) if facts.hours.open <= at <= facts.hours.close]
        steps = pairwise([facts.hours.open, *within])
        gap, gap_from = max(
            (((later - earlier).total_seconds() / 60, utc_text(earlier)) for earlier, later in steps),
            key=lambda step: step[0],
            default=(None, None),
        )
    return Watch(
        looks=len(looks),
        first_at=looks[0] if looks else None,
        last_at=looks[-1] if looks else None,
        longest_gap_minutes=gap,
        longest_gap_from=gap_from,
    )


def _slots(conduct: Conduct) -> tuple[JobSlots, ...]:
    lines: list[JobSlots] = []
    # The summary is written while its own slot is at work: that says nothing to its reader.
    told = [slot for slot in conduct.slots if slot.ended or slot.job != Job.SUMMARY]
    for job in dict.fromkeys(slot.job for slot in told):
        of_job = [slot for slot in told if slot.job == job]
        status = Counter(slot.status.value for slot in of_job)
        bad = [slot for slot in of_job if slot.status.value in {"failed", "missed"}]
        lines.append(
            JobSlots(
                job=job,
                done=status["done"],
                failed=status["failed"],
                missed=status["missed"],
                unended=sum(not slot.ended for slot in of_job),
                bad=tuple(f"{one.slot} {one.status.value}: {one.detail or 'no reason recorded'}" for one in bad),
            )
        )
    return tuple(lines)


def _told(events: Sequence[EventRow], level: str) -> tuple[Told, ...]:
    of_level = [event for event in events if event.level == level]
    times = Counter(event.code for event in of_level)
    last = {event.code: event.message for event in of_level}
    return tuple(Told(code=code, times=number, last=last[code]) for code, number in times.most_common())
