"""Verification: was advice recorded, and never obeyed where it must not be? Rows in, `Judged` out; pure."""

import datetime as dt
from collections import Counter
from collections.abc import Iterator, Mapping

from mahler_agents.record.conduct_rows import CandidateConduct, Conduct, OrderConduct
from mahler_agents.record.trace_rows import RunRow
from mahler_agents.text import count, percent, words
from mahler_agents.verification.finding import Evidence, Judged, Shown

PAPER = "paper"
BYPASSED = "[bypassed - paper trading]"
MAX_FAILURE_RATE = 0.10
"""Share of the questions to the panel that may go without an answer."""
CUT_OFF_SLACK = dt.timedelta(seconds=10)
"""The decision time is the deadline of all calls: what was cut off by it is recorded a moment later."""
_CUT_OFF = "timeout"
_VETOED = frozenset({"low_confidence", "no_verdict"})
_REGIME = "regime"


def regime_bypassed(evidence: Evidence) -> Judged:
    """Judge whether every paper scan logged the regime's multiplier as bypassed, and sized without it."""
    conduct = evidence.conduct
    scans = [run for run in conduct.runs if run.environment == PAPER and run.size_multiplier is not None]
    said = {event.run_id for event in conduct.events if event.code == "size_multiplier" and BYPASSED in event.message}
    wrong = [Shown(where=run.id, what=why) for run in scans for why in _not_bypassed(run, said, conduct)]
    below = [run for run in scans if (run.size_multiplier or {})["regime"] < 1]
    return Judged(
        checked=len(scans),
        of="paper scans",
        text=f"{count(len(scans), 'paper scan')} with the regime as {BYPASSED};"
        f" in {len(below):,} it would have cut sizes",
        wrong=tuple(wrong),
        shown=tuple(Shown(where=run.id, what=f"regime {(run.size_multiplier or {})['regime']:.2f}") for run in below),
    )


def _not_bypassed(run: RunRow, said: set[str | None], conduct: Conduct) -> Iterator[str]:
    multiplier = run.size_multiplier or {}
    sized = [one for one in conduct.candidates if one.run_id == run.id and one.sizing is not None]
    if not multiplier["bypassed"]:
        yield f"the regime's {multiplier['regime']:.2f} counted in paper"
    elif run.id not in said:
        yield f"no line says {BYPASSED}"
    elif any(limit.code == _REGIME for one in sized if one.sizing for limit in one.sizing.constraints):
        yield "the regime bound a size in paper"


def low_confidence(evidence: Evidence) -> Judged:
    """Judge whether low confidence and missing verdicts stopped nothing in paper, and no veto was ignored in live."""
    runs = _runs(evidence.conduct)
    doubted = [one for one in evidence.conduct.candidates if _doubted(one) and one.run_id in runs]
    wrong = [Shown(where=one.id, what=why) for one in doubted if (why := _obeyed(one, runs[one.run_id].environment))]
    traded = sum(one.decision == "traded" for one in doubted)
    return Judged(
        checked=len(doubted),
        of="candidates with low confidence or without an approval",
        text=f"{len(doubted):,} with low confidence, or without approval or verdict; {traded:,} of them traded"
        if doubted
        else "no confidence was low, no approval or verdict missing",
        wrong=tuple(wrong),
        shown=tuple(Shown(where=one.id, what=_said(one)) for one in doubted),
        figures={"doubted": len(doubted), "traded": traded},
    )


def _doubted(one: CandidateConduct) -> bool:
    advice = one.advice
    return advice is not None and (advice.level == "low" or advice.rejected or advice.code == "no_verdict")


def _obeyed(one: CandidateConduct, environment: str) -> str | None:
    advice = one.advice
    if advice is None:
        return None
    if environment != PAPER:
        traded = advice.would_veto and one.decision == "traded"
        return f"vetoed, and traded in {environment}" if traded else None
    if not advice.proceed or one.reason in _VETOED:
        return f"stopped by advice in paper: {advice.message}"
    return None if one.sizing is not None else "never sized, though paper goes on"


def _said(one: CandidateConduct) -> str:
    confidence = "no verdict" if one.confidence is None else f"confidence {percent(one.confidence)}"
    return f"{one.underlying} {confidence}: {one.decision}, {words(one.reason or 'unfinished')}"


def advice_first(evidence: Evidence) -> Judged:
    """Judge whether every reviewed candidate had its advice on record before its order was decided."""
    runs = _runs(evidence.conduct)
    orders = _entries(evidence.conduct)
    reviewed = [one for one in evidence.conduct.candidates if one.reviewed and runs[one.run_id].status != "running"]
    past = {run.id for run in runs.values() if run.started_at > run.decision_at}
    cut_off = {one.candidate_id for one in evidence.conduct.failures if one.kind == _CUT_OFF}
    wrong = [
        Shown(where=one.id, what=why)
        for one in reviewed
        if (why := _late(one, None if one.run_id in past else orders.get(one.id), cut_off=one.id in cut_off))
    ]
    untimed = sum(one.run_id in past for one in reviewed)
    note = f"; of {untimed:,}, seen after the fact, the clock says nothing of the order" if untimed else ""
    return Judged(
        checked=len(reviewed),
        of="reviewed candidates",
        text=f"advice on {len(reviewed):,} reviewed candidates was recorded before the orders were decided{note}",
        wrong=tuple(wrong),
    )


def _late(one: CandidateConduct, order: OrderConduct | None, *, cut_off: bool) -> str | None:
    if one.advised_at is None:
        return None if one.reason == "error" and order is None else "no advice on record"
    if order is None or one.advised_at <= order.decided_at:
        return None
    late = dt.datetime.fromisoformat(one.advised_at) - dt.datetime.fromisoformat(order.decided_at)
    if cut_off and late <= CUT_OFF_SLACK:
        return None
    return f"advice of {one.advised_at}, order decided at {order.decided_at}"


def advice_moves_nothing(evidence: Evidence) -> Judged:
    """Judge whether every entry order is its sizing's, to the contract and the cent, whatever was advised."""
    candidates = {one.id: one for one in evidence.conduct.candidates}
    ordered = [(candidates[key], order) for key, order in _entries(evidence.conduct).items() if key in candidates]
    wrong = [Shown(where=order.client_order_id, what=why) for one, order in ordered if (why := _another(one, order))]
    levels = Counter(one.advice.level for one, _ in ordered if one.advice is not None)
    told = ", ".join(f"{number:,} {words(level)}" for level, number in sorted(levels.items()))
    return Judged(
        checked=len(ordered),
        of="entry orders",
        text=f"{len(ordered):,} entry orders are as sized, whatever the advice ({told})",
        wrong=tuple(wrong),
    )


def _another(one: CandidateConduct, order: OrderConduct) -> str | None:
    if one.sizing is None:
        return "ordered without a sizing"
    if order.contracts != one.sizing.contracts:
        return f"{order.contracts} contracts ordered, {one.sizing.contracts} sized"
    if abs(order.limit_credit - one.sizing.limit_credit) > 1e-9:
        return f"lowest credit {order.limit_credit} ordered, {one.sizing.limit_credit} sized on"
    return None if order.label == one.label else f"ordered {order.label}, reviewed {one.label}"


def shadows_followed(evidence: Evidence) -> Judged:
    """Judge whether every reviewed candidate is followed as a shadow, or the record says why not."""
    runs = _runs(evidence.conduct)
    excused = {event.candidate_id for event in evidence.conduct.events if event.code in {"no_shadow", "review_failed"}}
    reviewed = [one for one in evidence.conduct.candidates if one.reviewed and runs[one.run_id].status == "done"]
    wrong = [
        Shown(where=one.id, what=f"{one.label} is not followed, and nothing says why")
        for one in reviewed
        if not one.followed and one.id not in excused
    ]
    followed = sum(one.followed for one in reviewed)
    return Judged(
        checked=len(reviewed),
        of="reviewed candidates",
        text=f"{followed:,} of {len(reviewed):,} reviewed candidates are followed to their exit, traded or not",
        wrong=tuple(wrong),
    )


def analyst_failures(evidence: Evidence) -> Judged:
    """Judge whether the panel answered: at most a tenth of the questions without an answer."""
    failed, answered = len(evidence.conduct.failures), sum(evidence.conduct.answers.values())
    asked = failed + answered
    rate = failed / asked if asked else 0.0
    kinds = Counter(one.kind for one in evidence.conduct.failures)
    by_run = Counter(one.run_id for one in evidence.conduct.failures)
    told = f" ({', '.join(f'{number:,} {words(kind)}' for kind, number in kinds.most_common())})" if kinds else ""
    cases = tuple(Shown(where=run, what=f"{number:,} without an answer") for run, number in by_run.items())
    return Judged(
        checked=asked,
        of="",
        text=f"{failed:,} of {asked:,} questions to the panel without an answer, {percent(rate, 1)}; at most"
        f" {percent(MAX_FAILURE_RATE)} may be{told}"
        if asked
        else "no model was asked",
        wrong=cases if rate > MAX_FAILURE_RATE else (),
        shown=() if rate > MAX_FAILURE_RATE else cases,
        figures={"asked": asked, "failed": failed, "rate": rate},
    )


def _runs(conduct: Conduct) -> Mapping[str, RunRow]:
    return {run.id: run for run in conduct.runs}


def _entries(conduct: Conduct) -> Mapping[str, OrderConduct]:
    """Return the entry orders by candidate."""
    return {order.candidate_id: order for order in conduct.orders if order.candidate_id is not None}
