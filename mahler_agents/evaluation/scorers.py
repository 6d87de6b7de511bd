"""Evaluation: what a variant said of a case in, scores with an explanation each out; users add their own.

A scorer is a function: it takes a `Heard`, or all `Heard` of one case, and returns a `Score`, or None where it has none
to give. Scores are made when they are looked at, from what is on record, so that a new scorer needs no new question.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from mahler_agents.analysts.base import Opinion, Stance
from mahler_agents.analysts.fund_manager import Verdict
from mahler_agents.evaluation.heard import Heard
from mahler_agents.replay.results import stance_of
from mahler_agents.statistics.scores import brier_terms, log_loss_terms
from mahler_agents.text import count

Better = Literal["higher", "lower"]


@dataclass(frozen=True, kw_only=True)
class Score:
    """A number, and in a few words what it comes from."""

    value: float
    explanation: str = ""


OfAnswer = Callable[[Heard], Score | None]
OfCase = Callable[[Sequence[Heard]], Score | None]


@dataclass(frozen=True, kw_only=True)
class Scorer:
    """A function that scores answers, and how its scores are read."""

    name: str
    better: Better | None
    """Which scores are better; None: neither, a difference is a difference."""
    of_answer: OfAnswer | None = None
    """Scores one answer; a case's score is the mean over its repeats."""
    of_case: OfCase | None = None
    """Scores all answers of one variant to one case, in the order of the repeats."""
    yes_no: bool = False
    """Whether every score is 1 for yes or 0 for no."""
    unit: str = ""
    needs_outcome: bool = False
    """Whether it has no score where the trade's outcome is not known."""

    def score(self, answers: Sequence[Heard]) -> Score | None:
        """Return the score of one variant on one case; None if no answer of it has one."""
        if self.of_case is not None:
            return self.of_case(answers)
        found = [one for one in map(self.of_answer, answers) if one is not None] if self.of_answer else []
        if not found:
            return None
        mean = sum(one.value for one in found) / len(found)
        return Score(value=mean, explanation="; ".join(dict.fromkeys(one.explanation for one in found)))


def valid(heard: Heard) -> Score | None:
    """Score whether the model's first reply was of the form asked for; what the network did is not its fault."""
    if heard.said is None and not heard.failed_by_itself:
        return None
    if heard.said is None:
        return Score(value=0.0, explanation=f"no valid reply: {heard.failure}")
    return Score(value=float(not heard.repaired), explanation="repaired" if heard.repaired else "valid at once")


def groundedness(heard: Heard) -> Score | None:
    """Score the share of the numbers in the summary that the brief holds; None without a number."""
    found = heard.said.grounding if heard.said is not None else None
    if found is None or not found.numbers:
        return None
    missing = f", not {', '.join(found.ungrounded)}" if found.ungrounded else ""
    told = f"{found.numbers - len(found.ungrounded)} of {found.numbers} numbers in the brief{missing}"
    return Score(value=1 - len(found.ungrounded) / found.numbers, explanation=told)


def agreement(heard: Heard) -> Score | None:
    """Score whether the answer is for the trade, which the rules have chosen: a favourable stance, an approval."""
    said = heard.said
    if isinstance(said, Opinion):
        return Score(value=float(said.stance is Stance.FAVOURABLE), explanation=said.stance.value)
    if isinstance(said, Verdict):
        return Score(value=float(said.approved), explanation="approved" if said.approved else "not approved")
    return None


def stability(answers: Sequence[Heard]) -> Score | None:
    """Score the share of the repeats that take the most frequent stance; None with fewer than two answers."""
    stances = [stance for one in answers if one.said is not None and (stance := stance_of(one.said)) is not None]
    if len(stances) < 2:
        return None
    stance, times = Counter(stances).most_common(1)[0]
    forecasts = [one.p_profit for one in answers if one.p_profit is not None]
    spread = f", p(profit) {min(forecasts):.2f} to {max(forecasts):.2f}" if forecasts else ""
    return Score(value=times / len(stances), explanation=f"{times} of {len(stances)} {stance}{spread}")


def length(heard: Heard) -> Score | None:
    """Score the words of the summary."""
    if heard.said is None:
        return None
    number = len(heard.said.summary.split())
    return Score(value=float(number), explanation=f"{number} words")


def tokens(heard: Heard) -> Score | None:
    """Score the tokens of all attempts, prompt and reply; None if the provider did not count them."""
    took = heard.took
    if heard.said is None or took.prompt_tokens is None or took.completion_tokens is None:
        return None
    told = f"{took.prompt_tokens:,} + {took.completion_tokens:,}"
    return Score(value=float(took.prompt_tokens + took.completion_tokens), explanation=told)


def cost(heard: Heard) -> Score | None:
    """Score the dollars of all attempts at list price; None if that is unknown."""
    if heard.said is None or heard.took.cost_dollars is None:
        return None
    return Score(value=heard.took.cost_dollars, explanation=count(heard.took.attempts, "call"))


def latency(heard: Heard) -> Score | None:
    """Score the seconds from each request to the last byte of its response, all attempts."""
    if heard.said is None:
        return None
    return Score(value=heard.took.milliseconds / 1000, explanation=count(heard.took.attempts, "call"))


def brier(heard: Heard) -> Score | None:
    """Score the squared error of `p_profit` against whether the trade ended above 0."""
    happened, forecast = heard.case.profit, heard.p_profit
    if happened is None or forecast is None:
        return None
    return Score(value=float(brier_terms([happened], [forecast])[0]), explanation=_forecast(forecast, happened))


def log_loss(heard: Heard) -> Score | None:
    """Score the minus log-likelihood of what happened under `p_profit`, in nats."""
    happened, forecast = heard.case.profit, heard.p_profit
    if happened is None or forecast is None:
        return None
    return Score(value=float(log_loss_terms([happened], [forecast])[0]), explanation=_forecast(forecast, happened))


def _forecast(forecast: float, happened: bool) -> str:  # noqa: FBT001 - what happened, after what was said
    return f"{forecast:.2f} for a {'profit' if happened else 'loss'}"


BUILT_IN: tuple[Scorer, ...] = (
    Scorer(name="valid", of_answer=valid, better="higher", yes_no=True),
    Scorer(name="groundedness", of_answer=groundedness, better="higher"),
    Scorer(name="agreement", of_answer=agreement, better=None, yes_no=True),
    Scorer(name="stability", of_case=stability, better="higher"),
    Scorer(name="length", of_answer=length, better=None, unit="words"),
    Scorer(name="tokens", of_answer=tokens, better="lower", unit="tokens"),
    Scorer(name="cost", of_answer=cost, better="lower", unit="dollars"),
    Scorer(name="latency", of_answer=latency, better="lower", unit="seconds"),
    Scorer(name="brier", of_answer=brier, better="lower", needs_outcome=True),
    Scorer(name="log_loss", of_answer=log_loss, better="lower", unit="nats", needs_outcome=True),
)
"""In the order in which they are shown."""
