"""Command line, `mahler scan` off a terminal: what a scan tells as it happens, a plain line for each stage."""

from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TextIO

from mahler_agents.llm.failures import Failure
from mahler_agents.progress import Progress, Stage
from mahler_agents.telling import phrases
from mahler_agents.telling.safety_lines import start_lines
from mahler_agents.text import count, instant, per_share, plain, words


class PlainLines:
    """Prints a line as each stage ends, flushed, for logs and pipes; nothing at all without a stream."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def expect(self, analysts: Sequence[str]) -> None:
        """Learn which analysts are asked: nothing to prepare."""

    def stopping(self) -> None:
        """Say that the scan was interrupted and is being ended."""
        self._print(["stopping"])

    def __call__(self, progress: Progress) -> None:
        """Print the stage that ended."""
        place = "" if progress.place is None else f"[{progress.place}] "
        self._print([f"{place}{line}" for line in _LINES[progress.stage](progress.result)])

    def _print(self, lines: Sequence[str]) -> None:
        if self._stream is not None:
            self._stream.write("".join(f"{line}\n" for line in lines))
            self._stream.flush()


def _start(started: Any) -> list[str]:
    return [f"{line.note}: {line.text}" for line in start_lines(*started)]


def _snapshot(snapshot: Any) -> list[str]:
    synthetic = " (SYNTHETIC)" if snapshot.synthetic else ""
    return [f"market: {snapshot.market}{synthetic}, as of {instant(snapshot.as_of)} New York"]


def _screen(screened: Any) -> list[str]:
    report, reviewed = screened
    found = phrases.screened(
        contracts=report.contracts, eligible=report.eligible_contracts, pairs=report.pairs, passed=report.passed
    )
    candidates = [
        f"[{place}] {candidate.spread.label}: credit {per_share(candidate.credit)}"
        for place, candidate in enumerate(reviewed, start=1)
    ]
    return [f"screen: {found}; {count(len(reviewed), 'candidate')} to review", *candidates]


def _opinion(outcome: Any) -> list[str]:
    if isinstance(outcome, Failure):
        return _failure(outcome)
    told = [phrases.opinion(outcome), *phrases.ungrounded(outcome.grounding)]
    return [f"{plain(outcome.analyst)}: {line}" for line in told]


def _argument(outcome: Any) -> list[str]:
    if isinstance(outcome, Failure):
        return _failure(outcome)
    told = [phrases.argument(outcome), *phrases.ungrounded(outcome.grounding)]
    return [f"{outcome.side} {outcome.round}: {line}" for line in told]


def _verdict(outcome: Any) -> list[str]:
    if isinstance(outcome, Failure):
        return _failure(outcome)
    told = [phrases.verdict(outcome), *phrases.ungrounded(outcome.grounding)]
    return [f"fund manager: {line}" for line in told]


def _failure(failed: Failure) -> list[str]:
    return [f"{words(failed.role)}: {phrases.failure(failed)}"]


def _advice(advice: Any) -> list[str]:
    return [f"advice: {plain(advice.message)}"]


def _sizing(sized: Any) -> list[str]:
    return [f"size: {phrases.sizing(sized)}"]


def _execution(execution: Any) -> list[str]:
    if execution.traded is None:
        return []
    return [f"order: filled, {phrases.fill(execution.traded)}"]


def _review(review: Any) -> list[str]:
    return [f"{review.decision.decision}: {review.decision.reason}"]


_LINES: Mapping[Stage, Callable[[Any], list[str]]] = {
    Stage.START: _start,
    Stage.SNAPSHOT: _snapshot,
    Stage.SCREEN: _screen,
    Stage.ANALYST: _opinion,
    Stage.DEBATE: _argument,
    Stage.FUND_MANAGER: _verdict,
    Stage.ADVISORY: _advice,
    Stage.SIZE: _sizing,
    Stage.EXECUTE: _execution,
    Stage.REVIEW: _review,
}
