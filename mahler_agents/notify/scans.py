"""Notify: a finished scan in, its notices out: one a trade, placed or skipped, and one summary; pure."""

from collections import Counter
from collections.abc import Iterator

from mahler_agents.advisory import SKIPPED_LOW_CONFIDENCE, Confidence
from mahler_agents.analysts import fund_manager
from mahler_agents.notify.notice import Kind, Notice, Severity, made_up
from mahler_agents.review import Review
from mahler_agents.scan_parts import ScanResult
from mahler_agents.telling import phrases
from mahler_agents.telling.risk_lines import breaker_lines, multiplier_line, regime_line
from mahler_agents.text import count, counts, instant, per_share, percent, words
from mahler_agents.types import Reason
from mahler_agents.wording import BYPASSED, TOY_MODEL


def notices_of_scan(result: ScanResult) -> tuple[Notice, ...]:
    """Return one notice for each reviewed candidate, in rank order, and the summary, trades or not."""
    return (*(_trade(result, review) for review in result.reviews), _summary(result))


def notes_of(result: ScanResult) -> tuple[str, ...]:
    """Return what every notice of a scan must say first."""
    toy = (TOY_MODEL,) if result.toy_model else ()
    return (*made_up(synthetic=result.synthetic), *toy)


def _trade(result: ScanResult, review: Review) -> Notice:
    placed = review.decision.decision == "traded"
    spread = review.candidate.spread
    return Notice(
        kind=Kind.TRADE_PLACED if placed else Kind.TRADE_SKIPPED,
        key=f"{result.run_id}-{spread.key}",
        at=result.as_of,
        title=f"{'Trade placed' if placed else 'Trade skipped'}: {spread.label}",
        fields=dict(_decision(review)),
        severity=_severity(review, placed=placed),
        notes=notes_of(result),
    )


def _severity(review: Review, *, placed: bool) -> Severity:
    if review.error is not None:
        return Severity.FAILURE
    return Severity.SUCCESS if placed else Severity.INFO


def _decision(review: Review) -> Iterator[tuple[str, str]]:
    """Yield a trade decision's fields, under the names that users know."""
    candidate, verdict, spread = review.candidate, review.verdict, review.candidate.spread
    yield "decision", review.decision.decision
    yield "reason", _reason(review)
    yield from _order(review)
    yield "ai_summary", "none" if verdict is None else verdict.summary
    yield "confidence", "none: no verdict" if verdict is None else percent(verdict.confidence)
    if review.advice is not None:
        yield "advice", review.advice.message
    yield "iv_rank", "not known" if candidate.iv_rank is None else f"{candidate.iv_rank:.0f}"
    yield "credit", f"{per_share(candidate.credit)} ({percent(candidate.credit / spread.width, 1)} of width)"
    yield "underlying", spread.underlying
    yield "spread_type", spread.spread_type.value
    yield "short_strike", f"{spread.short_strike:g}"
    yield "long_strike", f"{spread.long_strike:g}"
    yield "expiration", f"{spread.expiration} ({candidate.dte} days)"
    if review.error is not None:
        yield "error", review.error


def _order(review: Review) -> Iterator[tuple[str, str]]:
    """Yield what was traded; else what was asked for in vain, or what kept the size at nothing."""
    execution = review.execution
    if execution is None:
        if review.sizing is not None:
            yield "size", phrases.sizing(review.sizing)
    elif execution.traded is not None:
        yield "order", phrases.fill(execution.traded)
    else:
        yield "order", phrases.unfilled(execution)


def _reason(review: Review) -> str:
    reason = review.decision.reason
    return SKIPPED_LOW_CONFIDENCE if reason is Reason.LOW_CONFIDENCE else reason.value


def _summary(result: ScanResult) -> Notice:
    traded = [review for review in result.reviews if review.decision.decision == "traded"]
    skipped = len(result.reviews) - len(traded)
    errors = _errors(result)
    alarming = result.breaker.halted or not result.trading.active or not result.broker_check.agrees
    severity = Severity.FAILURE if errors else Severity.WARNING if alarming else Severity.INFO
    return Notice(
        kind=Kind.SCAN_SUMMARY,
        key=f"{result.run_id}-summary",
        at=result.as_of,
        title=f"Scan of {instant(result.as_of)}: {count(len(traded), 'trade')}, {skipped} skipped",
        fields=dict(_summed(result, traded, errors)),
        severity=severity,
        notes=notes_of(result),
    )


def _summed(result: ScanResult, traded: list[Review], errors: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    report = result.report
    yield "desk", result.identity.text
    if not result.trading.active:
        yield "trading", f"{result.trading.text}; nothing is opened, exits go on"
    yield (
        "found",
        phrases.screened(
            contracts=report.contracts, eligible=report.eligible_contracts, pairs=report.pairs, passed=report.passed
        ),
    )
    yield "passed", f"{report.passed:,}, of which {len(result.reviews):,} reviewed, {result.ranked_out:,} ranked out"
    yield "by underlying", _by_underlying(result)
    if traded:
        yield "traded", "; ".join(_traded(review) for review in traded)
    yield "skipped", _skips(result)
    if not report.passed:
        yield "rejected", counts({**report.rejected_contracts, **report.rejected_pairs}) or "nothing"
    yield from _market(result)
    yield from _advisors(result)
    yield "errors", "; ".join(errors) or "none"
    yield "account", phrases.account(result.account_after)
    yield "timings", ", ".join(f"{words(stage)} {took:.1f} s" for stage, took in result.seconds.items())
    yield "run", result.run_id


def _by_underlying(result: ScanResult) -> str:
    """Return of each underlying what passed, was reviewed and traded, e.g. `SPY 12 passed, 2 reviewed, 1 traded`."""
    reviewed = Counter(review.candidate.spread.underlying for review in result.reviews)
    traded = Counter(
        review.candidate.spread.underlying for review in result.reviews if review.decision.decision == "traded"
    )
    passed = result.report.by_underlying
    told = [
        f"{underlying} {passed.get(underlying, 0):,} passed, {reviewed[underlying]} reviewed,"
        f" {traded[underlying]} traded"
        for underlying in dict.fromkeys([*passed, *reviewed])
        if passed.get(underlying) or reviewed[underlying]
    ]
    return "; ".join(told) or "nothing passed"


def _traded(review: Review) -> str:
    sold = None if review.execution is None else review.execution.traded
    how = "" if sold is None else f" x{sold.contracts} at {per_share(sold.credit)}"
    return f"{review.candidate.spread.label}{how}"


def _skips(result: ScanResult) -> str:
    """Return the skipped by the code that bound each, the most frequent first."""
    if not result.reviews:
        return f"nothing to skip ({Reason.NO_OPPORTUNITIES})"
    skipped = Counter(review.decision.reason.value for review in result.reviews if review.decision.decision != "traded")
    told = [f"{number} {code}" for code, number in skipped.most_common()]
    return ", ".join(told) or "none"


def _market(result: ScanResult) -> Iterator[tuple[str, str]]:
    bypassed = f" {BYPASSED}" if result.multiplier.bypassed else ""
    vix = next((one.observed for one in result.breaker.readings if one.rule.value == "vix"), None)
    yield "VIX", "none: VIX rules not evaluated" if vix is None else f"{vix:.2f}"
    yield "regime", f"{regime_line(result.regime.model_dump(mode='json')).text}{bypassed}"
    yield "size", multiplier_line(result.multiplier.model_dump(mode="json")).text
    yield "breaker", "; ".join(line.text for line in breaker_lines(result.breaker.model_dump(mode="json")))


def _advisors(result: ScanResult) -> Iterator[tuple[str, str]]:
    failures = [failed for review in result.reviews for failed in review.failures]
    silent = sum(failed.role == fund_manager.NAME for failed in failures)
    failed = [one for one in failures if one.role != fund_manager.NAME]
    yield "model", result.model if result.model != "none" else "none: rules only"
    yield "shadow decisions", _shadow_decisions(result.reviews)
    yield "analyst failures", f"{len(failed)}: {phrases.kinds(failed)}" if failed else "none"
    if silent:
        yield "no verdict", count(silent, "candidate")


def _shadow_decisions(reviews: tuple[Review, ...]) -> str:
    """Return what the advice would have done to each reviewed candidate if it were obeyed."""
    told: Counter[str] = Counter(map(_shadow_decision, reviews))
    return ", ".join(f"{name} {told[name]}" for name in _SHADOWS if told[name] or name != _SHADOWS[-1])


_SHADOWS = ("would approve", "would veto", "no verdict")


def _shadow_decision(review: Review) -> str:
    advice = review.advice
    if advice is None or advice.level is Confidence.NONE:
        return _SHADOWS[2]
    return _SHADOWS[1] if advice.would_veto else _SHADOWS[0]


def _errors(result: ScanResult) -> tuple[str, ...]:
    reviews = [review.error for review in result.reviews if review.error is not None]
    differences = [one.text for one in result.broker_check.differences]
    left = [f"{count(len(result.unfinished), 'scan')} left unfinished"] if result.unfinished else []
    return (*reviews, *result.broker_check.failed, *differences, *left)
