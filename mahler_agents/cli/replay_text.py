"""Command line, `mahler replay`: what was heard again in, lines that set it beside what was heard then out."""

from collections.abc import Iterator, Mapping
from itertools import groupby

from mahler_agents.analysts.base import Opinion
from mahler_agents.analysts.debate import Argument
from mahler_agents.analysts.fund_manager import Verdict
from mahler_agents.llm.failures import Failure
from mahler_agents.replay.results import Answer, AnswerSpread, ReplayResult
from mahler_agents.telling import phrases
from mahler_agents.text import count, listed, percent, plain, words

_Outcome = Opinion | Argument | Verdict | Failure
_SHOWN = 8
"""Characters of a version."""


def replay_lines(result: ReplayResult) -> Iterator[str]:
    """Yield the lines of a replay."""
    kept = f"recorded in retrospect as {listed(result.run_ids)}" if result.run_ids else "served from the record"
    yield f"replay of {result.replay_of}: {kept}"
    for (rank, label), answers in groupby(result.answers, lambda one: (one.rank, one.label)):
        yield ""
        yield f"{rank}  {plain(label)}"
        for answer in answers:
            yield from _exact(answer) if result.exact else _again(answer)
    if len(result.run_ids) > 1:
        yield ""
        yield f"spread of {len(result.run_ids)} answers each"
        yield from map(_spread, result.spreads)
    yield ""
    for line in result.not_replayed:
        yield f"not replayed: {plain(line)}"
    yield from _sum(result)


def _exact(answer: Answer) -> Iterator[str]:
    if answer.same:
        yield f"   {words(answer.node)}: the same, {_brief_words(answer.was)}"
        return
    yield f"   {words(answer.node)}: DIFFERS"
    yield from _both(answer)
    if answer.miss is not None:
        yield f"      {plain(answer.miss)}"


def _again(answer: Answer) -> Iterator[str]:
    yield f"   {words(answer.node)}{_versions(answer.was, answer.now)}"
    yield from _both(answer)


def _both(answer: Answer) -> Iterator[str]:
    yield f"      was: {_words(answer.was)}"
    yield f"      is:  {_words(answer.now)}"


def _words(outcome: _Outcome | None) -> str:
    if isinstance(outcome, Opinion):
        return phrases.opinion(outcome)
    if isinstance(outcome, Argument):
        return phrases.argument(outcome)
    if isinstance(outcome, Verdict):
        return phrases.verdict(outcome)
    return "nothing" if outcome is None else phrases.failure(outcome)


def _brief_words(outcome: _Outcome | None) -> str:
    if isinstance(outcome, Failure):
        return f"failed ({outcome.kind})"
    if isinstance(outcome, Opinion):
        return f"{outcome.stance}, confidence {percent(outcome.confidence)}"
    return outcome.strength.value if isinstance(outcome, Argument) else "a verdict"


def _versions(was: _Outcome | None, now: _Outcome | None) -> str:
    """Return prompt, brief and model, each with what it was if that is another."""
    changes = {
        "prompt": (_field(was, "prompt_hash")[:_SHOWN], _field(now, "prompt_hash")[:_SHOWN]),
        "brief": (_field(was, "brief_hash")[:_SHOWN], _field(now, "brief_hash")[:_SHOWN]),
        "model": (_field(was, "model"), _field(now, "model")),
    }
    parts = [
        f"{name} {plain(after)}" + (f" (was {plain(before)})" if before not in {"", after} else "")
        for name, (before, after) in changes.items()
        if after
    ]
    return f"  [{', '.join(parts)}]" if parts else ""


def _field(outcome: _Outcome | None, name: str) -> str:
    return getattr(outcome, name, None) or ""


def _spread(spread: AnswerSpread) -> str:
    parts = [f"{spread.valid} of {spread.asked} valid", _counted(spread.stances), _counted(spread.failures)]
    for name, numbers in (("confidence", spread.confidence), ("p(profit)", spread.p_profit)):
        if numbers is not None:
            least, mean, most = (percent(number) for number in numbers)
            parts.append(f"{name} {least} to {most}, mean {mean}")
    return f"   {spread.rank}  {words(spread.node)}: {'; '.join(part for part in parts if part)}"


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{number} {words(name)}" for name, number in sorted(counts.items()))


def _sum(result: ReplayResult) -> Iterator[str]:
    asked = len(result.answers)
    if result.exact:
        same = sum(one.same for one in result.answers)
        yield f"{same} of {count(asked, 'answer')} the same to the byte; no request made"
        return
    failed = sum(one.failed for one in result.answers)
    yield f"{count(asked, 'answer')}, {failed} failed; nothing was traded"
    if result.spent.calls:
        tokens = f"{result.spent.prompt_tokens:,} + {result.spent.completion_tokens:,} tokens"
        yield f"LLM: {count(result.spent.calls, 'call')}, {tokens}, {phrases.cost(result.spent.dollars)}"
    for run_id in result.run_ids:
        yield f"next: mahler trace show {run_id}"
