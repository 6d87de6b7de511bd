"""Command line, `mahler scan`: a finished scan in, its report on the console out."""

from collections import Counter, defaultdict
from collections.abc import Iterable

from rich.console import Console
from rich.text import Text

from mahler_agents.analysts import fund_manager
from mahler_agents.analysts.debate import is_turn
from mahler_agents.analysts.grounding import Grounding
from mahler_agents.cli.console import print_noted
from mahler_agents.review import Review
from mahler_agents.scan import ScanResult
from mahler_agents.screen import ScreenReport
from mahler_agents.telling import phrases
from mahler_agents.telling.risk_lines import RiskLine, breaker_lines, delta_lines, multiplier_line, regime_line
from mahler_agents.telling.safety_lines import check_lines, start_lines
from mahler_agents.text import count, counts, instant, listed, per_share, percent, plain, words
from mahler_agents.types import Reason
from mahler_agents.wording import SYNTHETIC_MARKET

_MARGIN = 14
_INDENT = "   "

_Lines = Iterable[tuple[str, str | Text]]
"""A note for the margin, and what it is a note of."""


def print_report(
    console: Console,
    result: ScanResult,
    *,
    hint: str | None,
    next_command: str,
    replay_command: str,
    resume_command: str | None = None,
) -> None:
    """Print what a scan found, heard, decided and did, and the commands that go on from there.

    They show more, ask again what failed and finish the last scan that a process left, if one was.
    """
    if result.synthetic:
        console.print(Text(SYNTHETIC_MARKET, style="bold yellow"))
    _print(console, _setting(result, hint))
    _print(console, _risk(result))
    _print(console, _screening(result.report, reviewed=len(result.reviews), ranked_out=result.ranked_out))
    for review in result.reviews:
        console.print()
        print_noted(console, f"{review.candidate.rank}", _heading(review), margin=len(_INDENT))
        _print(console, _reviewed(review), indent=_INDENT)
    console.print()
    _print(console, _ending(result, next_command, replay_command))
    if resume_command is not None:
        told = f"{count(len(result.unfinished), 'scan')} left unfinished by a process that died; `{resume_command}`"
        _print(console, [("left", Text(plain(f"{told} finishes the last"), style="yellow"))])


def _print(console: Console, lines: _Lines, *, indent: str = "") -> None:
    for note, body in lines:
        print_noted(console, f"{indent}{note}", body, margin=_MARGIN + len(indent))


def _setting(result: ScanResult, hint: str | None) -> _Lines:
    yield "market", f"{plain(result.market)}: {plain(result.source)}"
    yield from _resumed(result)
    decided = instant(result.decision_at)
    yield "as of", f"{instant(result.as_of)} New York; orders decided at {decided}"
    by_reason: dict[str, list[str]] = defaultdict(list)
    for part, why in result.missing.items():
        by_reason[plain(why)].append(plain(part))
    for why, parts in by_reason.items():
        yield "missing", f"{listed(parts)}: {why}"
    toy = f" ({phrases.TOY})" if result.toy_model else ""
    yield "model", f"{plain(result.model)}{toy}" if result.model != "none" else "none: rules only"
    if hint:
        yield "hint", plain(hint)
    yield from map(_styled, start_lines(result.identity, result.trading))
    yield from map(_styled, check_lines(result.broker_check))


def _resumed(result: ScanResult) -> _Lines:
    if result.resumed is None:
        return
    yield "resumed", f"run {result.run_id}: {count(result.resumed.served, 'LLM call')} served from the record"
    if result.resumed.stale is not None:
        told = f"reviews only, nothing is opened ({Reason.STALE_SNAPSHOT}): {result.resumed.stale}"
        yield "", Text(plain(told), style="yellow")
    if result.resumed.kept:
        yield "", Text(plain(f"kept as the run began: {listed(result.resumed.kept)}"), style="yellow")


def _risk(result: ScanResult) -> _Lines:
    yield _styled(regime_line(result.regime.model_dump(mode="json")))
    yield "exits", plain(result.exit_policy.text)
    yield from map(_styled, breaker_lines(result.breaker.model_dump(mode="json")))
    yield _styled(multiplier_line(result.multiplier.model_dump(mode="json")))


def _styled(line: RiskLine) -> tuple[str, Text]:
    return line.note, Text(line.text, style="yellow" if line.alarming else "")


def _screening(report: ScreenReport, *, reviewed: int, ranked_out: int) -> _Lines:
    found = phrases.screened(
        contracts=report.contracts, eligible=report.eligible_contracts, pairs=report.pairs, passed=report.passed
    )
    ranked = f"; {reviewed:,} reviewed, {ranked_out:,} ranked out" if reviewed else ""
    yield "screen", f"{found}{ranked}"
    if report.rejected_contracts:
        yield "rejected", f"contracts: {counts(report.rejected_contracts)}"
    if report.rejected_pairs:
        yield "" if report.rejected_contracts else "rejected", f"pairs: {counts(report.rejected_pairs)}"
    for index, miss in enumerate(report.nearest_misses):
        yield "" if index else "nearest miss", f"{plain(miss.what)}: {plain(miss.text)}"
    if not reviewed:
        yield "candidates", Text("none: nothing passed the screen (no_opportunities)", style="yellow")


def _heading(review: Review) -> Text:
    candidate = review.candidate
    share = percent(candidate.credit / candidate.spread.width, 1)
    facts = f"credit {per_share(candidate.credit)} ({share} of width), {candidate.dte} DTE, score {candidate.score:.2f}"
    return Text.assemble((candidate.spread.label, "bold"), f"  {facts}")


def _reviewed(review: Review) -> _Lines:
    for opinion in review.opinions:
        yield words(opinion.analyst), phrases.opinion(opinion)
        yield from _ungrounded(opinion.grounding)
    for turn in review.arguments:
        yield f"{turn.side} {turn.round}", phrases.argument(turn)
        yield from _ungrounded(turn.grounding)
    for failed in review.failures:
        yield words(failed.role), Text(phrases.failure(failed), style="yellow")
    if review.verdict is not None:
        yield "fund manager", phrases.verdict(review.verdict)
        yield from _ungrounded(review.verdict.grounding)
    if review.advice is not None:
        yield "advice", plain(review.advice.message)
    if review.exits_note is not None:
        yield "exits", plain(review.exits_note)
    if review.sizing is not None:
        yield "size", phrases.sizing(review.sizing)
    yield "order", _order(review)


def _ungrounded(found: Grounding | None) -> _Lines:
    for line in phrases.ungrounded(found):
        yield "", Text(line, style="yellow")


def _order(review: Review) -> Text:
    execution = review.execution
    if execution is None:
        return Text(f"none: {review.decision.reason}", style="yellow")
    if execution.traded is not None:
        return Text(f"filled: {phrases.fill(execution.traded)}", style="green")
    asked = phrases.unfilled(execution)
    quote = execution.quote
    offered = (
        f"; when decided mid {per_share(quote.mid_credit)}, natural {per_share(quote.natural_credit)}" if quote else ""
    )
    return Text(f"{asked}{offered}", style="yellow")


def _ending(result: ScanResult, next_command: str, replay_command: str) -> _Lines:
    yield "before", phrases.account(result.account_before)
    yield "after", phrases.account(result.account_after)
    before, after = (one.model_dump(mode="json") for one in (result.delta_before, result.delta_after))
    yield from map(_styled, delta_lines(before, after))
    for symbol, since in result.account_after.stale_marks.items():
        yield "old mark", Text(f"{plain(symbol)} has no quote: marked as of {instant(since)}", style="yellow")
    yield from _advisors(result, next_command)
    if (spent := result.spent).calls:
        tokens = f"{spent.prompt_tokens:,} + {spent.completion_tokens:,} tokens"
        yield "LLM", f"{count(spent.calls, 'call')}, {tokens}, {phrases.cost(spent.dollars)}"
    yield "run", f"{result.run_id}, recorded in {plain(str(result.database))}"
    yield "next", plain(next_command)
    if any(failed.replayable for review in result.reviews for failed in review.failures):
        yield "ask again", plain(replay_command)


def _advisors(result: ScanResult, next_command: str) -> _Lines:
    """Count what the advisors failed at: opinions and verdicts that are missing, numbers that no brief holds."""
    failures = [failed for review in result.reviews for failed in review.failures]
    unsaid = [failed for failed in failures if is_turn(failed.role)]
    missing = [failed for failed in failures if failed not in unsaid and failed.role != fund_manager.NAME]
    silent = [failed for failed in failures if failed.role == fund_manager.NAME]
    if missing:
        told = f"{count(len(missing), 'analyst')} failed: {phrases.kinds(missing)}; run `{next_command}`"
        yield "failures", Text(plain(told), style="yellow")
    if unsaid:
        told = f"{count(len(unsaid), 'turn')} failed: {phrases.kinds(unsaid)}; run `{next_command}`"
        yield "debate", Text(plain(told), style="yellow")
    if silent:
        kinds = Counter(failed.kind.value for failed in silent)
        skipped = sum(review.decision.reason is Reason.NO_VERDICT for review in result.reviews)
        then = f"{skipped:,} skipped as {Reason.NO_VERDICT}" if skipped else "left to the rules alone"
        told = f"{count(len(silent), 'candidate')} ({counts(kinds)}): {then}"
        yield "no verdict", Text(plain(told), style="yellow")
    said = [
        one
        for review in result.reviews
        for one in (*review.opinions, *review.arguments, review.verdict)
        if one is not None
    ]
    found = [one.grounding for one in said if one.grounding is not None]
    if sum(len(one.ungrounded) for one in found):
        numbers, strange = sum(one.numbers for one in found), sum(len(one.ungrounded) for one in found)
        told = f"{strange:,} of {count(numbers, 'number')} that the advisors wrote are not in their briefs"
        yield "ungrounded", Text(told, style="yellow")
