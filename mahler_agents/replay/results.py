"""Replay: what an advisor had said and says now, side by side, and how answers to the same question spread."""

from collections import Counter
from collections.abc import Iterable, Mapping
from statistics import fmean

from mahler_agents.analysts.base import Opinion
from mahler_agents.analysts.debate import Argument
from mahler_agents.analysts.fund_manager import Verdict
from mahler_agents.llm.budget import Spent
from mahler_agents.llm.failures import Failure
from mahler_agents.replay.original import Outcome
from mahler_agents.types import Frozen


class Answer(Frozen):
    """One advisor's answer about one candidate, then and now."""

    run_id: str
    """The replay's run; the original's of an exact replay, which makes none."""
    candidate_id: str
    """The original's."""
    rank: int
    label: str
    """The spread as a trader says it."""
    node: str
    """`greeks`, `bull_1`, `fund_manager`, ..."""
    was: Opinion | Argument | Verdict | Failure | None
    """None if it had not ended, or was not asked."""
    now: Opinion | Argument | Verdict | Failure | None
    """None if an exact replay found no such call."""
    miss: str | None = None
    """Then, what the record has not."""
    same_version: bool = False
    """Whether the version of the package that recorded it is this one."""

    @property
    def same(self) -> bool:
        """Whether both say the same to the byte.

        Which numbers stand in the brief is judged by the version that asks, so it is compared under the same one only.
        """
        if self.was is None or self.now is None:
            return False
        absent = self._not_recorded(self.was)
        return _text(self.was, absent) == _text(self.now, absent)

    def _not_recorded(self, was: Outcome) -> set[str]:
        """Return the fields that the record of that day does not have, or not for this version to compare."""
        absent = {"brief_hash"} if was.brief_hash is None else set[str]()
        counted = not isinstance(was, Failure) and was.grounding is not None
        return absent if counted and self.same_version else absent | {"grounding"}

    @property
    def failed(self) -> bool:
        """Whether there is no answer now."""
        return self.now is None or isinstance(self.now, Failure)


class AnswerSpread(Frozen):
    """How the answers of one advisor to one question spread over the repetitions."""

    rank: int
    label: str
    node: str
    asked: int
    valid: int
    failures: Mapping[str, int]
    """Kind to count."""
    stances: Mapping[str, int]
    """Stance, approval or strength to count."""
    confidence: tuple[float, float, float] | None
    """Least, mean and most; None if nobody said one."""
    p_profit: tuple[float, float, float] | None


class ReplayResult(Frozen):
    """What a replay heard."""

    replay_of: str
    run_ids: tuple[str, ...]
    """One run for each repetition; none of an exact replay."""
    exact: bool
    answers: tuple[Answer, ...]
    """By repetition, rank and node."""
    spreads: tuple[AnswerSpread, ...]
    not_replayed: tuple[str, ...]
    """Advisors that were to be asked and could not be, and why; one line each."""
    spent: Spent

    @property
    def succeeded(self) -> bool:
        """Whether every replayed call gave an answer; of an exact replay, whether every one is as it was."""
        return all(one.same if self.exact else not one.failed for one in self.answers)


def stance_of(outcome: Outcome) -> str | None:
    """Return what an outcome comes down to in a word, None for a failure."""
    if isinstance(outcome, Opinion):
        return outcome.stance.value
    if isinstance(outcome, Argument):
        return outcome.strength.value
    if isinstance(outcome, Verdict):
        return "approved" if outcome.approved else "not approved"
    return None


def spreads(answers: Iterable[Answer]) -> tuple[AnswerSpread, ...]:
    """Return the spread of every question that was asked, in the order of its first answer."""
    by_question: dict[tuple[int, str, str], list[Outcome]] = {}
    for one in answers:
        if one.now is not None:
            by_question.setdefault((one.rank, one.label, one.node), []).append(one.now)
    return tuple(
        AnswerSpread(
            rank=rank,
            label=label,
            node=node,
            asked=len(heard),
            valid=sum(not isinstance(one, Failure) for one in heard),
            failures=Counter(one.kind.value for one in heard if isinstance(one, Failure)),
            stances=Counter(stance for one in heard if (stance := stance_of(one)) is not None),
            confidence=_range(one.confidence for one in heard if isinstance(one, Opinion | Verdict)),
            p_profit=_range(one.p_profit for one in heard if isinstance(one, Opinion | Verdict)),
        )
        for (rank, label, node), heard in by_question.items()
    )


def _range(values: Iterable[float]) -> tuple[float, float, float] | None:
    known = list(values)
    return (min(known), fmean(known), max(known)) if known else None


def _text(outcome: Outcome, absent: set[str]) -> str:
    return f"{type(outcome).__name__}{outcome.model_dump_json(exclude=absent)}"
